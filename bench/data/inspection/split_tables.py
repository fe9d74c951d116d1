"""The `[split]` of a card, for each kind of split that may be asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bench.data.inspection.column import Counted
from bench.data.inspection.times import check_sortable
from bench.data.inspection.wish import Kind, Wish
from bench.errors import UserError

Files = Sequence[str]
Columns = Mapping[str, Counted]
Proposal = tuple[dict[str, Any], tuple[str, ...]]
_EXACT = 2**53
_NAMES = {
    "train": ("train", "training", "tr", "trn"),
    "valid": ("valid", "validation", "val", "dev", "vali"),
    "test": ("test", "testing", "te", "tst", "eval", "holdout"),
}


def _by_time(wish: Wish, files: Files, columns: Columns) -> Proposal:
    assert wish.time is not None
    column = columns[wish.time]
    check_sortable(column)
    values: Any = column.texts() if column.numbers is None else column.numbers
    order = sorted(range(len(values)), key=values.__getitem__) if column.numbers is None else np.argsort(values)
    if len(order) < 3:
        raise UserError(f"--time: '{wish.time}' has {len(order)} distinct values; a split by time needs three or more")
    reached = np.cumsum(column.counts[order]) / column.known
    first_valid = 1 + int(np.argmin(np.abs(reached[:-2] - (1 - wish.valid - wish.test))))
    last = reached[first_valid:-1]
    first_test = first_valid + 1 + int(np.argmin(np.abs(last - (1 - wish.test))))
    ends = [_end(values, order, at, column.whole) for at in (first_valid, first_test)]
    table = {
        "kind": "time",
        "train": {"last": ends[0][0]},
        "valid": {"first": ends[0][1], "last": ends[1][0]},
        "test": {"first": ends[1][1]},
    }
    low, high = (_plain(values[order[at]], column.whole) for at in (0, -1))
    why = [
        "By time: what is served tomorrow is learnt today, so the latest rows are the test.",
        f"'{wish.time}' runs from {low} to {high}; rows of one time stay together.",
    ]
    if column.known < column.rows:
        why.append(f"{column.rows - column.known:,} rows have no time and are left out.")
    return table, tuple(why)


def _end(values: Any, order: Any, first: int, whole: bool) -> tuple[Any, Any]:
    """(the last value before, the first value) of a range; between whole numbers no gap is left."""
    start, before = (_plain(values[order[at]], whole) for at in (first, first - 1))
    if isinstance(start, int) and abs(start) < _EXACT:
        before = start - 1
    return before, start


def _plain(value: Any, whole: bool) -> int | float | str:
    if isinstance(value, str):
        return value
    return int(value) if whole else float(value)


def _by_hash(wish: Wish, files: Files, columns: Columns) -> Proposal:
    why = (
        f"By a hash of '{wish.hashed}': all rows of one value are in the same split, in today's files and tomorrow's,",
        "so that the test asks about values that train never saw.",
    )
    return {"kind": "hash", "column": wish.hashed, "valid": wish.valid, "test": wish.test}, why


def _by_chance(wish: Wish, files: Files, columns: Columns) -> Proposal:
    unit = "row" if wish.group is None else "group"
    why = [f"By a seeded draw for each {unit}."]
    if wish.time is None:
        why.append("If the rows have a time, a split by time (--time COLUMN) is closer to what is served.")
    return {"kind": "random", "unit": unit, "valid": wish.valid, "test": wish.test}, tuple(why)


def _by_files(wish: Wish, files: Files, columns: Columns) -> Proposal:
    if len(files) < 2:
        raise UserError(f"--split files: expected two files or more, found {len(files)}")
    *train, test = files
    if len(train) > 1:
        *train, valid = train
        why = "By file, in the order they were given: the last is test, the one before it valid."
        return {"kind": "files", "train": train, "valid": [valid], "test": [test]}, (why,)
    why = "By file, in the order they were given: the last is test; valid is drawn from train."
    return {"kind": "files", "train": train, "test": [test], "valid_fraction": wish.valid}, (why,)


def _by_column(wish: Wish, files: Files, columns: Columns) -> Proposal:
    assert wish.column is not None
    texts = columns[wish.column].texts(1000)
    table: dict[str, Any] = {"kind": "column", "column": wish.column}
    for name, spellings in _NAMES.items():
        table[name] = [text for text in texts if text.lower() in spellings]
        if not table[name]:
            raise UserError(
                f"--split-column: '{wish.column}': expected a value such as {', '.join(spellings[:3])} for {name}, "
                f"found {', '.join(map(repr, texts[:10]))}"
            )
    rest = [text for text in texts if text not in (*table["train"], *table["valid"], *table["test"])]
    left = f" Rows with another value ({', '.join(map(repr, rest[:5]))}) are left out." if rest else ""
    return table, (f"By '{wish.column}', which says where a row belongs.{left}",)


TABLES: dict[Kind, Callable[[Wish, Files, Columns], Proposal]] = {
    "time": _by_time,
    "hash": _by_hash,
    "random": _by_chance,
    "files": _by_files,
    "column": _by_column,
}
"""Kind -> function (wish, files on the card, columns) -> `[split]` of the card, and why, in sentences."""
