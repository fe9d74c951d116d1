"""What a card says of raw columns: kinds of inputs, functions of them, segments."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, StringConstraints, model_validator

from bench.core.errors import unknown
from bench.core.registry import Config

Numbers = NDArray[np.float64]


def hour_of_hhmm(numbers: Numbers) -> Numbers:
    """1730 -> 17."""
    return np.floor(numbers / 100)


def weekday_of_yyyymmdd(numbers: Numbers) -> Numbers:
    """20220425 -> 0, a Monday; numbers of more than 8 digits are missing."""
    known = (numbers >= 0) & (numbers < 1e8)
    dates = numbers[known].astype(np.int64)
    months = (dates // 10000 - 1970) * 12 + (dates // 100) % 100 - 1
    days = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) + dates % 100 - 1
    weekdays = np.full(len(numbers), np.nan)
    weekdays[known] = (days + 3) % 7  # 1970-01-01 was a Thursday
    return weekdays


def hour_of_unix(numbers: Numbers, unit: int) -> Numbers:
    """Time since 1970, `unit` units a second -> hour of the day, UTC."""
    return np.floor(numbers / (3600 * unit)) % 24


def weekday_of_unix(numbers: Numbers, unit: int) -> Numbers:
    """Time since 1970, `unit` units a second -> 0 (Monday) to 6, UTC."""
    return (np.floor(numbers / (86400 * unit)) + 3) % 7  # 1970-01-01 was a Thursday


DERIVATIONS: dict[str, Callable[[Numbers], Numbers]] = {
    "hour_of_hhmm": hour_of_hhmm,
    "hour_of_unix_ms": partial(hour_of_unix, unit=1000),
    "hour_of_unix_s": partial(hour_of_unix, unit=1),
    "weekday_of_unix_ms": partial(weekday_of_unix, unit=1000),
    "weekday_of_unix_s": partial(weekday_of_unix, unit=1),
    "weekday_of_yyyymmdd": weekday_of_yyyymmdd,
}
"""Name on a card -> function of numbers (N,), NaN where missing."""


def _known(name: str) -> str:
    if name not in DERIVATIONS:
        raise ValueError(str(unknown("derivation", name, DERIVATIONS)))
    return name


Derivation = Annotated[str, AfterValidator(_known)]
Keep = Literal["first", "last"]
"""Which values of a list stay where it has more than there are slots."""


class _Column(Config):
    """What all kinds have in common."""

    source: str | None = Field(None, alias="from", min_length=1)
    """Raw column it is made from; its own name where absent."""
    derive: Derivation | None = None
    """A function of the raw column, from `bench.data.columns`."""


class Categorical(_Column):
    """An id or a label of few values: one embedding row for each value that train holds often enough."""

    kind: Literal["categorical"] = "categorical"
    min_count: int | None = Field(None, ge=1)
    """Rows of train a value needs; rarer ones share the field's unknown. Absent: the card's."""


class Numeric(_Column):
    """A quantity: standardised with the mean and deviation of train, and as a range between quantiles of train."""

    kind: Literal["numeric"] = "numeric"
    log1p: bool = False
    """Take sign(x) log(1 + |x|) first, for heavy tails."""
    missing_flag: bool = False
    """Keep the 0/1 column `<name>_missing` even where train lacks no value."""


class MultiValued(_Column):
    """A list of categories, as parquet holds lists or in one text: several slots of one field, pooled by the model."""

    kind: Literal["multi-valued"] = "multi-valued"
    separator: str = Field(",", min_length=1)
    """Between the values of a text; lists need none."""
    max_length: int = Field(5, ge=1, le=1000)
    """Slots; a longer list keeps as many distinct values."""
    keep: Keep = "first"
    """Which values of a longer list stay."""
    min_count: int | None = Field(None, ge=1)


class Vector(_Column):
    """A list of numbers of one length, as an embedding that was computed elsewhere: that many dense columns."""

    kind: Literal["vector"] = "vector"
    length: int = Field(ge=1, le=4096)
    missing_flag: bool = False
    """Keep the 0/1 column `<name>_missing` even where train lacks no vector."""
    derive: None = None


Column = Annotated[
    Annotated[Categorical | Numeric | MultiValued | Vector, Discriminator("kind")],
    BeforeValidator(lambda value: {"kind": value} if isinstance(value, str) else value),
]
"""`"numeric"` is short for `{ kind = "numeric" }`."""


SegmentName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
KNOWN = ("known", "new")
OTHER = "other"
MOST = 20
"""Values of a categorical segment that are told apart."""


class SegmentRule(Config):
    """One way to cut the rows into segments: by category, by ranges of a number, or by whether train holds a value."""

    column: str | None = None
    """Raw column: its values by their frequency on train, at most `MOST`; all others are `OTHER`."""
    ranges: tuple[float, ...] = Field((), max_length=MOST)
    """Ends of ranges, rising: the column is then a number, and [25, 45] makes "< 25", "25 to 45" and ">= 45"."""
    known: str | None = None
    """Raw column, in place of `column`: whether a row's value is among those of train."""

    @property
    def raw(self) -> str:
        """The raw column it reads."""
        return self.column or self.known or ""

    @property
    def fixed(self) -> tuple[str, ...]:
        """Its values where data does not decide them; empty for a category."""
        if self.known is not None:
            return KNOWN
        if not self.ranges:
            return ()
        ends = [f"{end:.15g}" for end in self.ranges]
        return (f"< {ends[0]}", *(f"{low} to {high}" for low, high in pairwise(ends)), f">= {ends[-1]}")

    @model_validator(mode="after")
    def _one_way(self) -> SegmentRule:
        if bool(self.column) == bool(self.known):
            raise ValueError("expected either 'column' or 'known', the raw column that it reads")
        if self.ranges and self.known:
            raise ValueError("'ranges' go with 'column', not with 'known'")
        rising = all(low < high for low, high in pairwise(self.ranges))
        if not rising or not all(map(math.isfinite, self.ranges)):
            raise ValueError(f"expected ranges that rise, found {list(self.ranges)}")
        return self
