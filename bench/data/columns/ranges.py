"""Ranges of about equal count among the numbers of train, and the range that a number is in."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.core.schema import begins
from bench.data.codes import IntegerCodes
from bench.system.intrinsics import jit

Numbers = NDArray[np.float64]
EXACT = 1 << 17
"""Number of distinct numbers up to which cut points are exact. Beyond it, numbers are rounded until this few are
left."""
KEPT_BITS = range(52, 0, -2)
"""Significant bits of numbers after each rounding."""
MOST_RANGES = 1000
ROWS_OF_RANGE = 20
"""Minimum mean number of train rows in a range."""


class Ranges(NamedTuple):
    """V ranges of numbers: the least of each but the first, the least and greatest of all (0 if none), row counts."""

    edges: tuple[float, ...]
    low: float
    high: float
    counts: tuple[int, ...]


class DistinctNumbers:
    """Counts distinct numbers, without NaN; rounds them once there are more than `EXACT`.

    The result does not depend on how the numbers are split into parts.
    """

    def __init__(self) -> None:
        self._codes, self._counts = IntegerCodes(), np.zeros(0, np.int64)
        self._bits = iter(KEPT_BITS)
        self._kept: int | None = None

    def add(self, numbers: Numbers) -> None:
        """Adds numbers (N,)."""
        numbers = numbers[~np.isnan(numbers)] + 0.0  # no -0.0
        self._count(numbers if self._kept is None else shortened(numbers, self._kept))
        while len(self._codes) > EXACT:
            self._kept = next(self._bits)
            values, counts = shortened(self._values, self._kept), self._counts
            self._codes, self._counts = IntegerCodes(), np.zeros(0, np.int64)
            self._count(values, counts)

    def _count(self, numbers: Numbers, times: NDArray[np.int64] | None = None) -> None:
        counts = np.bincount(self._codes.code(numbers.view(np.int64)), times, len(self._codes)).astype(np.int64)
        counts[: len(self._counts)] += self._counts
        self._counts = counts

    @property
    def _values(self) -> Numbers:
        return self._codes.values.view(np.float64)

    def ranges(self) -> Ranges:
        """Ranges of about equal count, as many as `ranges_for` says."""
        order = np.argsort(self._values)
        values, counts = self._values[order], self._counts[order]
        if not len(values):
            return Ranges((), 0.0, 0.0, (0,))
        first = np.flatnonzero(np.append(True, begins(counts, ranges_for(int(counts.sum())))))
        edges = tuple(values[first[1:]].tolist())
        return Ranges(edges, float(values[0]), float(values[-1]), tuple(np.add.reduceat(counts, first).tolist()))


def ranges_for(rows: int) -> int:
    """Number of ranges for `rows` rows of train."""
    return max(2, min(MOST_RANGES, rows // ROWS_OF_RANGE))


def shortened(numbers: Numbers, bits: int) -> Numbers:
    """Rounds numbers to `bits` significant bits, towards zero."""
    mantissa, exponent = np.frexp(numbers)
    shorter: Numbers = np.ldexp(np.trunc(np.ldexp(mantissa, bits)), exponent - bits)
    return shorter


@jit()
def place_in_ranges(cuts: Any, numbers: Any, local: Any) -> None:
    """Puts each number's range, from 1 on, or the id of missing into `local`; bisections advance together, vectorised.

    Each range but the first begins at one of `cuts` (V - 1,).
    """
    for start in range(0, len(numbers), 512):
        some, first = numbers[start : start + 512], local[start : start + 512]
        first[:] = 0
        left = np.int32(len(cuts))
        while left > 1:
            half = left // np.int32(2)
            for row in range(len(some)):
                first[row] += half * np.int32(cuts[first[row] + half - 1] <= some[row])
            left -= half
        for row in range(len(some)):
            beyond = left == 1 and cuts[first[row]] <= some[row]
            first[row] = len(cuts) + 2 if np.isnan(some[row]) else first[row] + 1 + np.int32(beyond)
