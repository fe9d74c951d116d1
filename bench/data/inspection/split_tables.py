"""The `[split]` of a card, for each kind of split that may be asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.inspection.column import Counted
from bench.data.inspection.names import words
from bench.data.inspection.times import check_sortable
from bench.data.inspection.wish import Kind, Wish
from bench.errors import UserError

Files = Sequence[str]
Columns = Mapping[str, Counted]
Proposal = tuple[dict[str, Any], tuple[str, ...]]
Of = NDArray[np.int16]
_EXACT = 2**53
_NAMES = {
    "train": ("train", "training", "tr", "trn"),
    "valid": ("valid", "validation", "val", "dev", "vali"),
    "test": ("test", "testing", "te", "tst", "eval", "holdout"),
}
_IN_FILES = {"train", "training", "valid", "validation", "val", "test", "testing", "holdout"}
"""Spellings that are taken for a split's name in the name of a file; the shorter ones may mean anything there."""
_FEW_SHARED = 0.05
"""Share of test's rows whose group train knows, up to which the test is taken for one of new groups."""


def _by_time(wish: Wish, files: Files, of: Of, columns: Columns) -> Proposal:
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


def _by_hash(wish: Wish, files: Files, of: Of, columns: Columns) -> Proposal:
    why = (
        f"By a hash of '{wish.hashed}': all rows of one value are in the same split, in today's files and tomorrow's,",
        "so that the test asks about values that train never saw.",
    )
    return {"kind": "hash", "column": wish.hashed, "valid": wish.valid, "test": wish.test}, why


def _by_chance(wish: Wish, files: Files, of: Of, columns: Columns) -> Proposal:
    unit = "row" if wish.group is None else "group"
    why = [f"By a seeded draw for each {unit}."]
    if wish.time is None:
        why.append("If the rows have a time, a split by time (--time COLUMN) is closer to what is served.")
    return {"kind": "random", "unit": unit, "valid": wish.valid, "test": wish.test}, tuple(why)


def _by_files(wish: Wish, files: Files, of: Of, columns: Columns) -> Proposal:
    if len(files) < 2:
        raise UserError(f"--split files: expected two files or more, found {len(files)}")
    parts = named_files(files)
    how = "By file, as their names say."
    if parts is None:
        first = len(files) - (2 if len(files) > 2 else 1)
        parts = {"train": [*files[:first]], "valid": [*files[first:-1]], "test": [files[-1]]}
        how = "By file, in the order they were given: the last is test"
        how += ", the one before it valid." if parts["valid"] else "."
    table: dict[str, Any] = {"kind": "files"} | {name: list(part) for name, part in parts.items()}
    if parts["valid"]:
        return table, (how,)
    train, test = (np.isin(of, [files.index(name) for name in parts[split]]) for split in ("train", "test"))
    return _with_valid(table, how, wish, columns, train, test)


def named_files(files: Files) -> dict[str, list[str]] | None:
    """Split -> files, where names of files tell train and test apart; a file whose name says nothing is train's."""
    found: dict[str, list[str]] = {name: [] for name in _NAMES}
    for file in files:
        parts = _IN_FILES.intersection(words(file))
        told = [name for name, spellings in _NAMES.items() if parts.intersection(spellings)]
        if len(told) > 1:
            return None
        found[told[0] if told else "train"].append(file)
    return found if found["train"] and found["test"] else None


def _by_column(wish: Wish, files: Files, of: Of, columns: Columns) -> Proposal:
    assert wish.column is not None
    column = columns[wish.column]
    texts = column.texts(1000)
    table: dict[str, Any] = {"kind": "column", "column": wish.column}
    for name, spellings in _NAMES.items():
        table[name] = [text for text in texts if text.lower() in spellings]
        if not table[name] and name != "valid":
            raise UserError(
                f"--split-column: '{wish.column}': expected a value such as {', '.join(spellings[:3])} for {name}, "
                f"found {', '.join(map(repr, texts[:10]))}"
            )
    rest = [text for text in texts if text not in (*table["train"], *table["valid"], *table["test"])]
    left = f" Rows with another value ({', '.join(map(repr, rest[:5]))}) are left out." if rest else ""
    how = f"By '{wish.column}', which says where a row belongs.{left}"
    if table["valid"]:
        return table, (how,)
    all_texts = [*column.texts(), None]
    train, test = (np.array([text in table[name] for text in all_texts])[column.codes] for name in ("train", "test"))
    return _with_valid(table, how, wish, columns, train, test)


def _with_valid(
    table: dict[str, Any], how: str, wish: Wish, columns: Columns, train: NDArray[np.bool_], test: NDArray[np.bool_]
) -> Proposal:
    """Valid, taken from train in the way in which test differs from it.

    Args:
        train: (N,) rows of train, valid among them.
        test: (N,) rows of test.
    """
    del table["valid"]
    none = "None of them is for validation, so valid is taken from train"
    if wish.time is not None:
        start = _late(columns[wish.time], wish.valid, train, test)
        if start is not None:
            why = f"{none}: its rows from '{wish.time}' {start} on, since test is later than train."
            return table | {"valid_from": start}, (how, why)
    table["valid_fraction"] = wish.valid
    why = f"{none}: {wish.valid:.0%} of its rows, by a seeded draw."
    if wish.group is not None:
        codes = columns[wish.group].codes
        known = float(np.isin(codes[test], np.unique(codes[train])).mean()) if test.any() else 0.0
        if known <= _FEW_SHARED:
            table["unit"] = "group"
            why = (
                f"{none}: {wish.valid:.0%} of '{wish.group}', by its hash, since test has other values of it "
                f"than train ({known:.1%} of its rows have one that train knows)."
            )
    return table, (how, why)


def _late(column: Counted, share: float, train: NDArray[np.bool_], test: NDArray[np.bool_]) -> int | float | str | None:
    """The time from which on train's rows are that share of it; None where test is not later than most of train."""
    check_sortable(column)
    values: Any = column.texts() if column.numbers is None else column.numbers
    order = np.array(sorted(range(len(values)), key=values.__getitem__))
    place = np.empty(len(order) + 1, np.int64)
    place[order], place[-1] = np.arange(len(order)), -1
    of_row = place[column.codes]
    at, of_test = np.sort(of_row[train & (of_row >= 0)]), of_row[test & (of_row >= 0)]
    if len(at) == 0 or len(of_test) == 0:
        return None
    first = int(at[min(int(len(at) * (1 - share)), len(at) - 1)])
    if np.median(of_test) < first or first == at[0]:
        return None
    return _plain(values[order[first]], column.whole)


TABLES: dict[Kind, Callable[[Wish, Files, Of, Columns], Proposal]] = {
    "time": _by_time,
    "hash": _by_hash,
    "random": _by_chance,
    "files": _by_files,
    "column": _by_column,
}
"""Kind -> function (wish, files on the card, (N,) file of each row, columns) -> `[split]` of the card, and why."""
