"""Ranges of about equal count, from numbers that come in parts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.ranges import begins

Numbers = NDArray[np.float64]
EXACT = 1 << 20
"""Distinct numbers up to which cut points are exact."""
BITS = 12
"""Significant bits that are kept of each number beyond that: a cut is off by at most one part in 4096."""


MOST_RANGES = 1000
ROWS_OF_RANGE = 20
"""Rows of train that a range holds on average, at least."""


class Ranges(NamedTuple):
    """V ranges of train's numbers.

    Attributes:
        edges: V - 1, ascending; each is the least number of its range.
        low: least number of all, `high` the greatest; both 0 where there is none.
        counts: rows of each range.
    """

    edges: tuple[float, ...]
    low: float
    high: float
    counts: tuple[int, ...]


class DistinctNumbers:
    """The distinct numbers seen, and how often; rounded once there are more than `EXACT`. NaN is left out."""

    def __init__(self) -> None:
        self._values, self._counts = np.empty(0), np.empty(0, np.int64)
        self._waiting: list[Numbers] = []
        self._rows = 0
        self._rounded = False

    def add(self, numbers: Numbers) -> None:
        """Takes in numbers (N,)."""
        self._waiting.append(numbers[~np.isnan(numbers)])
        self._rows += len(self._waiting[-1])
        if self._rows >= EXACT:
            self._merge()

    def ranges(self) -> Ranges:
        """As many as `ranges_for` says."""
        self._merge()
        values, counts = self._values, self._counts
        if not len(values):
            return Ranges((), 0.0, 0.0, (0,))
        first = np.flatnonzero(np.append(True, begins(counts, ranges_for(int(counts.sum())))))
        edges = tuple(values[first[1:]].tolist())
        return Ranges(edges, float(values[0]), float(values[-1]), tuple(np.add.reduceat(counts, first).tolist()))

    def _merge(self) -> None:
        values, counts = np.unique(np.concatenate(self._waiting or [np.empty(0)]), return_counts=True)
        self._waiting, self._rows = [], 0
        if self._rounded:
            values = rounded(values)
        self._values, self._counts = _united(
            np.concatenate([self._values, values]), np.concatenate([self._counts, counts])
        )
        if not self._rounded and len(self._values) > EXACT:
            self._rounded = True
            self._values, self._counts = _united(rounded(self._values), self._counts)


def ranges_for(rows: int) -> int:
    """How many ranges so many rows of train allow."""
    return max(2, min(MOST_RANGES, rows // ROWS_OF_RANGE))


def _united(values: Numbers, counts: NDArray[np.int64]) -> tuple[Numbers, NDArray[np.int64]]:
    distinct, at = np.unique(values, return_inverse=True)
    total = np.zeros(len(distinct), np.int64)
    np.add.at(total, at, counts)
    return distinct, total


def rounded(numbers: Numbers) -> Numbers:
    """To `BITS` significant bits."""
    mantissa, exponent = np.frexp(numbers)
    shorter: Numbers = np.ldexp(np.rint(np.ldexp(mantissa, BITS)), exponent - BITS)
    return shorter
