"""A split for a card: by time, by group, by file, by a column, or by chance; tried on the rows that
were inspected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, TypeAdapter

from bench.core.arrays import Floats, Ints, Mask
from bench.core.errors import UserError
from bench.core.option import Option
from bench.core.registry import Config
from bench.data.checks import spelling
from bench.data.inspection.column import Counted
from bench.data.inspection.labels import Labels
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
from bench.data.values import Text, by_code

SplitKind = Literal["time", "hash", "random", "files", "column"]
Table = dict[str, Any]
"""`[split]` of a card."""


def _kind(value: object) -> object:
    return "hash" if value == "group" else value


class Wish(Config):
    """What the user asks of the split; without a kind it is chosen by what else is given."""

    kind: Annotated[
        SplitKind | None,
        BeforeValidator(_kind),
        Option("split", "time|group|hash|random|files|column"),
    ] = None
    """Kind of split; default: by time, group or at random, as given."""
    valid: float = 0.1
    """Share of rows for validation."""
    test: float = 0.1
    """Share of rows for the test."""
    time: str | None = None
    """Column of the time; the latest rows become the test."""
    group: str | None = None
    """Column whose rows are ranked together, such as a user."""
    column: Annotated[str | None, Option("split-column")] = None
    """Column of a split by column or by hash."""

    @property
    def chosen(self) -> SplitKind:
        """By time where there is one, else by group, else by chance."""
        if self.kind is not None:
            return self.kind
        if self.time is not None:
            return "time"
        return "random" if self.group is None and self.column is None else "hash"

    @property
    def hashed(self) -> str | None:
        """The column whose values a split by hash keeps together."""
        if self.chosen != "hash":
            return None
        return self.column or self.group

    def check(self) -> None:
        """Raises UserError for shares that leave nothing, or a kind that lacks its column."""
        if min(self.valid, self.test) <= 0 or self.valid + self.test >= 1:
            raise UserError(
                "expected shares above 0 that leave something for train, found "
                f"--valid {self.valid:g} --test {self.test:g}"
            )
        columns = {"time": self.time, "hash": self.hashed, "column": self.column}
        if self.chosen in columns and columns[self.chosen] is None:
            option = "--time COLUMN" if self.chosen == "time" else "--split-column COLUMN"
            raise UserError(f"--split {self.chosen}: expected {option}, found none")
        if self.column is not None and self.chosen not in ("hash", "column"):
            raise UserError(
                f"--split-column is for a split by column or by hash, not by {self.chosen}"
            )


@dataclass(frozen=True)
class ProposedSplit:
    """A split tried on the rows: what each split holds, and how many rows are in none."""

    table: Table
    why: Sequence[str]
    """Sentences."""
    counts: Mapping[str, LabelCounts]
    outside: int


def seen_group(
    sample: InspectedRows, taken: Collection[str], is_named: Callable[[str], bool]
) -> str | None:
    """The one column of such a name, beside those taken, of which a value has from 1.5 to 500 rows
    on average.
    """
    groups = list[str]()
    for column in _named(sample, taken, is_named):
        values = len(column.counts)
        if values >= 50 and 1.5 <= column.n_present / values <= 500:
            groups.append(column.name)
    return groups[0] if len(groups) == 1 else None


def seen_time(sample: InspectedRows, taken: Collection[str]) -> str | None:
    """The column, beside those taken, that is named like the time of a row and holds times; of
    several the finest.
    """
    times = [column for column in _named(sample, taken, is_event_time) if _holds_times(column)]
    finest = max(times, key=lambda column: len(column.counts), default=None)
    return None if finest is None else finest.name


def _named(
    sample: InspectedRows, taken: Collection[str], is_named: Callable[[str], bool]
) -> list[Counted]:
    """Columns of such a name, beside those taken, that have one value in every row."""
    names = [name for name in sample.table.column_names if name not in taken and is_named(name)]
    columns = map(sample.column, names)
    return [column for column in columns if column.single and column.everywhere]


def _holds_times(column: Counted) -> bool:
    """Whether its values are times that sort."""
    if not column.is_time and not any(fits.all() for fits in column.epochs.values()):
        return False
    try:
        return len(timeline(column).times) > 2
    except UserError:
        return False


def find_split(wish: Wish, sample: InspectedRows, labels: Labels) -> ProposedSplit:
    """The split, tried on the rows.

    Raises UserError if times do not sort or are too few, a split is empty, or a task lacks a class
    in one.
    """
    shares = {"valid": wish.valid, "test": wish.test}
    table: Table
    if wish.time is not None and wish.chosen == "time":
        table, why = _by_time(wish, wish.time, sample, labels)
    elif wish.chosen in ("files", "column"):
        table, why = _by_name(wish, sample)
    elif wish.chosen == "hash":
        table = {"kind": "hash", "column": wish.hashed} | shares
        why = [
            f"By a hash of '{wish.hashed}': all rows of one value are in the same split, in "
            "today's files and tomorrow's, so that the test asks about values that train never "
            "saw."
        ]
    else:
        unit = "row" if wish.group is None else "group"
        table = {"kind": "random", "unit": unit} | shares
        why = [
            f"By a seeded draw for each {unit}. "
            "If the rows have a time, a split by time is closer to what is served."
        ]

    split_of_row = assigned(table, wish, sample)
    values = np.column_stack([label.y for label in labels.values()])
    rules = [label.rule for label in labels.values()]
    counts = dict[str, LabelCounts]()
    for number, name in enumerate(SPLITS):
        counts[name] = LabelCounts(rules, f"by a split by {wish.chosen}")
        counts[name].add(values[split_of_row == number])
        try:
            counts[name].check(name, "no row is in it")
        except UserError as error:
            raise UserError(f"{error}; give it a larger share, or choose another --split") from None
    return ProposedSplit(table, why, counts, int((split_of_row < 0).sum()))


def assigned(table: Table, wish: Wish, sample: InspectedRows) -> Assignment:
    """(N,) the split of each row by a card's `[split]`, with validation halved as the preparation
    does it.
    """
    rule: SplitRule = TypeAdapter(SplitRule).validate_python(table)
    time = sample.optional_column(wish.time)
    times: Floats | Text | None = sample.text(wish.time)
    if time is not None and time.numbers is not None:
        times = time.row_numbers
    group, column = sample.text(wish.group), sample.text(table.get("column"))
    rows = SplitInput(tuple(sample.files), sample.file, times, group, column)
    unit = column if wish.chosen == "hash" and group is None else group
    return halved(rule.assign(rows), rows, unit)


@dataclass(frozen=True)
class Timeline:
    """The times of N rows."""

    times: Sequence[Time]
    """Distinct, in order."""
    place: Ints
    """(N,) index into `times`; -1 where a row has no time."""

    def before(self, place: int) -> Time:
        """The last time that is before one; between whole numbers no gap is left for new rows."""
        time = self.times[place]
        if isinstance(time, int) and abs(time) < 2**53:
            return time - 1
        return self.times[place - 1]


_SORTED_SPELLING = re.compile(r"0000([-/.])00(?:\1)00([TZ ]00:00(:00([.,]0+)?)?)?")


def timeline(column: Counted) -> Timeline:
    """Sorts the times of a column.

    Raises UserError where values do not sort as time does: times in two units, or texts of several
    forms.
    """
    where = f"--time: '{column.name}'"
    times: list[Time] = [*column.texts()]
    if column.numbers is not None:
        units = {unit: fits for unit, fits in column.epochs.items() if fits.any()}
        if len(units) > 1 and np.any([*units.values()], axis=0).all():
            raise UserError(
                f"{where}: expected times in one unit, found {' and '.join(units)} since 1970"
            )
        times = [*map(int, column.numbers)] if column.whole else column.numbers.tolist()
    try:
        keys = np.array([time_key(time) for time in times], object)
        example_of_spelling = {spelling(time): time for time in reversed(times)}
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None
    if column.numbers is None and column.type == "text":
        sorts = all(map(_SORTED_SPELLING.fullmatch, example_of_spelling))
        if len(example_of_spelling) > 1 or not sorts:
            examples = [repr(text) for text in example_of_spelling.values()]
            raise UserError(
                f"{where}: expected numbers, or texts of one form such as 2024-03-01 or "
                f"2024-03-01 10:00:00, found {' beside '.join(examples[:2])}"
            )
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    return Timeline([times[index] for index in first], by_code(place, column.codes, -1))


def _by_time(
    wish: Wish, name: str, sample: InspectedRows, labels: Labels
) -> tuple[Table, list[str]]:
    """The split by a column of times, of rows whose labels are known; and why."""
    column = sample.column(name)
    timed = timeline(column)
    times, place = timed.times, timed.place
    late = [label.y for label in labels.values() if label.rule.matures]
    counted = place[(place >= 0) & np.isfinite(late).all(axis=0)]
    latest = int(counted.max(initial=-1))
    if latest < 2:
        raise UserError(
            f"--time: '{name}': expected labels known at three times or more, found {latest + 1}"
        )
    share_until = np.cumsum(np.bincount(counted)) / len(counted)
    train_share, seen_share = 1 - wish.valid - wish.test, 1 - wish.test
    first_valid = 1 + int(np.argmin(np.abs(share_until[:-2] - train_share)))
    later_shares = share_until[first_valid:-1]
    first_test = first_valid + 1 + int(np.argmin(np.abs(later_shares - seen_share)))

    why = [
        "By time: what is served tomorrow is learnt today, so the latest rows are the test.",
        f"'{name}' runs from {times[0]} to {times[-1]}; rows of one time stay together.",
    ]
    ends = [first_valid, first_test]
    if wish.group is not None and is_request(wish.group):
        ends, sentence = _ends_between(ends, place, sample.column(wish.group))
        why.append(sentence)
    table: Table = {
        "kind": "time",
        "train": {"last": timed.before(ends[0])},
        "valid": {"first": times[first_valid], "last": timed.before(ends[1])},
        "test": {"first": times[first_test]},
    }
    if latest < len(times) - 1:
        table["test"]["last"] = times[latest]
        why.append(f"Labels of rows after {times[latest]} are open, so these are in no split.")
    if not column.everywhere:
        why.append(f"Rows without a time are left out: {(place < 0).sum():,}.")
    return table, why


MOST_BETWEEN = 0.01
"""Share of rows that may be left out between two splits, so that no request has rows in both."""


def _ends_between(cuts: list[int], place: Ints, group: Counted) -> tuple[list[int], str]:
    """For each cut the place in time before which the split ends, so that no request, whose rows
    follow each other at once, has rows in two splits; and a sentence.

    Where that would leave out too many rows, splits end at the cuts.

    Args:
        place: (N,) place in time of each row.
    """
    dated = (place >= 0) & (group.codes >= 0)
    first = np.full(len(group.counts), len(place))
    last = np.full(len(group.counts), -1)
    np.minimum.at(first, group.codes[dated], place[dated])
    np.maximum.at(last, group.codes[dated], place[dated])

    parted = [(first < cut) & (cut <= last) for cut in cuts]
    ends = [int(first[some].min(initial=cut)) for cut, some in zip(cuts, parted, strict=True)]
    between = [(end <= place) & (place < cut) for end, cut in zip(ends, cuts, strict=True)]
    rows_between = int(np.sum(between))
    if ends[0] == 0 or ends[1] <= cuts[0] or rows_between > MOST_BETWEEN * len(place):
        n_parted = np.any(parted, axis=0).sum()
        return cuts, f"{n_parted:,} values of '{group.name}' have rows in two splits."
    sentence = f"No value of '{group.name}' has rows in two splits"
    if rows_between:
        sentence += f": {rows_between:,} rows between splits are in none"
    return ends, f"{sentence}."


_SPLIT_WORDS = {
    "train": {"train", "training"},
    "valid": {"valid", "validation", "val", "dev"},
    "test": {"test", "testing", "holdout"},
}


def splits_named(names: Sequence[str]) -> dict[str, list[str]]:
    """Split -> the names that say it, such as `test.csv`; under "" those that say none, or two."""
    names_of_split: dict[str, list[str]] = {name: [] for name in (*NAMED, "")}
    for name in names:
        name_words = set(words(name))
        splits = [split for split, marks in _SPLIT_WORDS.items() if marks & name_words]
        names_of_split[splits[0] if len(splits) == 1 else ""].append(name)
    return names_of_split


def is_published(names: Sequence[str], all_named: bool = False) -> bool:
    """Whether names of files or values of a column tell train and test apart: it is the publisher's
    split.

    Args:
        all_named: whether all of them have to say where they belong.
    """
    named = splits_named(names)
    return bool(named["train"] and named["test"] and not (all_named and named[""]))


def _by_name(wish: Wish, sample: InspectedRows) -> tuple[Table, list[str]]:
    """By the values of a column, else by the names of files; and why. Valid is taken from train
    where none is named.
    """
    if wish.column is None:
        table: Table = {"kind": "files"}
        names, codes = [*sample.files], sample.file.astype(np.int32)
        names_of_split, why = _splits_of_files(names)
    else:
        table = {"kind": "column", "column": wish.column}
        column = sample.column(wish.column)
        names, codes = column.texts(), column.codes
        names_of_split, why = _splits_of_values(wish.column, names)

    table |= {split: names_of_split[split] for split in NAMED if names_of_split[split]}
    if names_of_split["valid"]:
        return table, [why]
    in_train = by_code(np.isin(names, names_of_split["train"]), codes, False)
    in_test = by_code(np.isin(names, names_of_split["test"]), codes, False)
    valid, clause = _valid_of(wish, sample, in_train, in_test)
    clause = f"None of them is for validation, so valid is taken from train: {clause}."
    return table | valid, [why, clause]


def _splits_of_files(files: list[str]) -> tuple[dict[str, list[str]], str]:
    """Split -> its files, and a sentence on how they were assigned."""
    if len(files) < 2:
        raise UserError(f"--split files: expected two files or more, found {len(files)}")
    files_of_split = splits_named(files)
    files_of_split["train"] += files_of_split[""]
    if files_of_split["train"] and files_of_split["test"]:
        return files_of_split, "By file, as their names say."
    before_valid = max(1, len(files) - 2)
    in_order = {"train": files[:before_valid], "valid": files[before_valid:-1], "test": files[-1:]}
    why = (
        "By file, in the order they were given: the last is test, of three or more the "
        "one before it valid."
    )
    return in_order, why


def _splits_of_values(column: str, values: Sequence[str]) -> tuple[dict[str, list[str]], str]:
    """Split -> its values of a column, and sentences on how they were assigned."""
    values_of_split = splits_named(values)
    if not is_published(values):
        raise UserError(
            f"--split-column: '{column}': expected values such as train and test, found "
            f"{', '.join(map(repr, values[:10]))}"
        )
    why = f"By '{column}', which says where a row belongs."
    unnamed = values_of_split[""]
    if unnamed:
        why += f" Rows with another value ({', '.join(map(repr, unnamed[:5]))}) are left out."
    return values_of_split, why


def _valid_of(wish: Wish, sample: InspectedRows, train: Mask, test: Mask) -> tuple[Table, str]:
    """Which part of train (N,) is valid, so that it differs from train as test (N,) does; with a
    clause on it.
    """
    if wish.time is not None:
        timed = timeline(sample.column(wish.time))
        first = _start_of_valid(timed.place, train, test, wish.valid)
        if first is not None:
            time = timed.times[first]
            clause = f"its rows from '{wish.time}' {time} on, since test is later than train"
            return {"valid_from": time}, clause
    share: Table = {"valid_fraction": wish.valid}
    if wish.group is not None:
        codes = sample.column(wish.group).codes
        if np.isin(codes[test], codes[train]).sum() <= 0.05 * test.sum():
            clause = (
                f"{wish.valid:.0%} of '{wish.group}', by its hash, since test has other values "
                "of it than train"
            )
            return share | {"unit": "group"}, clause
    return share, f"{wish.valid:.0%} of its rows, by a seeded draw"


def _start_of_valid(place: Ints, train: Mask, test: Mask, share: float) -> int | None:
    """The place in time from which a share of train's rows is; None where test is not later."""
    train_places, test_places = place[train & (place >= 0)], place[test & (place >= 0)]
    if min(len(train_places), len(test_places)) == 0:
        return None
    first = int(np.quantile(train_places, 1 - share, method="higher"))
    is_later = train_places.min() < first <= np.median(test_places)
    return first if is_later else None
