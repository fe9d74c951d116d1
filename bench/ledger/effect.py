"""The one type of interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

LEVEL = 0.9
"""Nominal coverage of every interval."""
MARGIN = 0.005
"""The most that a choice may lose in any metric and be as good: .5% of an outcome, or .0005 of a
head's AUC.
"""


@dataclass(frozen=True)
class Effect:
    """A value and its interval: of a measure, of a difference, or of a gain as a fraction (.012 is
    1.2%).

    The interval is at `LEVEL` unless another was asked for.

    Attributes:
        value: NaN where it is unknown.
        low, high: ends of the interval; NaN where nothing is known of the noise.
    """

    value: float
    low: float = math.nan
    high: float = math.nan

    @property
    def gained(self) -> bool:
        """Whether it is a gain by more than noise."""
        return self.low > 0

    @property
    def lost(self) -> bool:
        """Whether it is a loss that matters, by more than noise."""
        return self.high < 0 and self.low < -MARGIN

    @property
    def unchanged(self) -> bool:
        """Whether it certainly is too small to matter."""
        return self.low >= -MARGIN and self.high <= MARGIN

    def relative_to(self, base: float) -> Effect:
        """A difference as a fraction of what it is a difference from."""
        return Effect(self.value / base, self.low / base, self.high / base)

    def spanning(self, other: Effect) -> Effect:
        """Itself, with an interval that reaches as far as the other one's."""
        return Effect(self.value, min(self.low, other.low), max(self.high, other.high))

    @classmethod
    def from_json(cls, ends: Mapping[str, float | None]) -> Effect:
        """Inverse of `to_json`."""
        return cls(*(math.nan if end is None else end for end in ends.values()))

    def to_json(self) -> dict[str, float]:
        """Itself as every document has it."""
        return {"value": self.value, "low": self.low, "high": self.high}

    def __str__(self) -> str:
        """In per cent, with the interval where it is known: `+1.2% (+0.7 to +1.7)`."""
        if not math.isfinite(self.value):
            return "(no per cent: the current one is 0)"
        sure = f" ({percent(self.low)} to {percent(self.high)})" if math.isfinite(self.low) else ""
        return f"{percent(self.value)}%{sure}"


def percent(fraction: float) -> str:
    """A fraction in per cent as a text with its sign; never a negative zero."""
    return f"{round(100 * fraction, 1) + 0.0:+.1f}"
