"""A file with the history of groups, which a packaged model reads where requests bring none.

A Parquet file with a row for each row of a log that has a group, sorted by group and time: `group`,
`time`, a 0/1 column for each action and a text column for each input in the history. A request's
history is computed from these rows exactly as for training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.core.system.atomic import atomic_path, scratch_folder
from bench.core.system.progress import Progress
from bench.data.assemble import AssembledRows
from bench.data.card import Card
from bench.data.columns.base import Source
from bench.data.history import GroupRows, HistoryConfig, past
from bench.data.preparation import rows_of
from bench.data.values import Text, as_numbers, as_text

GROUP, TIME = "group", "time"
SHARES = 64
"""Number of shares into which groups are divided, to be sorted one after the other."""


def write_history(
    card: Card,
    out: Path,
    home: Path,
    raw: Path | None,
    until: float,
    progress: Progress,
) -> int:
    """Writes the history of a card's rows before a time, including rows outside its splits; returns
    their number.

    Raises:
        UserError: the card has no history; a file is missing or broken.
    """
    history = _history_of(card)
    texts = (GROUP, *map(_value, history.inputs))
    types = dict.fromkeys(texts, pa.string())
    types |= {TIME: pa.float64()}
    types |= dict.fromkeys(map(_action, history.actions), pa.bool_())
    schema = pa.schema(list(types.items()))
    metadata = {"card": card.key}

    rows_written = 0
    with atomic_path(out) as temporary, scratch_folder(out) as folder:
        files = [folder / str(share) for share in range(SHARES)]
        with ExitStack() as stack:
            writers = [stack.enter_context(pa.ipc.new_file(file, schema)) for file in files]
            for rows in rows_of(card, home, raw, progress):
                events = _events(card, rows, until).select(schema.names)
                _write_by_group(events, writers)
        with pq.ParquetWriter(temporary, schema.with_metadata(metadata)) as writer:
            for file in files:
                with pa.ipc.open_file(file) as reader:
                    events = reader.read_all().sort_by([(GROUP, "ascending"), (TIME, "ascending")])
                writer.write_table(events.replace_schema_metadata(metadata))
                rows_written += events.num_rows
    return rows_written


def _events(card: Card, rows: AssembledRows, until: float) -> pa.Table:
    """Rows that have a group, before a time, with their actions."""
    events = _keys(card, rows.table)
    names = [task.name for task in card.tasks]
    for name in _history_of(card).actions:
        is_action = rows.labels[:, names.index(name)] == 1
        events = events.append_column(_action(name), pa.array(is_action))
    is_early = pc.less(events[TIME], until)
    return events.filter(pc.and_(is_early, pc.is_valid(events[GROUP])))


def _write_by_group(events: pa.Table, writers: Sequence[pa.ipc.RecordBatchFileWriter]) -> None:
    """Writes all of a group to one of the files."""
    groups = events[GROUP].to_pandas().to_numpy(object)
    shares = pd.util.hash_array(groups) % len(writers)
    for share in np.unique(shares):
        writers[share].write_table(events.filter(pa.array(shares == share)))


class KeptHistory:
    """A file of `write_history`, which adds history `columns` to requests with the raw columns
    `needed`.

    `rows` counts requests' rows, `rows_without_past` those whose group has no earlier row in it.
    Raises UserError if the card has no history, or the file belongs to another card.
    """

    def __init__(self, path: Path, card: Card) -> None:
        history = _history_of(card)
        if not path.is_file():
            raise UserError(f"expected a history that `seesaw data history` wrote, found no {path}")
        try:
            self._events = pq.read_table(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(
                f"{path}: expected a parquet file that `seesaw data history` wrote: {error}"
            ) from None
        expected = [GROUP, TIME]
        expected += map(_value, history.inputs)
        expected += map(_action, history.actions)
        names = self._events.column_names
        if sorted(names) != sorted(expected):
            raise UserError(
                f"{path}: expected the history of {card.key}: {', '.join(expected)}; found "
                f"{', '.join(names)}"
            )
        self._card = card
        self._history = history
        self._spans = _spans(self._events[GROUP])
        self.needed = needed_of(card)
        self.columns = (*history.numbers, *(rule.name for rule in history.list_rules))
        self.rows = self.rows_without_past = 0

    def with_history(self, table: pa.Table) -> pa.Table:
        """Adds history columns to an Arrow table of raw rows; rows of one table do not see each
        other.
        """
        history = self._history
        requests = _keys(self._card, table)
        events = self._events_of(requests[GROUP])
        rows, values_by_input = self._joined(events, requests)
        pasts = past(rows, history, own_split=False)

        numbers = pasts.numbers[events.num_rows :]
        lists = pasts.lists[events.num_rows :]
        for column, name in enumerate(history.numbers):
            values = pa.array(numbers[:, column], from_pandas=True)
            table = _with(table, name, values)
        for column, rule in enumerate(history.list_rules):
            values = _lists(lists[:, column], values_by_input[rule.of])
            table = _with(table, rule.name, values)
        self.rows += requests.num_rows
        self.rows_without_past += int((numbers[:, 0] == 0).sum())
        return table

    def _events_of(self, groups: pa.ChunkedArray) -> pa.Table:
        """The earlier rows of some groups."""
        places = [np.arange(0)]
        for group in pd.unique(groups.to_pandas().to_numpy(object)):
            start, end = self._spans.get(group, (0, 0))
            places.append(np.arange(start, end))
        return self._events.take(np.concatenate(places))

    def _joined(
        self, events: pa.Table, requests: pa.Table
    ) -> tuple[GroupRows, dict[str, pa.Array]]:
        """Events and behind them requests, which lie in a later split; by input the values that
        its codes stand for.
        """
        columns = {}
        for name in requests.column_names:
            chunks = [*events[name].chunks, *requests[name].chunks]
            columns[name] = pa.concat_arrays(chunks)
        groups, _ = _coded(columns[GROUP])
        times = columns[TIME].to_numpy(zero_copy_only=False)
        rows_by_split = [events.num_rows, requests.num_rows]
        split = np.repeat(np.array([0, 1], np.int8), rows_by_split)

        history = self._history
        codes = np.empty((len(split), len(history.inputs)), np.int32)
        values_by_input = {}
        for column, name in enumerate(history.inputs):
            codes[:, column], values_by_input[name] = _coded(columns[_value(name)])
        acted = np.zeros((len(split), len(history.actions)), np.bool_)
        for column, name in enumerate(history.actions):
            acted[: events.num_rows, column] = events[_action(name)].to_numpy()
        return GroupRows(groups, times, split, codes, acted), values_by_input


def kept_of_card(
    card: Card,
    home: Path,
    raw: Path | None,
    progress: Progress,
) -> KeptHistory:
    """The history of all rows of a card, to evaluate these same rows."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "history.parquet"
        write_history(card, path, home, raw, math.inf, progress)
        return KeptHistory(path, card)


def needed_of(card: Card) -> dict[str, Literal["number", "text"]]:
    """Raw columns that rows must have for a kept history -> how they are read."""
    needed: dict[str, Literal["number", "text"]] = {}
    for source in _sources(card).values():
        needed[source.column] = "number" if source.derive else "text"
    return needed | {card.history_time: "number", card.group or "": "text"}


def _history_of(card: Card) -> HistoryConfig:
    """Returns the card's history; raises UserError if it has none."""
    if card.history is None:
        raise UserError(f"{card.key}: expected a card with [history], found none")
    return card.history


def _spans(groups: pa.ChunkedArray) -> dict[str, tuple[int, int]]:
    """Group -> first place, and place after the last, in a sorted column."""
    sorted_groups = groups.to_pandas().to_numpy(object)
    differs = sorted_groups[1:] != sorted_groups[:-1]
    is_first = np.append(len(sorted_groups) > 0, differs)
    starts = np.flatnonzero(is_first)
    ends = np.append(starts[1:], len(sorted_groups))
    spans = zip(starts.tolist(), ends.tolist(), strict=True)
    return dict(zip(sorted_groups[starts].tolist(), spans, strict=True))


def _keys(card: Card, table: pa.Table) -> pa.Table:
    """Group, time and history inputs of raw rows, as text and numbers."""
    times = as_numbers(table[card.history_time], card.missing, card.history_time)
    columns = {
        GROUP: _arrow_texts(as_text(table[card.group], card.missing)),
        TIME: pa.array(times),
    }
    for name, source in _sources(card).items():
        if source.derive is not None:
            derived = pa.array(source.numbers(table), from_pandas=True)
            texts = as_text(derived, ())
        else:
            texts = as_text(table[source.column], card.missing)
        columns[_value(name)] = _arrow_texts(texts)
    return pa.table(columns)


def _sources(card: Card) -> dict[str, Source]:
    sources = {}
    for name in _history_of(card).inputs:
        sources[name] = card.columns[name].source_of(name, card.missing)
    return sources


def _arrow_texts(text: Text) -> pa.Array:
    values = pa.array([*text.values, None], pa.string())
    places = np.where(text.codes < 0, len(text.values), text.codes)
    return values.take(pa.array(places))


def _coded(texts: pa.Array) -> tuple[NDArray[np.int32], pa.Array]:
    """Codes (n,) of texts, -1 where missing, and the values that they stand for."""
    encoded = texts.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return codes.astype(np.int32), encoded.dictionary


def _lists(codes: NDArray[np.int32], values: pa.Array) -> pa.ListArray:
    is_value = codes >= 0
    ends = np.append(0, np.cumsum(is_value.sum(1))).astype(np.int32)
    members = values.take(pa.array(codes[is_value]))
    return pa.ListArray.from_arrays(pa.array(ends), members)


def _with(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    place = table.schema.get_field_index(name)
    if place < 0:
        return table.append_column(name, column)
    return table.set_column(place, name, column)


def _value(name: str) -> str:
    return f"value_{name}"


def _action(name: str) -> str:
    return f"action_{name}"
