"""The difference between two configurations in one metric, and how many seeds it would take to tell them apart.

Replicates on the same seed share what the seed decides, and are compared one by one: a paired t test. Else, where the
split was resampled alike for both, the difference is paired by resample, as in `bench.frontier.intervals`. Else the two
are compared by their means, each with a variance of its own: Welch's t test (Biometrika 1947), which tells of
training's noise alone. To a paired t test, too, is added what the split does to the difference, where that is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from bench.frontier.intervals import Interval

LEVEL = 0.95
"""Of intervals; a test's size is the rest."""
POWER = 0.8
MOST_SEEDS = 1000


@dataclass(frozen=True)
class Estimate:
    """A value and its interval at `LEVEL`; None where nothing is known of the noise."""

    value: float
    interval: tuple[float, float] | None

    @property
    def sign(self) -> int:
        """+1 or -1 where 0 lies outside the interval, else 0: it cannot be told."""
        if self.interval is None:
            return 0
        return int(self.interval[0] > 0) - int(self.interval[1] < 0)

    @property
    def negative(self) -> Estimate:
        """The same the other way round."""
        turned = None if self.interval is None else (-self.interval[1], -self.interval[0])
        return Estimate(-self.value, turned)


@dataclass(frozen=True)
class Difference(Estimate):
    """A mean minus another; no interval where a side has a single replicate.

    Attributes:
        p: two-sided, that the means are equal; None without interval.
        seeds: replicates on each side; where they are `paired`, those in common.
        paired: whether replicates are paired by seed.
        sd: of the difference between one replicate and another.
        data: variance of the difference from the finite split; 0 where that was not resampled.
    """

    p: float | None
    seeds: tuple[int, int]
    paired: bool
    sd: float
    data: float


def difference(left: Mapping[int, float], right: Mapping[int, float], data: float = 0.0) -> Difference:
    """`left` minus `right`: a metric's values by seed, at least one on each side, all finite; `data` as above."""
    shared = sorted(left.keys() & right.keys())
    if len(shared) > 1:
        of = np.array([left[seed] - right[seed] for seed in shared])
        variance, n = float(of.var(ddof=1)), len(shared)
        return _told(float(of.mean()), variance / n, n - 1, (n, n), True, math.sqrt(variance), data)
    a, b = np.array(list(left.values())), np.array(list(right.values()))
    value, seeds = float(a.mean() - b.mean()), (len(a), len(b))
    if min(seeds) < 2:
        return Difference(value, None, None, seeds, False, math.nan, data)
    parts = float(a.var(ddof=1)) / len(a), float(b.var(ddof=1)) / len(b)
    below = parts[0] ** 2 / (len(a) - 1) + parts[1] ** 2 / (len(b) - 1)
    freedom = sum(parts) ** 2 / below if below > 0 else min(seeds) - 1
    return _told(value, sum(parts), freedom, seeds, False, math.sqrt(a.var(ddof=1) + b.var(ddof=1)), data)


def by_resamples(of: Interval, seeds: tuple[int, int]) -> Difference:
    """A difference that was paired by resamples of the split: `bench.frontier.intervals.difference`, at our level."""
    error = math.hypot(of.seed, of.data)
    half = float(stats.t.ppf((1 + LEVEL) / 2, of.freedom)) * error
    p = 2 * float(stats.t.sf(abs(of.value) / error, of.freedom)) if error > 0 else float(of.value == 0)
    each = of.seed / math.sqrt(1 / seeds[0] + 1 / seeds[1]) * math.sqrt(2)
    return Difference(of.value, (of.value - half, of.value + half), p, seeds, False, each, of.data**2)


def _told(
    value: float, by_seeds: float, freedom: float, seeds: tuple[int, int], paired: bool, sd: float, data: float
) -> Difference:
    error = math.sqrt(by_seeds + data)
    freedom = total_freedom(by_seeds, freedom, data)
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    exact = 1.0 if value == 0 else 0.0  # bit for bit the same noise: nothing is left to doubt
    p = 2 * float(stats.t.sf(abs(value) / error, freedom)) if error > 0 else exact
    return Difference(value, (value - half, value + half), p, seeds, paired, sd, data)


def total_freedom(by_seeds: float, freedom: float, data: float) -> float:
    """Degrees of freedom of the sum of two variances, of which the data's counts as known (Welch-Satterthwaite)."""
    return freedom if by_seeds <= 0 else freedom * ((by_seeds + data) / by_seeds) ** 2


def seeds_needed(of: Difference, tests: int = 1) -> int | None:
    """Seeds on each side from which on a difference as large as the one seen would be told with probability `POWER`.

    Args:
        tests: in the family that the difference is one of; the smallest p has to fall below (1 - LEVEL) / tests.

    Returns:
        None where the noise is not known, nothing is different, or no number up to `MOST_SEEDS` would do.
    """
    if not of.sd > 0 or of.value == 0:
        return None

    def enough(n: int) -> bool:
        by_seeds = of.sd**2 / n
        freedom = total_freedom(by_seeds, (n - 1) * (1 if of.paired else 2), of.data)
        at = stats.t.ppf(1 - (1 - LEVEL) / tests / 2, freedom)
        return bool(stats.nct.sf(at, freedom, abs(of.value) / math.sqrt(by_seeds + of.data)) >= POWER)

    return smallest(enough, MOST_SEEDS)


def smallest(enough: Callable[[int], bool], most: int) -> int | None:
    """The smallest number from 2 to `most` that is enough, where more never is less so; None where none is."""
    if not enough(most):
        return None
    low, high = 1, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
