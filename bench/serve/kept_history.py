"""A file with the history of groups, which a packaged model reads where requests bring none.

A Parquet file with a row for each row of a log that has a group, sorted by group and time: `group`,
`time`, a 0/1 column for each action and a text column for each input in the history. A request's
history is computed from these rows exactly as for training.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.core.system.atomic import atomic_path, scratch_folder
from bench.core.system.progress import Progress
from bench.data.card import Card
from bench.data.columns.base import Source
from bench.data.history import GroupRows, HistoryConfig, past
from bench.data.preparation import rows_of
from bench.data.values import as_numbers, as_text

GROUP, TIME = "group", "time"
SHARES = 64
"""Number of shares into which groups are divided, to be sorted one after the other."""


def write_history(
    card: Card, out: Path, home: Path, raw: Path | None, until: float, progress: Progress
) -> int:
    """Writes the history of a card's rows before a time, including rows outside its splits; returns
    their number.

    Raises:
        UserError: the card has no history; a file is missing or broken.
    """
    history = config_of(card)
    at = {task.name: number for number, task in enumerate(card.tasks)}
    texts = (GROUP, *map(_value, history.inputs))
    schema = pa.schema(
        [(name, pa.string()) for name in texts]
        + [(TIME, pa.float64())]
        + [(_action(name), pa.bool_()) for name in history.actions]
    )
    kept = 0
    with atomic_path(out) as temporary, scratch_folder(out) as folder:
        files = [folder / str(share) for share in range(SHARES)]
        with ExitStack() as stack:
            shares = [stack.enter_context(pa.ipc.new_file(file, schema)) for file in files]
            for rows in rows_of(card, home, raw, progress):
                table = _keys(card, rows.table)
                for name in history.actions:
                    table = table.append_column(
                        _action(name), pa.array(rows.labels[:, at[name]] == 1)
                    )
                table = table.filter(
                    pc.and_(pc.less(table[TIME], until), pc.is_valid(table[GROUP]))
                )
                share = pd.util.hash_array(table[GROUP].to_pandas().to_numpy(object)) % SHARES
                for each in np.unique(share):
                    shares[each].write_table(
                        table.filter(pa.array(share == each)).select(schema.names)
                    )
        with pq.ParquetWriter(temporary, schema.with_metadata({"card": card.key})) as writer:
            for file in files:
                with pa.ipc.open_file(file) as reader:
                    share = reader.read_all().sort_by([(GROUP, "ascending"), (TIME, "ascending")])
                writer.write_table(share.replace_schema_metadata({"card": card.key}))
                kept += share.num_rows
    return kept


class KeptHistory:
    """A file of `write_history`, which adds history columns to requests with the raw columns
    `needed`.

    `rows` counts requests' rows, `without` those whose group has no earlier row in it. Raises
    UserError if the card has no history, or the file belongs to another card.
    """

    def __init__(self, path: Path, card: Card) -> None:
        self._card, self._history = card, config_of(card)
        if not path.is_file():
            raise UserError(f"expected a history that `seesaw history` wrote, found no {path}")
        try:
            self._events = pq.read_table(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(
                f"{path}: expected a parquet file that `seesaw history` wrote: {error}"
            ) from None
        wanted = [
            GROUP,
            TIME,
            *map(_value, self._history.inputs),
            *map(_action, self._history.actions),
        ]
        if sorted(self._events.column_names) != sorted(wanted):
            own = ", ".join(self._events.column_names)
            raise UserError(
                f"{path}: expected the history of {card.key}: {', '.join(wanted)}; found {own}"
            )
        groups = self._events[GROUP].to_pandas().to_numpy(object)
        first = np.flatnonzero(np.append(len(groups) > 0, groups[1:] != groups[:-1]))
        ends = np.append(first[1:], len(groups))
        self._places = dict(
            zip(
                groups[first].tolist(), zip(first.tolist(), ends.tolist(), strict=True), strict=True
            )
        )
        self.needed = needed_of(card)
        self.made = (*self._history.numbers, *(rule.name for rule in self._history.list_rules))
        self.rows = self.without = 0

    def beside(self, table: pa.Table) -> pa.Table:
        """Adds history columns to an Arrow table of raw rows; rows of one table do not see each
        other.
        """
        own = _keys(self._card, table)
        groups = own[GROUP].to_pandas().to_numpy(object)
        spans = [self._places.get(group, (0, 0)) for group in pd.unique(groups)]
        events = self._events.take(
            np.concatenate([np.arange(0), *(np.arange(*span) for span in spans)])
        )
        split = np.repeat(np.array([0, 1], np.int8), [events.num_rows, own.num_rows])
        both = {
            name: pa.concat_arrays([*events[name].chunks, *own[name].chunks])
            for name in own.column_names
        }
        codes = {name: both[_value(name)].dictionary_encode() for name in self._history.inputs}
        code = [of.indices.fill_null(-1).to_numpy(zero_copy_only=False) for of in codes.values()]
        acted = np.zeros((len(split), len(self._history.actions)), np.bool_)
        for at, name in enumerate(self._history.actions):
            acted[: events.num_rows, at] = events[_action(name)].to_numpy()
        group = both[GROUP].dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False)
        inputs = np.stack(code, axis=1) if code else np.empty((len(split), 0))
        rows = GroupRows(
            group.astype(np.int32),
            both[TIME].to_numpy(zero_copy_only=False),
            split,
            inputs.astype(np.int32),
            acted,
        )
        histories, new = past(rows, self._history, own_split=False), split == 1
        for at, name in enumerate(self._history.numbers):
            table = _with(table, name, pa.array(histories.numbers[new, at], from_pandas=True))
        for at, rule in enumerate(self._history.list_rules):
            table = _with(
                table, rule.name, _lists(histories.lists[new, at], codes[rule.of].dictionary)
            )
        self.rows += own.num_rows
        self.without += int((histories.numbers[new, 0] == 0).sum())
        return table


def kept_of_card(card: Card, home: Path, raw: Path | None, progress: Progress) -> KeptHistory:
    """The history of all rows of a card, to evaluate these same rows."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "history.parquet"
        write_history(card, path, home, raw, math.inf, progress)
        return KeptHistory(path, card)


def needed_of(card: Card) -> dict[str, Literal["number", "text"]]:
    """Raw columns that rows must have for a kept history -> how they are read."""
    inputs: dict[str, Literal["number", "text"]] = {
        source.column: "number" if source.derive else "text" for source in _sources(card).values()
    }
    return inputs | {card.history_time: "number", card.group or "": "text"}


def config_of(card: Card) -> HistoryConfig:
    """Returns the card's history; raises UserError if it has none."""
    if card.history is None:
        raise UserError(f"{card.key}: expected a card with [history], found none")
    return card.history


def _keys(card: Card, table: pa.Table) -> pa.Table:
    """Group, time and history inputs of raw rows, as text and numbers."""
    columns = {GROUP: _texts(as_text(table[card.group], card.missing))}
    columns[TIME] = pa.array(as_numbers(table[card.history_time], card.missing, card.history_time))
    for name, source in _sources(card).items():
        derived = source.derive is not None
        column = (
            pa.array(source.numbers(table), from_pandas=True) if derived else table[source.column]
        )
        columns[_value(name)] = _texts(as_text(column, () if derived else card.missing))
    return pa.table(columns)


def _sources(card: Card) -> dict[str, Source]:
    return {
        name: card.columns[name].source_of(name, card.missing) for name in config_of(card).inputs
    }


def _texts(text: Any) -> Any:
    values = pa.array([*text.values, None], pa.string())
    return values.take(pa.array(np.where(text.codes < 0, len(text.values), text.codes)))


def _lists(codes: NDArray[np.int32], values: pa.Array) -> pa.ListArray:
    there = codes >= 0
    ends = np.append(0, np.cumsum(there.sum(1))).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), values.take(pa.array(codes[there])))


def _with(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.append_column(name, column) if at < 0 else table.set_column(at, name, column)


def _value(name: str) -> str:
    return f"value_{name}"


def _action(name: str) -> str:
    return f"action_{name}"
