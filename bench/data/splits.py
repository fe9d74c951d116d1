"""How rows are dealt to train, valid and test. Add a kind by adding a class with `assign` to `SplitRule`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Discriminator, Field, model_validator

from bench.data.values import Text
from bench.registry import Config
from bench.seeds import derive

SPLITS = ("train", "valid", "test")
Assignment = NDArray[np.int8]
"""(N,), 0 train, 1 valid, 2 test, -1 none."""
Unit = Literal["row", "group"]


@dataclass(frozen=True)
class SplitInput:
    """What a split may look at: never a label.

    Attributes:
        file: (N,) index into `files` of the file a row came from.
        time: (N,) numbers or strings, None where the card has no time.
        group: None where the card has no group.
    """

    files: tuple[str, ...]
    file: NDArray[np.int16]
    time: NDArray[np.float64] | Text | None
    group: Text | None


def uniform(rows: SplitInput, unit: Unit, seed: int) -> NDArray[np.float64]:
    """(N,) in [0, 1): one draw a row, or one a group, which depends on the seed and the group's value alone."""
    draws = np.random.default_rng(derive(seed, "split")).random(len(rows.file))
    if unit == "row" or rows.group is None:
        return draws
    hashes = [hashlib.blake2b(f"{seed}/{value}".encode(), digest_size=6).digest() for value in rows.group.values]
    of_group = np.array([int.from_bytes(digest, "big") / 2**48 for digest in hashes] or [0.0])
    return np.where(rows.group.codes >= 0, of_group[rows.group.codes], draws)


class FileSplit(Config):
    """By the file a row came from; valid may be a random part of the train files."""

    kind: Literal["files"] = "files"
    train: tuple[str, ...] = Field(min_length=1)
    valid: tuple[str, ...] = ()
    test: tuple[str, ...] = Field(min_length=1)
    valid_fraction: float | None = Field(None, gt=0, lt=1)
    unit: Unit = "row"
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _one_valid(self) -> FileSplit:
        if bool(self.valid) == (self.valid_fraction is not None):
            raise ValueError("a split by files needs either 'valid' files or 'valid_fraction'")
        if twice := (set(self.train) & set(self.test)) | (set(self.valid) & set(self.train + self.test)):
            raise ValueError(f"file '{min(twice)}' is in two splits")
        return self

    def assign(self, rows: SplitInput) -> Assignment:
        """The split of each row."""
        of_file = np.full(len(rows.files), -1, np.int8)
        for number, names in enumerate((self.train, self.valid, self.test)):
            for name in names:
                of_file[rows.files.index(name)] = number
        split: Assignment = of_file[rows.file]
        if self.valid_fraction is not None:
            split[(split == 0) & (uniform(rows, self.unit, self.seed) < self.valid_fraction)] = 1
        return split


class Range(Config):
    """Times from `first` to `last`, both included; an absent end is open. Strings compare by character (ISO dates)."""

    first: int | float | str | None = None
    last: int | float | str | None = None

    @property
    def bounds(self) -> Iterator[int | float | str]:
        """The ends that are given."""
        return (bound for bound in (self.first, self.last) if bound is not None)


class TimeSplit(Config):
    """By ranges of the card's `time`; rows in no range are left out."""

    kind: Literal["time"] = "time"
    train: Range
    valid: Range
    test: Range

    @property
    def textual(self) -> bool:
        """Whether times are strings."""
        return any(isinstance(bound, str) for part in (self.train, self.valid, self.test) for bound in part.bounds)

    @model_validator(mode="after")
    def _in_order(self) -> TimeSplit:
        parts = [(name, getattr(self, name)) for name in SPLITS]
        kinds = {isinstance(bound, str) for _, part in parts for bound in part.bounds}
        if len(kinds) != 1:
            raise ValueError("a split by time needs ends that are all numbers or all strings")
        for name, part in parts:
            if None not in (part.first, part.last) and part.first > part.last:
                raise ValueError(f"{name} is empty: its first {part.first!r} comes after its last {part.last!r}")
        for (earlier, a), (later, b) in pairwise(parts):
            if a.last is None or b.first is None or a.last >= b.first:
                raise ValueError(f"{earlier} must end before {later} begins, found {a.last!r} and {b.first!r}")
        return self

    def assign(self, rows: SplitInput) -> Assignment:
        """The split of each row."""
        assert rows.time is not None
        split = np.full(len(rows.file), -1, np.int8)
        for number, part in enumerate((self.train, self.valid, self.test)):
            split[_within(rows.time, part)] = number
        return split


def _within(time: NDArray[np.float64] | Text, part: Range) -> NDArray[np.bool_]:
    if isinstance(time, Text):
        inside = np.array([*(_between(value, part) for value in time.values), False])  # the last serves code -1
        return inside[time.codes]
    low = -np.inf if part.first is None else float(part.first)
    high = np.inf if part.last is None else float(part.last)
    return (time >= low) & (time <= high)


def _between(value: str, part: Range) -> bool:
    return (part.first is None or value >= str(part.first)) and (part.last is None or value <= str(part.last))


class RandomSplit(Config):
    """By a seeded draw for each row, or for each group so that none is in two splits."""

    kind: Literal["random"] = "random"
    valid: float = Field(gt=0, lt=1)
    test: float = Field(gt=0, lt=1)
    unit: Unit = "row"
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _leaves_train(self) -> RandomSplit:
        if self.valid + self.test >= 1:
            raise ValueError(f"nothing is left for train: valid {self.valid} + test {self.test} must be below 1")
        return self

    def assign(self, rows: SplitInput) -> Assignment:
        """The split of each row."""
        draw = uniform(rows, self.unit, self.seed)
        return np.where(draw < self.test, 2, np.where(draw < self.test + self.valid, 1, 0)).astype(np.int8)


SplitRule = Annotated[FileSplit | TimeSplit | RandomSplit, Discriminator("kind")]
