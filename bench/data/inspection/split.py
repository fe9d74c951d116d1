"""A split for a card: by time, by group, by file, by a column, or by chance; tried on the rows that were inspected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from bench.data.inspection.column import Counted
from bench.data.inspection.labels import Label
from bench.data.inspection.split_tables import TABLES
from bench.data.inspection.wish import Wish
from bench.data.splits import SPLITS, Assignment, SplitInput, SplitRule, halved, of_validation
from bench.data.values import Text
from bench.errors import UserError


@dataclass(frozen=True)
class Split:
    """For the card.

    Attributes:
        table: its `[split]`.
        why: sentences.
        counts: split -> (rows, task -> positives of a binary task).
        outside: rows in no split.
    """

    table: Mapping[str, Any]
    why: tuple[str, ...]
    counts: Mapping[str, tuple[int, Mapping[str, int]]]
    outside: int


def find_split(
    wish: Wish,
    files: Sequence[str],
    file: NDArray[np.int16],
    columns: Mapping[str, Counted],
    labels: Sequence[Label],
) -> Split:
    """The split, tried on rows.

    Args:
        files: names on the card.
        file: (N,) of each row.
        columns: the columns of N rows that the wish and the labels name.

    Raises:
        UserError: times that do not sort or are too few, a split that is empty, a task that lacks a class in one.
    """
    table, why = TABLES[wish.chosen](wish, files, file, columns)
    split = deal(table, wish, files, file, columns)
    counts = _counts(split, labels, columns)
    _check(counts, labels, split, columns, wish)
    return Split(table, why, counts, int((split < 0).sum()))


def deal(
    table: Mapping[str, Any], wish: Wish, files: Sequence[str], file: NDArray[np.int16], columns: Mapping[str, Counted]
) -> Assignment:
    """(N,) the split of each row by a card's `[split]`, with validation halved as the preparation does it."""
    rule: SplitRule = TypeAdapter(SplitRule).validate_python(table)
    by_time = wish.chosen == "time" or "valid_from" in table
    time = columns[wish.time] if by_time and wish.time is not None else None
    at = _text(columns[column]) if (column := table.get("column")) else None
    group = _text(columns[wish.group]) if wish.group is not None and table.get("unit") == "group" else None
    times = None if time is None else (_text(time) if time.numbers is None else time.of_rows)
    rows = SplitInput(tuple(files), file, times, group, at)
    together = wish.group or wish.hashed
    return halved(rule.assign(rows), rows, None if together is None else _text(columns[together]))


def _text(column: Counted) -> Text:
    """As the preparation sees it, but for values that its canonical form makes equal."""
    return Text(column.codes, tuple(column.texts()))


def _counts(
    split: Assignment, labels: Sequence[Label], columns: Mapping[str, Counted]
) -> dict[str, tuple[int, Mapping[str, int]]]:
    values = {label.name: label.values(columns) for label in labels if label.binary}
    found: dict[str, tuple[int, Mapping[str, int]]] = {}
    for number, name in enumerate(SPLITS):
        inside = split == number
        positives = {task: int((of_task[inside] == 1).sum()) for task, of_task in values.items()}
        found[name] = int(inside.sum()), positives
    return found


def _check(
    counts: Mapping[str, tuple[int, Mapping[str, int]]],
    labels: Sequence[Label],
    split: Assignment,
    columns: Mapping[str, Counted],
    wish: Wish,
) -> None:
    way_out = "give it a larger share, or choose another --split"
    for number, split_name in enumerate(SPLITS):
        rows, name = counts[split_name][0], f"'{split_name}'{of_validation(split_name)}"
        if rows == 0:
            raise UserError(f"the split by {wish.chosen} leaves {name} empty: {way_out}")
        for label in labels:
            seen = label.values(columns)[split == number]
            seen = seen[~np.isnan(seen)]
            if len(seen) == 0:
                raise UserError(f"task '{label.name}' has no label in {name} by a split by {wish.chosen}: {way_out}")
            if label.binary and not 0 < int((seen == 1).sum()) < len(seen):
                raise UserError(
                    f"task '{label.name}' needs both classes in {name}, but by a split by {wish.chosen} "
                    f"{int((seen == 1).sum()):,} of its {len(seen):,} rows are positive: {way_out}"
                )
