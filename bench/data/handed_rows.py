"""Raw rows of a card as files by split, in the store's order: what a trainer from elsewhere gets.

A row has its inputs as they are in the raw files, keys, group, units and time. Train has a column
of labels for each task; labels of validation stand in a file of their own. Nobody gets labels of
confirmation rows and of test, nor what is known only after the impression.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.core.arrays import Ints
from bench.core.errors import UserError
from bench.core.records import SplitName
from bench.core.system.atomic import atomic_folder
from bench.core.system.progress import Progress
from bench.data.assemble import AssembledRows
from bench.data.card import Card
from bench.data.preparation import rows_of
from bench.data.store import Store
from bench.data.values import as_numbers

SPLITS: tuple[SplitName, ...] = ("train", "valid", "confirm", "test")
"""In the order of the numbers that an assembled row has."""
ROW = "row"
"""Column of a row's number in its split, from 0."""
WEIGHT = "row_weight"
"""Column of how many rows a row of train stands for, where the card has weights."""
LABELS_OF_VALIDATION = "valid.labels"


def columns_handed(card: Card, keys_only: bool = False) -> list[str]:
    """Raw columns that a trainer gets: inputs, then keys, group, units and time.

    Raises:
        UserError: a task or a column of our own has the name of one of them.
    """
    inputs = [] if keys_only else [raw for _, raw in card.inputs]
    beside = [column for column in (card.group, card.units, card.time) if column]
    columns = list(dict.fromkeys([*inputs, *card.keys, *beside]))
    taken = {ROW, WEIGHT, *(rule.name for rule in card.task_rules)}
    for column in columns:
        if column in taken:
            raise UserError(
                f"{card.key}: expected columns whose names differ from those of tasks and from "
                f"'{ROW}' and '{WEIGHT}', which a trainer gets beside them, found '{column}'"
            )
    return columns


def write_handed_rows(
    card: Card, store: Store, home: Path, raw: Path | None, folder: Path, progress: Progress
) -> None:
    """Writes `train`, `valid`, `confirm` and `test.parquet` and `valid.labels.parquet` into a
    folder, in the order of the store's rows; an existing folder is kept.

    Memory holds a few parts. Raises UserError where the raw files are gone, or gave other rows.

    Args:
        store: of this card, with the tasks to train.
    """
    if folder.is_dir():
        return
    columns = columns_handed(card)
    with atomic_folder(folder) as temporary, ExitStack() as stack:
        writers: dict[str, pq.ParquetWriter] = {}
        counts: dict[str, int] = dict.fromkeys(SPLITS, 0)
        for rows in rows_of(card, home, raw, progress):
            for split, table in _tables(card, store, columns, rows, counts):
                if split not in writers:
                    writer = pq.ParquetWriter(temporary / f"{split}.parquet", table.schema)
                    writers[split] = stack.enter_context(writer)
                writers[split].write_table(table.cast(writers[split].schema))
        for split in SPLITS:
            expected = len(store.split(split))
            if counts[split] != expected:
                raise UserError(
                    f"{card.key}: expected {expected:,} rows of {split} in the raw files, as in "
                    f"the prepared data, found {counts[split]:,}"
                )


def _tables(
    card: Card, store: Store, columns: list[str], rows: AssembledRows, counts: dict[str, int]
) -> Iterator[tuple[str, pa.Table]]:
    """A part's rows by the name of a file; `counts` has the rows before it, and is raised."""
    reads = card.raw_columns
    arrays = {}
    for column in columns:
        values = rows.table[column]
        if reads[column] == "number":
            values = pa.array(as_numbers(values, card.missing, column))
        arrays[column] = values
    handed = pa.table(arrays)
    tasks = [rule.name for rule in card.task_rules]
    for code, split in enumerate(SPLITS):
        places = np.flatnonzero(rows.split == code)
        if not len(places):
            continue
        first = counts[split]
        counts[split] += len(places)
        numbers = pa.array(np.arange(first, first + len(places)))
        table = handed.take(pa.array(places)).add_column(0, ROW, numbers)
        if split in ("train", "valid"):
            chosen = [tasks.index(task.name) for task in store.schema.tasks]
            labels = rows.labels[places][:, chosen]
            _check_labels(card, store, split, first, labels)
        if split == "train":
            table = _with_labels(table, store, labels)
            if rows.weights.shape[1]:
                table = table.append_column(
                    WEIGHT, pa.array(rows.weights[places].astype(np.float64).prod(axis=1))
                )
        if split == "valid":
            yield LABELS_OF_VALIDATION, _with_labels(table.select([ROW]), store, labels)
        yield split, table


def _with_labels(table: pa.Table, store: Store, labels: np.ndarray) -> pa.Table:
    for number, task in enumerate(store.schema.tasks):
        column = pa.array(labels[:, number], from_pandas=True)  # NaN: not known
        table = table.append_column(task.name, column)
    return table


def _check_labels(
    card: Card, store: Store, split: SplitName, first: int, labels: np.ndarray
) -> None:
    """Refuses rows that are other ones than those of the store."""
    stored = np.asarray(store.split(split).labels_of(slice(first, first + len(labels))))
    if not np.array_equal(stored, labels.astype(stored.dtype), equal_nan=True):
        raise UserError(
            f"{card.key}: expected the raw files that were prepared, found other labels in "
            f"{split}; a new run takes them as they are now"
        )


def read_handed(
    folder: Path, split: str, columns: Collection[str], rows: Ints | None = None
) -> pa.Table:
    """Some columns of a split's rows, of all rows or of those at indices."""
    table = pq.read_table(folder / f"{split}.parquet", columns=list(columns))
    return table if rows is None else table.take(pa.array(rows))
