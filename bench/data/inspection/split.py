"""A split for a card: by time, by group, by file, by a column, or by chance; tried on the rows that were inspected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from bench.data.inspection.column import Counted
from bench.data.inspection.labels import Labels, read
from bench.data.inspection.names import CYCLES, has_word, words
from bench.data.inspection.times import check_sortable
from bench.data.splits import (
    CONFIRM,
    SPLITS,
    Assignment,
    SplitInput,
    SplitRule,
    Time,
    halved,
    of_validation,
    time_key,
)
from bench.data.values import Text
from bench.errors import UserError
from bench.objectives import random_ndcg, ranked_by_group

Kind = Literal["time", "hash", "random", "files", "column"]


@dataclass(frozen=True)
class Wish:
    """What the user asks for; without a kind it is chosen by what else is given."""

    kind: Kind | None = None
    valid: float = 0.1
    test: float = 0.1
    time: str | None = None
    group: str | None = None
    column: str | None = None
    """That a split by hash or by column goes by."""

    @property
    def chosen(self) -> Kind:
        """By time where there is one, else by group, else by chance."""
        if self.kind is not None:
            return self.kind
        if self.time is not None:
            return "time"
        return "hash" if self.group is not None or self.column is not None else "random"

    @property
    def hashed(self) -> str | None:
        """The column whose values a split by hash keeps together."""
        return (self.column or self.group) if self.chosen == "hash" else None

    def check(self) -> None:
        """Raises UserError for shares that leave nothing, or a kind that lacks its column."""
        for name in ("valid", "test"):
            if not 0 < getattr(self, name) < 1:
                raise UserError(f"--{name}: expected a share between 0 and 1, found {getattr(self, name):g}")
        if self.valid + self.test >= 1:
            raise UserError(f"nothing is left for train: --valid {self.valid:g} and --test {self.test:g} reach 1")
        needs = {
            "time": (self.time, "--time COLUMN"),
            "hash": (self.hashed, "--group COLUMN or --split-column COLUMN"),
            "column": (self.column, "--split-column COLUMN"),
        }
        column, wanted = needs.get(self.chosen, ("", ""))
        if column is None:
            raise UserError(f"--split {self.chosen}: expected {wanted}, found none")
        if self.column is not None and self.chosen not in ("hash", "column"):
            raise UserError(f"--split-column is for a split by column or by hash, not by {self.chosen}")


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


def _timeline(column: Counted) -> tuple[list[Time], NDArray[np.int64]]:
    """The distinct times of a column in order, and the place among them of each row's (N,), -1 where it has none."""
    check_sortable(column)
    if column.numbers is None:
        times: list[Time] = [*column.texts()]
    else:
        whole = column.whole and abs(column.numbers).max() < 2**63  # TOML has no larger integers
        times = [int(number) if whole else number for number in column.numbers.tolist()]
    try:
        keys = np.array([time_key(time) for time in times], object)
    except ValueError as error:
        raise UserError(f"--time: '{column.name}': {error}") from None
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    return [times[at] for at in first.tolist()], np.append(place, -1)[column.codes]


def _by_time(wish: Wish, columns: Columns) -> Proposal:
    assert wish.time is not None
    column = columns[wish.time]
    times, place = _timeline(column)
    if len(times) < 3:
        raise UserError(f"--time: '{wish.time}' has {len(times)} distinct values; a split by time needs three or more")
    reached = np.cumsum(np.bincount(place[place >= 0])) / column.known
    first_valid = 1 + int(np.argmin(np.abs(reached[:-2] - (1 - wish.valid - wish.test))))
    first_test = first_valid + 1 + int(np.argmin(np.abs(reached[first_valid:-1] - (1 - wish.test))))
    first, last = times[0], times[-1]
    if has_word(wish.time, CYCLES) and isinstance(first, int) and isinstance(last, int) and 0 <= first <= last < 60:
        raise UserError(
            f"--time: expected a time that goes on from day to day, found '{wish.time}' from {first} to {last}, "
            "which says nothing of the day"
        )

    def before(number: int) -> Time:  # between whole numbers no gap is left
        start = times[number]
        return start - 1 if isinstance(start, int) and abs(start) < _EXACT else times[number - 1]

    table = {
        "kind": "time",
        "train": {"last": before(first_valid)},
        "valid": {"first": times[first_valid], "last": before(first_test)},
        "test": {"first": times[first_test]},
    }
    why = [
        "By time: what is served tomorrow is learnt today, so the latest rows are the test.",
        f"'{wish.time}' runs from {first} to {last}; rows of one time stay together.",
    ]
    if column.known < column.rows:
        untimed = column.rows - column.known
        why.append(f"{untimed:,} {'row has' if untimed == 1 else 'rows have'} no time; left out.")
    return table, tuple(why)


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


def is_published(column: Counted) -> bool:
    """Whether the values of a column are names of splits, train's and test's among them: the publisher's split."""
    if not column.single or len(column.counts) > 10:
        return False
    values = {text.lower() for text in column.texts()}
    known = [values.intersection(spellings) for spellings in _NAMES.values()]
    return bool(known[0] and known[-1]) and set().union(*known) == values


def _by_column(wish: Wish, columns: Columns) -> Proposal:
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
    """Valid, taken from the rows of train (N,) in the way in which test differs from them."""
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


def _late(column: Counted, share: float, train: NDArray[np.bool_], test: NDArray[np.bool_]) -> Time | None:
    """The time from which on train's rows are that share of it; None where test is not later than most of train."""
    times, place = _timeline(column)
    at, of_test = np.sort(place[train & (place >= 0)]), place[test & (place >= 0)]
    if len(at) == 0 or len(of_test) == 0:
        return None
    first = int(at[min(int(len(at) * (1 - share)), len(at) - 1)])
    return None if np.median(of_test) < first or first == at[0] else times[first]


@dataclass(frozen=True)
class Split:
    """`[split]` of the card, and why, in sentences."""

    table: Mapping[str, Any]
    why: tuple[str, ...]
    counts: Mapping[str, tuple[int, Mapping[str, tuple[float, int]]]]
    """Split -> (rows, task -> (sum of its labels, rows with a label))."""
    outside: int
    """Rows in no split."""


def find_split(wish: Wish, files: Files, file: Of, columns: Columns, labels: Labels) -> Split:
    """The split, tried on N rows, of each its file and the columns that the wish and the labels name.

    Raises:
        UserError: times that do not sort or are too few, a split that is empty, a task that lacks a class in one.
    """
    table, why = _proposed(wish, files, file, columns)
    split = assigned(table, wish, files, file, columns)
    values = {name: read(label.rule, columns) for name, label in labels.items()}
    counts: dict[str, tuple[int, Mapping[str, tuple[float, int]]]] = {}
    by, way_out = f"by a split by {wish.chosen}", "give it a larger share, or choose another --split"
    for number, split_name in enumerate(SPLITS):
        inside, name = split == number, f"'{split_name}'{of_validation(split_name)}"
        if not inside.any():
            raise UserError(f"the split by {wish.chosen} leaves {name} empty: {way_out}")
        sums = dict[str, tuple[float, int]]()
        for task, label in labels.items():
            seen = values[task][inside]
            seen = seen[~np.isnan(seen)]
            if len(seen) == 0:
                raise UserError(f"task '{task}' has no label in {name} {by}: {way_out}")
            happened = float(seen.sum())
            sums[task] = happened, len(seen)
            if label.binary and not 0 < happened < len(seen):
                raise UserError(
                    f"task '{task}' needs both classes in {name}, but {by} {happened:,.0f} of its {len(seen):,} "
                    f"rows are positive: {way_out}"
                )
        counts[split_name] = int(inside.sum()), sums
    return Split(table, why + _unranked(wish, columns, split == CONFIRM), counts, int((split < 0).sum()))


def _unranked(wish: Wish, columns: Columns, inside: NDArray[np.bool_]) -> tuple[str, ...]:
    """In what rows are ranked, and what a random order has; a warning where rows have no group.

    Args:
        inside: (N,), the rows that are served, whose groups are looked at.
    """
    if wish.group is None:
        return ()
    column = columns[wish.group]
    sizes = np.unique(column.codes[inside & (column.codes >= 0)], return_counts=True)[1]
    if len(sizes) and not ranked_by_group(sizes):
        return (
            f"A value of '{wish.group}' has only {sizes.mean():.1f} rows on average in validation. A random order of "
            f"so few has an ndcg@5 of {random_ndcg(sizes):.2f}, so outcomes are of all rows together. As --group, name "
            "a column such as the user or the request.",
        )
    ranked = (
        f"Rows are ranked within a value of '{wish.group}': trials are compared by the area under the curve there, and"
    )
    found = [f"{ranked} a random order has an ndcg@5 of about {random_ndcg(sizes):.2f}."] if len(sizes) else []
    if column.missing_rate:
        found.append(f"{column.missing_rate:.1%} of the rows have no '{wish.group}': outcomes by group leave them out.")
    return tuple(found)


def _proposed(wish: Wish, files: Files, of: Of, columns: Columns) -> Proposal:
    """`[split]` of the card, and why; `of` (N,) is the file of each row."""
    match wish.chosen:
        case "time":
            return _by_time(wish, columns)
        case "files":
            return _by_files(wish, files, of, columns)
        case "column":
            return _by_column(wish, columns)
        case "hash":
            why = (
                f"By a hash of '{wish.hashed}': all rows of one value are in the same split, in today's files and "
                "tomorrow's, so that the test asks about values that train never saw."
            )
            return {"kind": "hash", "column": wish.hashed, "valid": wish.valid, "test": wish.test}, (why,)
    unit = "row" if wish.group is None else "group"
    by_chance = [f"By a seeded draw for each {unit}."]
    if wish.time is None:
        by_chance.append("If the rows have a time, a split by time (--time COLUMN) is closer to what is served.")
    return {"kind": "random", "unit": unit, "valid": wish.valid, "test": wish.test}, tuple(by_chance)


def assigned(table: Mapping[str, Any], wish: Wish, files: Files, file: Of, columns: Columns) -> Assignment:
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
    """As the preparation sees it, except values that its canonical form makes equal."""
    return Text(column.codes, tuple(column.texts()))
