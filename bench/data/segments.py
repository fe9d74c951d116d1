"""Segments of a card: rules that tell which part of the rows a row is in."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from bench.registry import Config

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
