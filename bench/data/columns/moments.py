"""Running mean and deviation of quantities, without extreme outliers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.system.intrinsics import jit

LARGEST = float(np.finfo(np.float32).max)
PIECE = 1 << 14
"""Numbers that are added at a time."""
OUTLIER = 100.0
"""Distance, in deviations of the other numbers, beyond which a number is left out of mean and
deviation.
"""
CUT = 10.0
"""Distance from the mean, in deviations, at which a number beyond train's is clipped: a network
only extrapolates there."""
BITS, HALF = 51, 1 << 12
"""Low bits of a double that do not affect its range, and the number of ranges on each side of
zero.
"""


def logged(numbers: Floats, log1p: bool) -> Floats:
    """Clips numbers to float32's range and, if `log1p`, applies sign(x) log(1 + |x|)."""
    numbers = np.clip(numbers, -LARGEST, LARGEST)
    if log1p:
        return np.sign(numbers) * np.log1p(np.abs(numbers))
    return numbers


class Robust(NamedTuple):
    """Standardisation of numbers: clipped to `low` and `high`; the moments leave out `left_out`
    numbers.
    """

    mean: float
    scale: float
    low: float
    high: float
    left_out: int


class RunningMoments:
    """Mean and deviation of numbers, without NaN; the same to the last bit however the numbers are
    split into parts.

    Numbers are added in order, in pieces of fixed size, as differences from a nearby number. Sums
    are kept for each range of numbers (an exponent and one bit of the mantissa), so that ranges
    with outliers can be left out at the end. `rows` counts all numbers, `present` those that are
    not NaN.
    """

    def __init__(self, log1p: bool = False) -> None:
        self.log1p = log1p
        self.rows = self.present = 0
        self._place = np.full(2 * HALF, -1, np.int16)
        """Column of each range in `_sums`, in order of appearance; -1 before."""
        self._sums = np.zeros((6, 0))
        """For each range a number in it, the count, sums of differences from that number and of
        their squares, and the least and the largest number."""
        self._waiting = [np.zeros((2, 0))]

    def add(self, numbers: Floats, weights: NDArray[np.int64] | None = None) -> None:
        """Adds numbers (N,), each `weights` (N,) times; not allowed after results were read."""
        times = np.ones(len(numbers), np.int64) if weights is None else weights
        present = ~np.isnan(numbers) & (times > 0)
        self.rows += int(times.sum())
        self.present += int(times[present].sum())
        self._waiting.append(np.stack([logged(numbers[present], self.log1p), times[present]]))
        self._take(PIECE)

    def _take(self, fewest: int) -> None:
        """Adds the numbers that wait, if there are `fewest`: whole pieces, or all where it is 0."""
        if sum(part.shape[1] for part in self._waiting) < fewest:
            return
        waiting = np.concatenate(self._waiting, axis=1)
        size = PIECE if fewest else max(waiting.shape[1], 1)
        end = waiting.shape[1] // size * size
        for start in range(0, end, size):
            values, times = waiting[:, start : start + size]
            bits = (values + 0.0).view(np.int64)  # no -0.0
            places, first = _placed(bits, self._place, self._sums.shape[1])
            new = np.zeros((6, len(first)))
            new[[0, 4, 5]] = values[first]
            self._sums = np.hstack([self._sums, new])
            _add(values, times, places, self._sums)
        self._waiting = [waiting[:, end:]]

    @property
    def moments(self) -> tuple[float, float]:
        """Mean and deviation; a constant has deviation 1, so that it standardises to 0; no numbers
        give 0 and 1.
        """
        self._take(0)
        mean, deviation = self._moments_of(np.arange(self._sums.shape[1]))
        return mean, deviation or 1.0

    def robust(self) -> Robust:
        """Mean and deviation without numbers more than `OUTLIER` deviations away from all others.

        "All others" leaves out at most one in a hundred at each end, not counting the most frequent
        range, and at least one if there are a hundred numbers. Numbers are clipped `CUT` deviations
        from the mean, or at the remaining extremes if wider.
        """
        self._take(0)
        ranges = np.flatnonzero(self._place >= 0)
        order = self._place[ranges].astype(np.int64)
        if not len(order):
            return Robust(0.0, 1.0, -CUT, CUT, 0)
        counts, low, high = self._sums[1, order], self._sums[4, order], self._sums[5, order]
        tail = max((self.present - counts.max()) // 100, self.present >= 100)
        core = (np.cumsum(counts) > tail) & (np.cumsum(counts[::-1])[::-1] > tail)
        middle, spread = self._moments_of(order[core])
        inside = np.ones(len(order), np.bool_)
        if spread:
            is_near = (low <= middle + OUTLIER * spread) & (high >= middle - OUTLIER * spread)
            inside = core | is_near
        mean, deviation = self._moments_of(order[inside])
        scale = deviation or 1.0
        return Robust(
            mean,
            scale,
            low=min(float(low[inside][0]), mean - CUT * scale),
            high=max(float(high[inside][-1]), mean + CUT * scale),
            left_out=self.present - int(counts[inside].sum()),
        )

    def _moments_of(self, ranges: NDArray[np.int64]) -> tuple[float, float]:
        """Mean and deviation of some ranges; 0 for a constant, (0, 0) for none."""
        if not len(ranges):
            return 0.0, 0.0
        near, counts, sums, squares = self._sums[:4, np.sort(ranges)]  # in order of appearance
        count = counts.sum()
        centre = near[np.argmax(counts)]
        relative_mean = ((near - centre) * counts + sums).sum() / count
        distance = near - centre - relative_mean
        variance = (squares + 2 * distance * sums + counts * distance * distance).sum() / count
        deviation = float(np.sqrt(max(variance, 0.0)))
        mean = float(centre + relative_mean)
        if deviation <= 1e-12 * max(1.0, abs(mean)):
            return mean, 0.0
        return mean, deviation


@jit()
def _placed(value_bits: Any, place: Any, n_ranges: int) -> Any:
    """Index of the range of each value (N,), given as bits, and the first values of new ranges.

    The number of a range rises with its values: sign, exponent and first bit of the mantissa.
    """
    first: list[int] = []
    places = np.empty(len(value_bits), np.int64)
    for row in range(len(value_bits)):
        bits = value_bits[row] >> BITS
        number = HALF + bits if bits >= 0 else -1 - bits
        if place[number] < 0:
            place[number] = n_ranges + len(first)
            first.append(row)
        places[row] = place[number]
    return places, first


@jit()
def _add(values: Any, times: Any, places: Any, sums: Any) -> None:
    """Adds values (N,), weighted by `times` (N,), to the sums (6, R) of ranges:
    `RunningMoments._sums`.
    """
    added = np.zeros((3, sums.shape[1]))
    for row in range(len(values)):
        place, value, weight = places[row], values[row], times[row]
        difference = value - sums[0, place]
        added[0, place] += weight
        added[1, place] += weight * difference
        added[2, place] += weight * difference * difference
        sums[4, place] = min(sums[4, place], value)
        sums[5, place] = max(sums[5, place], value)
    sums[1:4] += added
