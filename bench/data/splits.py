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
    if not isinstance(time, str) or (found := _ZONED.fullmatch(time)) is None:
        return time
    date, mark, minute, rest, offset = found.groups()
    try:
        at = datetime.fromisoformat(f"{date.replace(mark, '-')}T{minute}{offset}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"expected a point in time, found '{time}'") from None
    return f"{at.date()}Z{at.time().isoformat('minutes')}".replace("-", mark) + rest


def _with_key(time: int | float | str) -> int | float | str:
    time_key(time)
    return time


Time = Annotated[int | float | str, AfterValidator(_with_key)]
"""A point in time, as a card names it."""


class GroupDraws:
    """The draws of a data set's groups: each is hashed once, whatever parts its rows come in."""

    def __init__(self) -> None:
        self._known: dict[int, NDArray[np.float64]] = {}

    def of(
        self, values: Sequence[str], numbers: NDArray[np.int32], seed: int
    ) -> NDArray[np.float64]:
        """A draw for each of the values (n,), whose numbers over the whole data set these are."""
        known = self._known.get(seed, np.empty(0))
        if len(known) <= (last := int(numbers.max(initial=-1))):
            more = np.full(max(last + 1, 2 * len(known)) - len(known), np.nan)
            known = self._known[seed] = np.append(known, more)
        new = np.flatnonzero(np.isnan(known[numbers])).tolist()
        known[numbers[new]] = draws_of([values[at] for at in new], seed)
        return known[numbers]


@dataclass(frozen=True)
class SplitInput:
    """What a split may look at: never a label."""

    files: tuple[str, ...]
    file: NDArray[np.int16]
    """(N,) index into `files` of the file a row came from."""
    time: NDArray[np.float64] | Text | None
    """(N,), None where the card has no time."""
    group: Text | None
    """None where the card has no group."""
    column: Text | None = None
    """The raw column that the split names."""
    start: int = 0
    """Rows of the data set before these; a draw for a row depends on its number, not on how rows
    are parted.
    """
    draws: Callable[[int], NDArray[np.float64]] | None = None
    """By seed the draws of the group's values, see `GroupDraws`; None hashes them all."""


def uniform(rows: SplitInput, of: Text | None, seed: int) -> NDArray[np.float64]:
    """(N,) in [0, 1): one draw a row; or one for each value of `of`, which depends on the seed and
    the value alone.

    Rows whose value is missing get a draw each.
    """
    generator = np.random.PCG64(derive(seed, "split"))
    generator.advance(rows.start)
    draws = np.random.Generator(generator).random(len(rows.file))
    if of is None or not of.values:
        return draws
    of_value = (
        rows.draws(seed)
        if of is rows.group and rows.draws is not None
        else draws_of(of.values, seed)
    )
    return np.where(of.codes >= 0, of_value[of.codes], draws)


def draws_of(values: Sequence[str], seed: int) -> NDArray[np.float64]:
    """(n,) in [0, 1), from the seed and each value alone."""
    hashes = b"".join(
        hashlib.blake2b(f"{seed}/{value}".encode(), digest_size=6).digest() for value in values
    )
    high, middle, low = np.frombuffer(hashes, ">u2").reshape(-1, 3).T / 2.0 ** np.array(
        [[16], [32], [48]]
    )
    return np.asarray(high + middle + low)


def halved(split: Assignment, rows: SplitInput, of: Text | None) -> Assignment:
    """The split of each row after about half of validation's units became `confirm`.

    A unit has one value of `of`; rows without one, or all where it is None, are units of their own.
    """
    if not (split == VALID).any():
        return split
    second = uniform(rows, of, derive(0, "confirm")) < 0.5
    return np.where((split == VALID) & second, np.int8(CONFIRM), split)


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
        if (
            bool(self.valid) + (self.valid_fraction is not None) + (self.valid_from is not None)
            != 1
        ):
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
        numbers = {name: number for split, number in NAMED.items() for name in getattr(self, split)}
        split: Assignment = np.array([*(numbers.get(name, -1) for name in names), -1], np.int8)[
            codes
        ]
        if not (split == TRAIN).any():
            return split
        if self.valid_fraction is not None:
            units = rows.group if self.unit == "group" else None
            part = uniform(rows, units, self.seed) < self.valid_fraction
        elif self.valid_from is not None and rows.time is not None:
            part = _within(rows.time, Range(first=self.valid_from))
        else:
            return split
        return np.where((split == TRAIN) & part, np.int8(VALID), split)


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
        ends = (
            end for part in (self.train, self.valid, self.test) for end in (part.first, part.last)
        )
        return tuple(end for end in ends if end is not None)

    @model_validator(mode="after")
    def _in_order(self) -> TimeSplit:
        parts = [(name, getattr(self, name)) for name in NAMED]
        kinds = {isinstance(bound, str) for bound in self.ends}
        if len(kinds) != 1:
            raise ValueError("a split by time needs ends that are all numbers or all strings")
        for name, part in parts:
            if None not in (part.first, part.last) and time_key(part.first) > time_key(part.last):
                raise ValueError(
                    f"{name} is empty: its first {part.first!r} comes after its last {part.last!r}"
                )
        for (earlier, a), (later, b) in pairwise(parts):
            if a.last is None or b.first is None or time_key(a.last) >= time_key(b.first):
                raise ValueError(
                    f"{earlier} must end before {later} begins, found {a.last!r} and {b.first!r}"
                )
        return self

    def assign(self, rows: SplitInput) -> Assignment:
        """(N,) the split of each row."""
        assert rows.time is not None
        split = np.full(len(rows.file), -1, np.int8)
        for name, number in NAMED.items():
            split[_within(rows.time, getattr(self, name))] = number
        return split


def _within(time: NDArray[np.float64] | Text, part: Range) -> NDArray[np.bool_]:
    if isinstance(time, Text):
        first, last = (
            None if end is None else time_key(str(end)) for end in (part.first, part.last)
        )
        keys = map(time_key, time.values)
        inside = [(first is None or key >= first) and (last is None or key <= last) for key in keys]
        return np.array([*inside, False])[time.codes]  # the last serves code -1
    low = -np.inf if part.first is None else float(part.first)
    high = np.inf if part.last is None else float(part.last)
    return (time >= low) & (time <= high)


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

    def _assigned(self, draw: NDArray[np.float64]) -> Assignment:
        rest = np.where(draw < self.test + self.valid, VALID, TRAIN)
        return np.where(draw < self.test, TEST, rest).astype(np.int8)


class RandomSplit(_Shares):
    """By a seeded draw for each row, or for each group so that none is in two splits."""

    kind: Literal["random"] = "random"
    unit: Unit = "row"

    def assign(self, rows: SplitInput) -> Assignment:
        """(N,) the split of each row."""
        return self._assigned(
            uniform(rows, rows.group if self.unit == "group" else None, self.seed)
        )


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
        return self._assigned(uniform(rows, rows.column, self.seed))


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
        own = (
            each
            for each in (self.first, self.last, self.since, self.known_before)
            if each is not None
        )
        return (*own, *(self.base.ends if isinstance(self.base, TimeSplit | ValidOfTrain) else ()))

    def assign(self, rows: SplitInput) -> Assignment:
        """(N,) the split of each row."""
        assert rows.time is not None
        own, time = self.base.assign(rows), rows.time
        test, begun = own == TEST, _within(time, Range(first=self.first))
        today = test & begun & _within(time, Range(last=self.last))
        past = np.where(test, ~begun & _within(time, Range()), own >= 0)
        if self.since is not None:
            past &= _within(time, Range(first=self.since))
        held = (
            uniform(rows, rows.group if self.by_group else None, derive(0, "held out"))
            < self.held_out
        )
        split = np.full(len(own), -1, np.int8)
        split[past] = TRAIN
        if self.known_before is not None:
            split[past & test & _within(time, Range(first=self.known_before))] = VALID
        split[past & held] = VALID if self.known_before is None else CONFIRM
        split[today] = TEST
        return split


SplitRule = Annotated[
    FileSplit | TimeSplit | RandomSplit | HashSplit | ColumnSplit | CutSplit, Discriminator("kind")
]
