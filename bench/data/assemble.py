"""One table out of a card's files: labels read, exact duplicates dropped, side tables joined, rows dealt to splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench.data.card import Card
from bench.data.labels import Labels, read_labels
from bench.data.reader_config import Join, SyntheticReader
from bench.data.readers.base import RawTable
from bench.data.splits import SPLITS, Assignment, SplitInput, TimeSplit
from bench.data.values import as_numbers, as_text
from bench.errors import UserError, unknown


@dataclass(frozen=True)
class Rows:
    """All rows of a data set, still raw.

    Attributes:
        table: N rows of raw columns.
        labels: (N, T).
        group: (N,), -1 where there is none.
        split: (N,), index into `SPLITS`, -1 for none.
        duplicates: rows dropped because an equal one came before.
    """

    table: Any
    labels: Labels
    group: NDArray[np.int32]
    split: Assignment
    duplicates: int


def assemble(card: Card, tables: Sequence[RawTable], sides: Sequence[tuple[Join, RawTable]]) -> Rows:
    """All rows of the card's files.

    Raises:
        UserError: a raw column that no file has, a bad label, a key twice in a side table, an empty split.
    """
    missing = card.missing
    for raw in tables:
        _check_columns(card, raw, sides)
    labels = np.concatenate([read_labels(raw, card.task_rules, missing) for raw in tables])
    file = np.repeat(np.arange(len(tables), dtype=np.int16), [raw.table.num_rows for raw in tables])
    table = pa.concat_tables([raw.table for raw in tables], promote_options="permissive").unify_dictionaries()
    duplicates = 0
    if not isinstance(card.reader, SyntheticReader) and card.reader.drop_duplicates:
        first = ~_repeated(table)
        duplicates = int((~first).sum())
        table, labels, file = table.filter(pa.array(first)), labels[first], file[first]
    for join, side in sides:
        table = _joined(table, join, side, missing)
    table = table.select(list(card.raw_columns))

    group = None if card.group is None else as_text(table[card.group], missing)
    column = None if card.split_column is None else as_text(table[card.split_column], missing)
    rows = SplitInput(card.row_files, file, _time(card, table, missing), group, column)
    split = card.split.assign(rows)
    _check_filled(card, split, rows)
    _check_labels(card, split, labels)
    codes = np.full(len(file), -1, np.int32) if group is None else group.codes
    return Rows(table, labels, codes, split, duplicates)


def _check_columns(card: Card, raw: RawTable, sides: Sequence[tuple[Join, RawTable]]) -> None:
    own = raw.table.column_names
    known = [*own, *(name for _, side in sides for name in side.table.column_names)]
    for column in card.raw_columns:
        if column not in known:
            raise UserError(f"{raw.file}: {unknown('raw column', column, known)}")
    for rule in card.task_rules:
        for column in rule.sources:
            if column not in own:
                raise UserError(f"{raw.file}: {unknown('label column', column, own)}")


def _repeated(table: Any) -> NDArray[np.bool_]:
    """(N,) whether an equal row came before."""
    codes = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        if not pa.types.is_dictionary(column.type):
            column = pc.dictionary_encode(column, null_encoding="encode")
        codes[name] = pc.fill_null(column.indices, -1).to_numpy(zero_copy_only=False)
    return pd.DataFrame(codes).duplicated().to_numpy()


def _joined(table: Any, join: Join, side: RawTable, missing: tuple[str, ...]) -> Any:
    for name, has in ((side.file, side.table), ("the rows", table)):
        if join.on not in has.column_names:
            raise UserError(f"cannot join {side.file}: {name} have no column '{join.on}'")
    keys = as_text(side.table[join.on], missing)
    if len(keys.values) < int((keys.codes >= 0).sum()):
        counts = np.bincount(keys.codes[keys.codes >= 0])
        second = int(np.flatnonzero(keys.codes == int(np.argmax(counts > 1)))[1])
        raise UserError(f"{side.place(second)}: key '{join.on}' = {keys.values[keys.codes[second]]} is there twice")
    row_of_key = {keys.values[code]: row for row, code in enumerate(keys.codes) if code >= 0}
    wanted = as_text(table[join.on], missing)
    row_of_value = np.array([*(row_of_key.get(value, -1) for value in wanted.values), -1])
    at = row_of_value[wanted.codes]
    at_or_null = pa.array(at, mask=at < 0)
    for name in side.table.column_names:
        if name not in table.column_names:
            table = table.append_column(name, side.table[name].take(at_or_null))
    return table


def _time(card: Card, table: Any, missing: tuple[str, ...]) -> Any:
    if card.time is None or not isinstance(card.split, TimeSplit):
        return None
    column = table[card.time]
    return as_text(column, missing) if card.split.textual else as_numbers(column, missing, card.time)


def _check_filled(card: Card, split: Assignment, rows: SplitInput) -> None:
    for number, name in enumerate(SPLITS):
        if (split == number).any():
            continue
        reason = "no row falls into it"
        if isinstance(card.split, TimeSplit) and isinstance(rows.time, np.ndarray) and np.isfinite(rows.time).any():
            low, high = np.nanmin(rows.time), np.nanmax(rows.time)
            reason = f"'{card.time}' runs from {low:.0f} to {high:.0f} in {', '.join(rows.files)}"
        raise UserError(f"{card.key}: split '{name}' is empty: {reason}")


def _check_labels(card: Card, split: Assignment, labels: Labels) -> None:
    """A binary task that is trained by default needs both classes in every split, or its AUC does not exist."""
    for index, rule in enumerate(card.task_rules):
        if rule.optional:
            continue
        for number, name in enumerate(SPLITS):
            seen = labels[split == number, index]
            seen = seen[~np.isnan(seen)]
            if rule.kind == "binary" and (not (seen == 1).any() or not (seen == 0).any()):
                found = f"{int((seen == 1).sum())} of {len(seen)} are positive"
                raise UserError(f"{card.key}: task '{rule.name}' needs both classes in split '{name}', but {found}")
            if len(seen) == 0:
                raise UserError(f"{card.key}: task '{rule.name}' has no label in split '{name}'")
