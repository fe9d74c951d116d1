"""How rows are assigned to splits. Add a kind by adding a class with `assign` to `SplitRule`.

A card names train, valid and test. Half of what it calls valid is stored as `confirm` (see
`halved`): the search reads `valid`, and what it found is measured again on `confirm`, whose rows it
did not see.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Discriminator, Field, model_validator

from bench.core.arrays import Floats, Ids, Mask
from bench.core.errors import repeated
from bench.core.registry import Config
from bench.core.seeds import derive
from bench.data.values import Text, Values

SPLITS = ("train", "valid", "confirm", "test")
TRAIN, VALID, CONFIRM, TEST = range(len(SPLITS))
NAMED = {"train": TRAIN, "valid": VALID, "test": TEST}
"""The splits that a card names."""
Assignment = NDArray[np.int8]
"""(N,), index into `SPLITS`, -1 for none."""
Unit = Literal["row", "group"]
_ZONED = re.compile(
    r"(\d{4}([-/.])\d\d\2\d\d)[T ](\d\d:\d\d)((?::\d\d(?:[.,]\d+)?)?) ?(Z|[+-]\d\d(?::?\d\d)?)",
    re.ASCII,
)


def time_key(time: Any) -> Any:
    """What a time compares by: itself; of a text with an offset the text in UTC, with `Z` between
    date and time.

    Raises ValueError if there is no such time.
    """
    if not isinstance(time, str):
        return time
    zoned = _ZONED.fullmatch(time)
    if zoned is None:
        return time
    date, mark, minute, rest, offset = zoned.groups()
    iso_time = f"{date.replace(mark, '-')}T{minute}{offset}"
    try:
        utc = datetime.fromisoformat(iso_time).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"expected a point in time, found '{time}'") from None
    return f"{utc.date()}Z{utc.time().isoformat('minutes')}".replace("-", mark) + rest


def _with_key(time: int | float | str) -> int | float | str:
    time_key(time)
    return time


Time = Annotated[int | float | str, AfterValidator(_with_key)]
"""A point in time, as a card names it."""


class GroupDraws:
    """The draws of a data set's groups: each is hashed once, whatever parts its rows come in."""

    def __init__(self) -> None:
        self._draws_by_seed: dict[int, Floats] = {}

    def draw(self, values: Sequence[str], numbers: Ids, seed: int) -> Floats:
        """A draw for each of the values (n,), whose numbers over the whole data set these are."""
        draws = self._draws_by_seed.get(seed, np.empty(0))
        size = int(numbers.max(initial=-1)) + 1
        if size > len(draws):
            added = max(size, 2 * len(draws)) - len(draws)
            draws = np.append(draws, np.full(added, np.nan))
            self._draws_by_seed[seed] = draws
        new = np.flatnonzero(np.isnan(draws[numbers])).tolist()
        draws[numbers[new]] = draws_of([values[index] for index in new], seed)
        return draws[numbers]


@dataclass(frozen=True)
class SplitInput:
    """What a split may look at: never a label."""

    files: tuple[str, ...]
    file: NDArray[np.int16]
    """(N,) index into `files` of the file a row came from."""
    time: Floats | Text | None
    """(N,), None where the card has no time."""
    group: Text | None
    """None where the card has no group."""
    column: Text | None = None
    """The raw column that the split names."""
    start: int = 0
    """Rows of the data set before these; a draw for a row depends on its number, not on how rows
    are parted.
    """
    draws: Callable[[int], Floats] | None = None
    """By seed the draws of the group's values, see `GroupDraws`; None hashes them all."""

    def units(self, unit: Unit) -> Text | None:
        """The groups for the unit `group`; None for rows."""
        return self.group if unit == "group" else None


def uniform(rows: SplitInput, units: Text | None, seed: int) -> Floats:
    """(N,) in [0, 1): one draw a row; or one for each value of `units`, which depends on the seed
    and the value alone.

    Rows whose value is missing get a draw each.
    """
    generator = np.random.PCG64(derive(seed, "split"))
    generator.advance(rows.start)
    row_draws = np.random.Generator(generator).random(len(rows.file))
    if units is None or not units.values:
        return row_draws
    if units is rows.group and rows.draws is not None:
        value_draws = rows.draws(seed)
    else:
        value_draws = draws_of(units.values, seed)
    return np.where(units.codes >= 0, value_draws[units.codes], row_draws)


def draws_of(values: Sequence[str], seed: int) -> Floats:
    """(n,) in [0, 1), from the seed and each value alone."""
    hashes = [
        hashlib.blake2b(f"{seed}/{value}".encode(), digest_size=6).digest() for value in values
    ]
    words = np.frombuffer(b"".join(hashes), ">u2").reshape(-1, 3)
    high, middle, low = words.T / 2.0 ** np.array([[16], [32], [48]])
    return np.asarray(high + middle + low)


def halved(split: Assignment, rows: SplitInput, units: Text | None) -> Assignment:
    """The split of each row after about half of validation's units became `confirm`.

    Rows of one value of `units` are a unit; rows without one, or all where it is None, are units of
    their own.
    """
    in_valid = split == VALID
    if not in_valid.any():
        return split
    second_half = uniform(rows, units, derive(0, "confirm")) < 0.5
    return np.where(in_valid & second_half, np.int8(CONFIRM), split)


class ValidOfTrain(Config):
    """What splits by names have in common; their valid may be a part of train: a share, or its rows
    from a time on.
    """

    train: Values = Field(min_length=1)
    valid: Values = ()
    test: Values = Field(min_length=1)
    valid_fraction: float | None = Field(None, gt=0, lt=1)
    """Share of train's rows, or groups, that is valid."""
    valid_from: Time | None = None
    """Rows of train whose time (the card's `time`) is this or later are valid."""
    unit: Unit = "row"
    """What `valid_fraction` draws."""
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _one_valid(self) -> ValidOfTrain:
        by_fraction, by_time = self.valid_fraction is not None, self.valid_from is not None
        if bool(self.valid) + by_fraction + by_time != 1:
            raise ValueError(
                "a split by files or by a column needs one of 'valid', 'valid_fraction' and "
                "'valid_from' (the last two take valid from train)"
            )
        if (twice := repeated((*self.train, *self.valid, *self.test))) is not None:
            raise ValueError(f"'{twice}' is named twice")
        return self

    @property
    def ends(self) -> tuple[Time, ...]:
        """Times that the split compares with."""
        return () if self.valid_from is None else (self.valid_from,)

    def _by_name(self, names: Sequence[str], codes: NDArray[Any], rows: SplitInput) -> Assignment:
        """The split of rows by names that `codes` (N,) index, -1 for none; valid is of train where
        the card asks.
        """
        split_by_name: dict[str, int] = {}
        for split_name, number in NAMED.items():
            split_by_name |= dict.fromkeys(getattr(self, split_name), number)
        numbers = [split_by_name.get(name, -1) for name in names]
        split: Assignment = np.array([*numbers, -1], np.int8)[codes]

        in_train = split == TRAIN
        if not in_train.any():
            return split
        if self.valid_fraction is not None:
            draws = uniform(rows, rows.units(self.unit), self.seed)
            to_valid = draws < self.valid_fraction
        elif self.valid_from is not None and rows.time is not None:
            to_valid = _in_range(rows.time, Range(first=self.valid_from))
        else:
            return split
        return np.where(in_train & to_valid, np.int8(VALID), split)


class FileSplit(ValidOfTrain):
    """By the file a row came from."""

    kind: Literal["files"] = "files"
    train: tuple[str, ...] = Field(min_length=1)
    valid: tuple[str, ...] = ()
    test: tuple[str, ...] = Field(min_length=1)

    def assign(self, rows: SplitInput) -> Assignment:
        """(N,) the split of each row."""
        return self._by_name(rows.files, rows.file, rows)


class Range(Config):
    """Times from `first` to `last`, both included; an absent end is open. Texts compare by
    `time_key`.
    """

    first: Time | None = None
    last: Time | None = None


class TimeSplit(Config):
    """By ranges of the card's `time`; rows in no range are left out."""

    kind: Literal["time"] = "time"
    train: Range
    valid: Range
    test: Range

    @property
    def ends(self) -> tuple[Time, ...]:
        """Times that the split compares with."""
        train, valid, test = self.train, self.valid, self.test
        ends = (train.first, train.last, valid.first, valid.last, test.first, test.last)
        return tuple(end for end in ends if end is not None)

    @model_validator(mode="after")
    def _in_order(self) -> TimeSplit:
        if len({isinstance(end, str) for end in self.ends}) != 1:
            raise ValueError("a split by time needs ends that are all numbers or all strings")
        ranges: list[tuple[str, Range]] = [(name, getattr(self, name)) for name in NAMED]
        for name, range_ in ranges:
            first, last = range_.first, range_.last
            if first is not None and last is not None and time_key(first) > time_key(last):
                raise ValueError(
                    f"{name} is empty: its first {first!r} comes after its last {last!r}"
                )
        for (earlier, earlier_range), (later, later_range) in pairwise(ranges):
            last, first = earlier_range.last, later_range.first
            if last is None or first is None or time_key(last) >= time_key(first):
                raise ValueError(
                    f"{earlier} must end before {later} begins, found {last!r} and {first!r}"
                )
        return self

    def assign(self, rows: SplitInput) -> Assignment:
        """(N,) the split of each row."""
        assert rows.time is not None
        split = np.full(len(rows.file), -1, np.int8)
        for name, number in NAMED.items():
            split[_in_range(rows.time, getattr(self, name))] = number
        return split


def _in_range(time: Floats | Text, limits: Range) -> Mask:
    if isinstance(time, Text):
        return _texts_in_range(time, limits)
    low = -np.inf if limits.first is None else float(limits.first)
    high = np.inf if limits.last is None else float(limits.last)
    return (time >= low) & (time <= high)


def _texts_in_range(time: Text, limits: Range) -> Mask:
    first = None if limits.first is None else time_key(str(limits.first))
    last = None if limits.last is None else time_key(str(limits.last))
    inside = np.zeros(len(time.values) + 1, np.bool_)  # the last serves code -1, of missing times
    for code, text in enumerate(time.values):
        key = time_key(text)
        inside[code] = (first is None or key >= first) and (last is None or key <= last)
    return inside[time.codes]


class _Shares(Config):
    """Shares of valid and test; what is left is train."""

    valid: float = Field(gt=0, lt=1)
    test: float = Field(gt=0, lt=1)
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _leaves_train(self) -> _Shares:
        if self.valid + self.test >= 1:
            raise ValueError(
                f"nothing is left for train: valid {self.valid} + test {self.test} must be below 1"
            )
        return self

    def _by_draws(self, draws: Floats) -> Assignment:
        split = np.where(draws < self.test + self.valid, VALID, TRAIN)
        split[draws < self.test] = TEST
        return split.astype(np.int8)


class RandomSplit(_Shares):
    """By a seeded draw for each row, or for each group so that none is in two splits."""

    kind: Literal["random"] = "random"
    unit: Unit = "row"

    def assign(self, rows: SplitInput) -> Assignment:
        """(N,) the split of each row."""
        return self._by_draws(uniform(rows, rows.units(self.unit), self.seed))


class HashSplit(_Shares):
    """By a hash of a raw column's value: the same value is always in the same split, in today's
    files and tomorrow's.

    Rows whose value is missing are assigned one by one.
    """

    kind: Literal["hash"] = "hash"
    column: str

    def assign(self, rows: SplitInput) -> Assignment:
        """(N,) the split of each row."""
        assert rows.column is not None
        return self._by_draws(uniform(rows, rows.column, self.seed))


class ColumnSplit(ValidOfTrain):
    """By a raw column that says where a row belongs; rows with any other value are left out."""

    kind: Literal["column"] = "column"
    column: str

    def assign(self, rows: SplitInput) -> Assignment:
        """(N,) the split of each row."""
        assert rows.column is not None
        return self._by_name(rows.column.values, rows.column.codes, rows)


class CutSplit(Config):
    """A split moved on in time, for a back-test: what its test holds before a cut may be trained
    on, too.

    Test are rows of the base's test from `first` to `last`. Of all that lies before them, a seeded
    draw is held out as validation; the rest is train. With `known_before` the splits are train
    (what was trained on before), valid (what is new) and confirm (what is held out of both): so new
    rows see old ones in their history.
    """

    kind: Literal["cut"] = "cut"
    base: Annotated[
        FileSplit | TimeSplit | RandomSplit | HashSplit | ColumnSplit, Discriminator("kind")
    ]
    first: Time
    last: Time
    """Of the card's `time`; both are included."""
    since: Time | None = None
    """Earlier rows are left out; absent, none are."""
    known_before: Time | None = None
    """What lies before this cut was trained on already."""
    held_out: float = Field(0.1, gt=0, lt=1)
    by_group: bool = False
    """Whether what is held out is drawn by group, so that none is on both sides."""

    @property
    def ends(self) -> tuple[Time, ...]:
        """Times that the split compares with."""
        ends = [self.first, self.last, self.since, self.known_before]
        if isinstance(self.base, TimeSplit | ValidOfTrain):
            ends += self.base.ends
        return tuple(end for end in ends if end is not None)

    def assign(self, rows: SplitInput) -> Assignment:
        """(N,) the split of each row."""
        time = rows.time
        assert time is not None
        base_split = self.base.assign(rows)
        base_test = base_split == TEST
        after_cut = _in_range(time, Range(first=self.first))
        in_test = base_test & after_cut & _in_range(time, Range(last=self.last))

        before_cut = ~after_cut & _in_range(time, Range())  # no row without a time
        in_past = np.where(base_test, before_cut, base_split >= 0)
        if self.since is not None:
            in_past &= _in_range(time, Range(first=self.since))
        units = rows.group if self.by_group else None
        held_out = uniform(rows, units, derive(0, "held out")) < self.held_out

        split = np.full(len(base_split), -1, np.int8)
        split[in_past] = TRAIN
        if self.known_before is None:
            split[in_past & held_out] = VALID
        else:
            new = base_test & _in_range(time, Range(first=self.known_before))
            split[in_past & new] = VALID
            split[in_past & held_out] = CONFIRM
        split[in_test] = TEST
        return split


SplitRule = Annotated[
    FileSplit | TimeSplit | RandomSplit | HashSplit | ColumnSplit | CutSplit, Discriminator("kind")
]
