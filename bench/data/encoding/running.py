"""Mean and deviation of numbers that come in parts: the same to the last bit, however they are parted.

Sums are kept in double-double arithmetic (Dekker 1971; Knuth, TAOCP 2, 4.2.2), about a number near them, so that what
is rounded off lies far below the last bit of the result.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from bench.data.codes import IntegerCodes

LARGEST = float(np.finfo(np.float32).max)
FAR = 100.0
"""Deviations of all others beyond which a number is left out of mean and deviation."""
BITS, HALF = 51, 1 << 12
"""Bits of a double that make no difference to its range, and how many ranges there are on one side of zero."""


def logged(numbers: NDArray[np.float64], log1p: bool) -> NDArray[np.float64]:
    """Numbers cut to what a float32 holds; of these, where asked for, sign(x) log(1 + |x|)."""
    numbers = np.clip(numbers, -LARGEST, LARGEST)
    return np.sign(numbers) * np.log1p(np.abs(numbers)) if log1p else numbers


class Robust(NamedTuple):
    """What numbers are standardised by.

    Attributes:
        low: numbers below are taken for it, `high` likewise.
        left_out: numbers that mean and deviation are without.
    """

    mean: float
    scale: float
    low: float
    high: float
    left_out: int


class RunningMoments:
    """Mean and deviation, NaN left out.

    Sums are kept for each range of numbers by itself, so that a few that are far from all others can be left out in
    the end. A range goes over a third or a half of the number that it begins with.

    Attributes:
        rows: numbers seen, `known` of them not NaN.
    """

    def __init__(self, log1p: bool = False) -> None:
        self.log1p, self.rows, self.known = log1p, 0, 0
        self._ranges = IntegerCodes()
        self._sums = np.zeros((8, 6))
        """Of each range the count; sums of differences from a number in it, and of their squares, each as high and low
        part; that number."""

    def add(self, numbers: NDArray[np.float64], weights: NDArray[np.int64] | None = None) -> None:
        """Takes in numbers (N,), each as often as its weight (N,) says."""
        there = ~np.isnan(numbers) if weights is None else ~np.isnan(numbers) & (weights > 0)
        self.rows += len(numbers) if weights is None else int(weights.sum())
        values = logged(numbers[there], self.log1p)
        times = np.ones(len(values)) if weights is None else weights[there].astype(np.float64)
        self.known += int(times.sum())
        ranges = self._ranges.code(_ranges_of(values))
        if len(self._ranges) > len(self._sums):
            self._sums = np.concatenate([self._sums, np.zeros((2 * len(self._ranges), 6))])
        _add(values, times, ranges, self._sums)

    @property
    def moments(self) -> tuple[float, float]:
        """Mean and deviation; a constant has deviation 1, so that it standardises to 0; none has 0 and 1."""
        mean, deviation = self._of(np.arange(len(self._ranges)))
        return mean, deviation or 1.0

    def robust(self) -> Robust:
        """Mean and deviation without what lies more than `FAR` deviations away from all others.

        All others: at each end at most one in a hundred is not among them, counted without the most frequent range, or
        one of a hundred numbers or more. Numbers are cut `FAR` deviations from the mean, or beyond all that is left.
        """
        order = np.argsort(self._ranges.values)
        mean, deviation = self._of(order)
        if not len(order):
            return Robust(mean, 1.0, -FAR, FAR, 0)
        low, high = _edges(self._ranges.values[order])
        counts, kept = self._sums[order, 0], np.ones(len(order), np.bool_)
        most = max((self.known - counts.max()) // 100, self.known >= 100)
        core = (np.cumsum(counts) > most) & (np.cumsum(counts[::-1])[::-1] > most)
        middle, spread = self._of(order[core])
        if spread:
            kept = core | ((low <= middle + FAR * spread) & (high >= middle - FAR * spread))
            mean, deviation = self._of(order[kept])
        scale = deviation or 1.0
        ends = min(float(low[kept][0]), mean - FAR * scale), max(float(high[kept][-1]), mean + FAR * scale)
        return Robust(mean, scale, *ends, self.known - int(counts[kept].sum()))

    def _of(self, ranges: NDArray[np.int64]) -> tuple[float, float]:
        """Mean and deviation of some ranges; (0, 0) of none, 0 for a constant."""
        if not len(ranges):
            return 0.0, 0.0
        sums = self._sums[np.sort(ranges)]  # as they were first met
        count, mean, squares = _finished(sums[np.argsort(-sums[:, 0], kind="stable")])
        deviation = float(np.sqrt(max(squares, 0.0) / count))
        return mean, deviation if deviation > 1e-12 * max(1.0, abs(mean)) else 0.0


def _ranges_of(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """(N,) number of the range that a value is in, rising with it: sign, exponent and first bit of the mantissa."""
    bits = (values + 0.0).view(np.int64) >> BITS  # no -0.0
    return np.where(bits >= 0, HALF + bits, -1 - bits)


def _edges(ranges: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where ranges begin and end."""
    size = np.where(ranges >= HALF, ranges - HALF, HALF - 1 - ranges)
    near, far = (size << BITS).view(np.float64), ((size + 1) << BITS).view(np.float64)
    return np.where(ranges >= HALF, near, -far), np.where(ranges >= HALF, far, -near)


@numba.njit(nogil=True, cache=True)
def _two_sum(a: float, b: float) -> tuple[float, float]:
    """a + b and what rounding took from it."""
    total = a + b
    back = total - a
    return total, (a - (total - back)) + (b - back)


@numba.njit(nogil=True, cache=True)
def _two_product(a: float, b: float) -> tuple[float, float]:
    """a * b and what rounding took from it."""
    product = a * b
    split_a, split_b = 134217729.0 * a, 134217729.0 * b
    high_a, high_b = split_a - (split_a - a), split_b - (split_b - b)
    low_a, low_b = a - high_a, b - high_b
    return product, ((high_a * high_b - product) + high_a * low_b + low_a * high_b) + low_a * low_b


@numba.njit(nogil=True, cache=True)
def _into(sums: Any, at: int, value: float, rest: float) -> None:
    total, lost = _two_sum(sums[at], value)
    sums[at], sums[at + 1] = _two_sum(total, lost + (sums[at + 1] + rest))


@numba.njit(nogil=True, cache=True)
def _times(a: float, rest_a: float, b: float, rest_b: float) -> tuple[float, float]:
    """(a + rest_a) (b + rest_b)."""
    product, lost = _two_product(a, b)
    return product, lost + (a * rest_b + rest_a * b)


@numba.njit(nogil=True, cache=True)
def _add(values: Any, times: Any, ranges: Any, sums: Any) -> None:
    for row in range(len(values)):
        own, weight = sums[ranges[row]], times[row]
        if own[0] == 0.0:
            own[5] = values[row]
        own[0] += weight
        apart, rest = _two_sum(values[row], -own[5])
        _into(own, 1, *_times(weight, 0.0, apart, rest))
        square, lost = _times(apart, rest, apart, rest)
        _into(own, 3, *_times(weight, 0.0, square, lost))


@numba.njit(nogil=True, cache=True)
def _finished(sums: Any) -> tuple[float, float, float]:
    """Count, mean, and sum of squared deviations from it, of several ranges together."""
    whole, first = np.zeros(5), sums[0, 5]
    for at in range(len(sums)):
        own = sums[at]
        count = own[0]
        apart, rest = _two_sum(own[5], -first)  # sums about `first` are those about the range's own number, moved
        whole[0] += count
        _into(whole, 1, own[1], own[2])
        _into(whole, 1, *_times(count, 0.0, apart, rest))
        _into(whole, 3, own[3], own[4])
        _into(whole, 3, *_times(2.0 * apart, 2.0 * rest, own[1], own[2]))
        square, lost = _times(apart, rest, apart, rest)
        _into(whole, 3, *_times(count, 0.0, square, lost))
    count, high, low, square_high, square_low = whole
    apart = high / count
    product, lost = _two_product(apart, count)
    rest = ((high - product) - lost + low) / count  # apart + rest is the mean, less the first number
    mean, gone = _two_sum(first, apart)
    # The sum of squares less (high + low) (apart + rest), where the great parts may cancel.
    product, lost = _two_product(high, apart)
    total, cut = _two_sum(square_high, -product)
    return count, mean + (gone + rest), total + (cut + square_low - lost - high * rest - low * apart)
