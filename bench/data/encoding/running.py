"""Mean and deviation of numbers that come in parts: the same to the last bit, however they are parted.

Numbers are added in pieces of a fixed size, in their order, as differences from a number near them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.codes import IntegerCodes

Numbers = NDArray[np.float64]
LARGEST = float(np.finfo(np.float32).max)
PIECE = 1 << 14
"""Numbers that are added at a time."""
FAR = 100.0
"""Deviations of all others beyond which a number is left out of mean and deviation."""
BITS, HALF = 51, 1 << 12
"""Bits of a double that make no difference to its range, and how many ranges there are on one side of zero."""


def logged(numbers: Numbers, log1p: bool) -> Numbers:
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
        self._sums = np.zeros((4, 0))
        """Of each range a number in it, the count, and sums of differences from that number and of their squares."""
        self._waiting = [np.zeros((2, 0))]

    def add(self, numbers: Numbers, weights: NDArray[np.int64] | None = None) -> None:
        """Takes in numbers (N,), each as often as its weight (N,) says; not after they were asked for."""
        times = np.ones(len(numbers), np.int64) if weights is None else weights
        there = ~np.isnan(numbers) & (times > 0)
        self.rows += int(times.sum())
        self.known += int(times[there].sum())
        self._waiting.append(np.stack([logged(numbers[there], self.log1p), times[there]]))
        self._take(PIECE)

    def _take(self, least: int) -> None:
        """Adds the numbers that wait, in whole pieces where there are at least so many."""
        if sum(part.shape[1] for part in self._waiting) < least:
            return
        waiting = np.concatenate(self._waiting, axis=1)
        ends = range(PIECE, waiting.shape[1] + 1, PIECE) if least else [waiting.shape[1]]
        start = 0
        for end in ends:
            values, times = waiting[:, start:end]
            start, at, before = end, self._ranges.code(_ranges_of(values)), self._sums.shape[1]
            if (met := len(self._ranges) - before) > 0:
                first = np.unique(at, return_index=True)[1][-met:]
                new = np.concatenate([values[None, first], np.zeros((3, met))])
                self._sums = np.concatenate([self._sums, new], axis=1)
            apart = values - self._sums[0][at]
            for row, weights in enumerate((times, times * apart, times * apart * apart), 1):
                self._sums[row] += np.bincount(at, weights, len(self._ranges))
        self._waiting = [waiting[:, start:]]

    @property
    def moments(self) -> tuple[float, float]:
        """Mean and deviation; a constant has deviation 1, so that it standardises to 0; none has 0 and 1."""
        self._take(0)
        mean, deviation = self._of(np.arange(len(self._ranges)))
        return mean, deviation or 1.0

    def robust(self) -> Robust:
        """Mean and deviation without what lies more than `FAR` deviations away from all others.

        All others: at each end at most one in a hundred is not among them, counted without the most frequent range, or
        one of a hundred numbers or more. Numbers are cut `FAR` deviations from the mean, or beyond all that is left.
        """
        self._take(0)
        order = np.argsort(self._ranges.values)
        mean, deviation = self._of(order)
        if not len(order):
            return Robust(mean, 1.0, -FAR, FAR, 0)
        low, high = _edges(self._ranges.values[order])
        counts, kept = self._sums[1, order], np.ones(len(order), np.bool_)
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
        near, counts, sums, squares = self._sums[:, np.sort(ranges)]  # as they were first met
        count, centre = counts.sum(), near[np.argmax(counts)]
        mean = ((near - centre) * counts + sums).sum() / count  # less the centre
        apart = near - centre - mean
        variance = (squares + 2 * apart * sums + counts * apart * apart).sum() / count
        deviation = float(np.sqrt(max(variance, 0.0)))
        mean = float(centre + mean)
        return mean, deviation if deviation > 1e-12 * max(1.0, abs(mean)) else 0.0


def _ranges_of(values: Numbers) -> NDArray[np.int64]:
    """(N,) number of the range that a value is in, rising with it: sign, exponent and first bit of the mantissa."""
    bits = (values + 0.0).view(np.int64) >> BITS  # no -0.0
    return np.where(bits >= 0, HALF + bits, -1 - bits)


def _edges(ranges: NDArray[np.int64]) -> tuple[Numbers, Numbers]:
    """Where ranges begin and end."""
    size = np.where(ranges >= HALF, ranges - HALF, HALF - 1 - ranges)
    near, far = (size << BITS).view(np.float64), ((size + 1) << BITS).view(np.float64)
    return np.where(ranges >= HALF, near, -far), np.where(ranges >= HALF, far, -near)
