"""Ranges of about equal count, from numbers that come in parts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.ranges import begins

Numbers = NDArray[np.float64]
EXACT = 1 << 17
"""Distinct numbers up to which cut points are exact. Beyond that, numbers lose bits until so few are left."""
BITS = range(52, 0, -2)
"""Significant bits that numbers keep, from one step to the next."""
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
    """The distinct numbers seen, and how often; shortened once there are more than `EXACT`. NaN is left out.

    The same whatever parts the numbers come in: to shorten twice is to shorten once.
    """

    def __init__(self) -> None:
        self._values, self._counts = np.empty(0), np.empty(0, np.int64)
        self._waiting: list[tuple[Numbers, NDArray[np.int64]]] = []
        self._size = 0
        self._bits = iter(BITS)
        self._kept: int | None = None

    def add(self, numbers: Numbers) -> None:
        """Takes in numbers (N,)."""
        numbers = np.sort(numbers[~np.isnan(numbers)] + 0.0)  # no -0.0
        if len(numbers):
            first = np.flatnonzero(np.append(True, numbers[1:] != numbers[:-1]))
            self._waiting.append((numbers[first], np.diff(first, append=len(numbers))))
            self._size += len(first)
        if self._size >= EXACT:
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
        values, counts = zip((self._values, self._counts), *self._waiting, strict=True)
        self._waiting, self._size = [], 0
        distinct = np.concatenate(values)
        if self._kept is not None:
            distinct = shortened(distinct, self._kept)
        self._values, self._counts = _united(distinct, np.concatenate(counts))
        while len(self._values) > EXACT:
            self._kept = next(self._bits)
            self._values, self._counts = _united(shortened(self._values, self._kept), self._counts)


def ranges_for(rows: int) -> int:
    """How many ranges so many rows of train allow."""
    return max(2, min(MOST_RANGES, rows // ROWS_OF_RANGE))


def _united(values: Numbers, counts: NDArray[np.int64]) -> tuple[Numbers, NDArray[np.int64]]:
    if not len(values):
        return values, counts
    order = np.argsort(values, kind="stable")  # quick where some stand in order
    values = values[order]
    first = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
    return values[first], np.add.reduceat(counts[order], first)


def shortened(numbers: Numbers, bits: int) -> Numbers:
    """To so many significant bits, towards zero."""
    mantissa, exponent = np.frexp(numbers)
    shorter: Numbers = np.ldexp(np.trunc(np.ldexp(mantissa, bits)), exponent - bits)
    return shorter
