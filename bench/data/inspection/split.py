"""A split for a card: by time, by group, by file, by a column, or by chance; tried on the rows that
were inspected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from bench.core.arrays import Mask
from bench.core.errors import UserError
from bench.data.checks import DIGITS
from bench.data.inspection.column import Counted
from bench.data.inspection.labels import Labels, read
from bench.data.inspection.names import is_event_time, is_request, words
from bench.data.inspection.sample import InspectedRows
from bench.data.splits import (
    NAMED,
    SPLITS,
    Assignment,
    SplitInput,
    SplitRule,
    Time,
    halved,
    time_key,
)
from bench.data.two_passes import LabelCounts
from bench.data.values import Text

SplitKind = Literal["time", "hash", "random", "files", "column"]


@dataclass(frozen=True)
class Wish:
    """What the user asks for; without a kind it is chosen by what else is given.

    `column` is what a split by hash or by column goes by.
    """

    kind: SplitKind | None = None
    valid: float = 0.1
    test: float = 0.1
    time: str | None = None
    group: str | None = None
    column: str | None = None

    @property
    def chosen(self) -> SplitKind:
        """By time where there is one, else by group, else by chance."""
        by_hash = self.group is not None or self.column is not None
        return self.kind or ("time" if self.time is not None else "hash" if by_hash else "random")

    @property
    def hashed(self) -> str | None:
        """The column whose values a split by hash keeps together."""
        return (self.column or self.group) if self.chosen == "hash" else None

    def check(self) -> None:
        """Raises UserError for shares that leave nothing, or a kind that lacks its column."""
        if min(self.valid, self.test) <= 0 or self.valid + self.test >= 1:
            found = f"--valid {self.valid:g} --test {self.test:g}"
            raise UserError(
                f"expected shares above 0 that leave something for train, found {found}"
            )
        needed = {"time": self.time, "hash": self.hashed, "column": self.column}
        if needed.get(self.chosen, "") is None:
            option = "--time COLUMN" if self.chosen == "time" else "--split-column COLUMN"
            raise UserError(f"--split {self.chosen}: expected {option}, found none")
        if self.column is not None and self.chosen not in ("hash", "column"):
            raise UserError(
                f"--split-column is for a split by column or by hash, not by {self.chosen}"
            )


@dataclass(frozen=True)
class ProposedSplit:
    """`[split]` of the card, why, in sentences, what each split holds, and the rows in none."""

    table: Mapping[str, Any]
    why: tuple[str, ...]
    counts: Mapping[str, LabelCounts]
    outside: int


def seen_group(
    sample: InspectedRows, taken: Collection[str], is_named: Callable[[str], bool]
) -> str | None:
    """The one column of such a name, beside those taken, that has some rows of each value."""
    named = [name for name in sample.table.column_names if name not in taken and is_named(name)]
    found = [
        column.name
        for column in map(sample.column, named)
        if column.single and _groups_rows(column)
    ]
    return found[0] if len(found) == 1 else None


def _groups_rows(column: Counted) -> bool:
    """Whether every row has a value, and a value has from 1.5 to 500 rows on average."""
    values = len(column.counts)
    return (
        column.known == len(column.codes) and values >= 50 and 1.5 <= column.known / values <= 500
    )


def seen_time(sample: InspectedRows, taken: Collection[str]) -> str | None:
    """The column, beside those taken, that is named like the time of a row and holds times; of
    several the finest.
    """
    named = [
        name for name in sample.table.column_names if name not in taken and is_event_time(name)
    ]
    found = [column for column in map(sample.column, named) if _holds_times(column)]
    finest = max(found, key=lambda column: len(column.counts), default=None)
    return None if finest is None else finest.name


def _holds_times(column: Counted) -> bool:
    """Whether every row has a time, and times sort."""
    if not column.single or column.known < len(column.codes):
        return False
    if not column.is_time and not any(fits.all() for fits in column.epochs.values()):
        return False
    try:
        return len(timeline(column)[0]) > 2
    except UserError:
        return False


Found = tuple[dict[str, Any], tuple[str, ...]]


def find_split(wish: Wish, sample: InspectedRows, labels: Labels) -> ProposedSplit:
    """The split, tried on the rows.

    Raises UserError if times do not sort or are too few, a split is empty, or a task lacks a class
    in one.
    """
    late = [
        label.y for label in labels.values() if label.rule.matures
    ]  # their rows are those at hand
    shares = {"valid": wish.valid, "test": wish.test}
    if wish.time is not None and wish.chosen == "time":
        known = np.asarray(np.isfinite(late).all(axis=0))
        whole = (
            sample.column(wish.group) if wish.group is not None and is_request(wish.group) else None
        )
        table, why = _by_time(wish, sample.column(wish.time), known, whole)
    elif wish.chosen in ("files", "column"):
        table, why = _by_name(wish, sample)
    elif wish.chosen == "hash":
        table = {"kind": "hash", "column": wish.hashed} | shares
        why = (
            f"By a hash of '{wish.hashed}': all rows of one value are in the same split, in "
            "today's files and tomorrow's, so that the test asks about values that train never "
            "saw.",
        )
    else:
        unit = "row" if wish.group is None else "group"
        table = {"kind": "random", "unit": unit} | shares
        later = "If the rows have a time, a split by time is closer to what is served."
        why = (f"By a seeded draw for each {unit}. {later}",)
    split, counts = assigned(table, wish, sample), dict[str, LabelCounts]()
    rules = [label.rule for label in labels.values()]
    values = np.column_stack([of.y if late else read(of.rule, sample) for of in labels.values()])
    for number, name in enumerate(SPLITS):
        counts[name] = LabelCounts(rules, f"by a split by {wish.chosen}")
        counts[name].add(values[split == number])
        try:
            counts[name].check(name, "no row is in it")
        except UserError as error:
            raise UserError(f"{error}; give it a larger share, or choose another --split") from None
    return ProposedSplit(table, why, counts, int((split < 0).sum()))


def assigned(table: Mapping[str, Any], wish: Wish, sample: InspectedRows) -> Assignment:
    """(N,) the split of each row by a card's `[split]`, with validation halved as the preparation
    does it.
    """

    def text(
        name: str | None,
    ) -> Text | None:  # as the preparation sees it, except equal canonical forms
        return None if name is None else Text((of := sample.column(name)).codes, tuple(of.texts()))

    rule: SplitRule = TypeAdapter(SplitRule).validate_python(table)
    times: NDArray[np.float64] | Text | None = None
    if wish.time is not None and (wish.chosen == "time" or "valid_from" in table):
        time = sample.column(wish.time)
        times = text(wish.time) if time.numbers is None else time.of_rows
    group = text(wish.group)
    given = SplitInput(tuple(sample.files), sample.file, times, group, text(table.get("column")))
    return halved(rule.assign(given), given, group or text(wish.hashed))


_FORM = re.compile(r"0000([-/.])00(?:\1)00([TZ ]00:00(:00([.,]0+)?)?)?")


def timeline(column: Counted) -> tuple[list[Time], NDArray[np.int64]]:
    """The distinct times of a column in order, and the place among them of each row's (N,), -1
    where it has none.

    Raises UserError where values do not sort as time does: times in two units, or texts of several
    forms.
    """
    where, texts = f"--time: '{column.name}'", column.texts()
    if not texts:
        raise UserError(f"{where}: expected times, found no value")
    times: list[Time] = [*texts]
    if column.numbers is not None:
        units = {unit: fits for unit, fits in column.epochs.items() if fits.any()}
        if len(units) > 1 and np.any([*units.values()], axis=0).all():
            raise UserError(
                f"{where}: expected times in one unit, found {' and '.join(units)} since 1970"
            )
        whole = column.whole and abs(column.numbers).max() < 2**63  # TOML has no larger integers
        times = [int(number) if whole else number for number in column.numbers.tolist()]
    try:
        keys = np.array([time_key(time) for time in times], object)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None
    if column.numbers is None and column.type == "text":
        forms: dict[str, str] = {}
        for key, text in zip(keys, texts, strict=True):
            forms.setdefault(key.translate(DIGITS), text)
        if len(forms) > 1 or not _FORM.fullmatch(min(forms)):
            expected = "numbers, or texts of one form such as 2024-03-01 or 2024-03-01 10:00:00"
            found = " beside ".join(map(repr, [*forms.values()][:2]))
            raise UserError(f"{where}: expected {expected}, found {found}")
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    return [times[at] for at in first.tolist()], np.append(place, -1)[column.codes]


MOST_BETWEEN = 0.01
"""Share of rows that may be left out between two splits, so that no request has rows in both."""


def _by_time(wish: Wish, column: Counted, known: Mask, whole: Counted | None) -> Found:
    """The split by a column of times.

    Args:
        known: (N,) whether all labels of a row are; one truth stands for all rows.
        whole: the column whose values shall not be parted, as a request's rows follow each other at
            once.
    """
    times, place = timeline(column)
    counted = place[(place >= 0) & known]
    if (latest := int(counted.max(initial=0))) < 2:
        raise UserError(
            f"--time: '{wish.time}': expected labels known at three times or more, found "
            f"{latest + 1}"
        )
    reached = np.cumsum(np.bincount(counted)) / len(counted)
    first_valid = 1 + int(np.argmin(np.abs(reached[:-2] - (1 - wish.valid - wish.test))))
    first_test = first_valid + 1 + int(np.argmin(np.abs(reached[first_valid:-1] - (1 - wish.test))))
    why = [
        "By time: what is served tomorrow is learnt today, so the latest rows are the test.",
        f"'{wish.time}' runs from {times[0]} to {times[-1]}; rows of one time stay together.",
    ]
    ends = [first_valid, first_test]
    if whole is not None:
        ends, clause = _ends_between(ends, place, whole)
        why.append(clause)

    def before(at: int) -> Time:  # between whole numbers no gap is left
        start = times[at]
        return start - 1 if isinstance(start, int) and abs(start) < 2**53 else times[at - 1]

    table: dict[str, Any] = {
        "kind": "time",
        "train": {"last": before(ends[0])},
        "valid": {"first": times[first_valid], "last": before(ends[1])},
        "test": {"first": times[first_test]},
    }
    if latest < len(times) - 1:
        table["test"]["last"] = times[latest]
        why.append(f"Labels of rows after {times[latest]} are open, so these are in no split.")
    if untimed := len(place) - column.known:
        why.append(f"{untimed:,} {'row has' if untimed == 1 else 'rows have'} no time; left out.")
    return table, tuple(why)


def _ends_between(
    cuts: list[int], place: NDArray[np.int64], whole: Counted
) -> tuple[list[int], str]:
    """For each cut the place (N,) in time before which the split ends, so that no value has rows in
    two; and a clause.

    Where that would leave out too many rows, splits end at the cuts.
    """
    dated = (place >= 0) & (whole.codes >= 0)
    first = np.full(len(whole.counts), place.max() + 1)
    last = np.full(len(whole.counts), -1)
    np.minimum.at(first, whole.codes[dated], place[dated])
    np.maximum.at(last, whole.codes[dated], place[dated])
    parted = [(first < cut) & (cut <= last) for cut in cuts]
    ends = [int(first[values].min(initial=cut)) for cut, values in zip(cuts, parted, strict=True)]
    between = sum(
        int(((end <= place) & (place < cut)).sum()) for end, cut in zip(ends, cuts, strict=True)
    )
    if ends[0] == 0 or ends[1] <= cuts[0] or between > MOST_BETWEEN * len(place):
        values = int(np.any(parted, axis=0).sum())
        return cuts, f"{values:,} values of '{whole.name}' have rows in two splits."
    left_out = f": {between:,} rows between splits are in none" if between else ""
    return ends, f"No value of '{whole.name}' has rows in two splits{left_out}."


_SAID = {
    "train": {"train", "training"},
    "valid": {"valid", "validation", "val", "dev"},
    "test": {"test", "testing", "holdout"},
}


def said_splits(names: Sequence[str]) -> dict[str, list[str]]:
    """Split -> the names that say it, such as `test.csv`; under "" those that say none, or two."""
    found: dict[str, list[str]] = {name: [] for name in (*NAMED, "")}
    for name in names:
        said = [split for split, known in _SAID.items() if known.intersection(words(name))]
        found[said[0] if len(said) == 1 else ""].append(name)
    return found


def is_published(names: Sequence[str], each: bool = False) -> bool:
    """Whether names of files or values of a column tell train and test apart: it is the publisher's
    split.

    Args:
        each: whether all of them have to say where they belong.
    """
    said = said_splits(names)
    return bool(said["train"] and said["test"] and not (each and said[""]))


def _by_name(wish: Wish, sample: InspectedRows) -> Found:
    """By the names of files or the values of a column; valid is taken from train where none is
    named.
    """
    if wish.column is None or wish.chosen == "files":
        names, codes, table = list(sample.files), sample.file.astype(np.int32), {"kind": "files"}
        if len(names) < 2:
            raise UserError(f"--split files: expected two files or more, found {len(names)}")
        parts, how = said_splits(names), "By file, as their names say."
        parts["train"] += parts[""]
        if not (parts["train"] and parts["test"]):
            first = len(names) - (2 if len(names) > 2 else 1)
            parts = {"train": names[:first], "valid": names[first:-1], "test": names[-1:]}
            how = (
                "By file, in the order they were given: the last is test, of three or more the "
                "one before it valid."
            )
    else:
        column = sample.column(wish.column)
        names, codes, table = (
            column.texts(),
            column.codes,
            {"kind": "column", "column": wish.column},
        )
        parts = said_splits(names)
        left = (
            f" Rows with another value ({', '.join(map(repr, parts[''][:5]))}) are left out."
            if parts[""]
            else ""
        )
        how = f"By '{wish.column}', which says where a row belongs.{left}"
        if lacking := next((name for name in ("train", "test") if not parts[name]), None):
            found = ", ".join(map(repr, names[:10]))
            raise UserError(
                f"--split-column: '{wish.column}': expected a value such as {lacking}, found "
                f"{found}"
            )
    split: dict[str, Any] = table | {name: parts[name] for name in NAMED if parts[name]}
    if parts["valid"]:
        return split, (how,)
    train, test = (
        np.append(np.isin(names, parts[name]), False)[codes] for name in ("train", "test")
    )
    taken, why = _valid_of(wish, sample, train, test)
    return split | taken, (
        how,
        f"None of them is for validation, so valid is taken from train: {why}.",
    )


def _valid_of(
    wish: Wish, sample: InspectedRows, train: Mask, test: Mask
) -> tuple[dict[str, Any], str]:
    """Which part of train (N,) is valid, so that it differs from train as test (N,) does; and a
    clause on it.
    """
    if wish.time is not None:
        times, place = timeline(sample.column(wish.time))
        at, of_test = np.sort(place[train & (place >= 0)]), place[test & (place >= 0)]
        if len(at) and len(of_test):
            first = int(at[min(int(len(at) * (1 - wish.valid)), len(at) - 1)])
            if np.median(of_test) >= first > at[0]:
                why = (
                    f"its rows from '{wish.time}' {times[first]} on, since test is later than train"
                )
                return {"valid_from": times[first]}, why
    taken: dict[str, Any] = {"valid_fraction": wish.valid}
    if wish.group is not None and test.any():
        codes = sample.column(wish.group).codes
        if np.isin(codes[test], codes[train]).mean() <= 0.05:
            why = (
                f"{wish.valid:.0%} of '{wish.group}', by its hash, since test has other values "
                "of it than train"
            )
            return taken | {"unit": "group"}, why
    return taken, f"{wish.valid:.0%} of its rows, by a seeded draw"
