"""How far one front lies beyond another: the additive epsilon indicator, with an interval that holds.

epsilon = max over left's points of min over right's of max over objectives of (left - right), in units. Above 0, some
point of left is beyond right's front; below 0, right is ahead of all of left by that much. It is what Zitzler et al.,
IEEE TEC 2003, call the additive epsilon indicator of `right` with left as the reference set.

Resampling gives no valid interval for such a maximum: where several points lie equally far, the luckiest of them is
taken for the farthest. The bounds here hold however the points lie. Low: each point of left must be told from *every*
point of right (an intersection of tests, which costs nothing) in *some* objective (a union, shared out over left's
points and objectives by Bonferroni). High: the other way round, shared out over right's points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.frontier.comparison.differences import LEVEL, MOST_SEEDS, Estimate, smallest
from bench.frontier.samples import Sample
from bench.frontier.variance import seed_noise
from bench.objectives import Objective

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Beyond:
    """By how much right must improve, in every objective, to cover all of left.

    Attributes:
        estimate: epsilon, in units.
        leaving: rows of left that are certainly beyond right's front.
        needed: seeds for each configuration from which on the estimate, as it is, would be told from 0; None where that
            is not known, or more than `MOST_SEEDS` would be needed, or the data are too few for any number of them.
    """

    estimate: Estimate
    leaving: tuple[int, ...]
    needed: int | None


def beyond(left: Sequence[Sample], right: Sequence[Sample], objectives: Sequence[Objective], units: Floats) -> Beyond:
    """Compares two families, each with at least one configuration, in metrics as `objectives`.

    Args:
        units: (M,), what each objective is counted in.
    """
    signs = np.array([objective.sign for objective in objectives]) / units
    means = [np.array([sample.mean for sample in side]) * signs for side in (left, right)]
    ahead = means[0][:, None, :] - means[1][None, :, :]  # (L, R, M)
    value = float(ahead.max(axis=2).min(axis=1).max())
    noise = seed_noise([*left, *right])
    if noise is None:
        return Beyond(Estimate(value, None), (), None)
    variances = np.diagonal(noise.apart, axis1=1, axis2=2) * signs**2
    errors = _Errors(variances, noise.freedom, noise.common, _data(left, right) * signs**2, left, right)
    low, high = errors.bounds(ahead)
    estimate = Estimate(value, (float(low.max()), high))
    return Beyond(estimate, tuple(np.flatnonzero(low > 0).tolist()), errors.needed(ahead, value))


def _data(left: Sequence[Sample], right: Sequence[Sample]) -> Floats:
    """Variance of each difference over the resamples of the split: (L, R, M), 0 where they were not resampled alike."""
    result = np.zeros((len(left), len(right), left[0].values.shape[1]))
    for (i, a), (j, b) in product(enumerate(left), enumerate(right)):
        if len(a.deviation) == len(b.deviation) > 1:
            result[i, j] = (a.deviation - b.deviation).var(axis=0, ddof=1)
    return result


@dataclass(frozen=True)
class _Errors:
    """What moves the differences: `seeds` (L + R, M), variances of one replicate, and `data` (L, R, M)."""

    seeds: Floats
    freedom: Floats
    common: bool
    data: Floats
    left: Sequence[Sample]
    right: Sequence[Sample]

    def bounds(self, ahead: Floats, count: int | None = None) -> tuple[Floats, float]:
        """The lower bound of each of left's points, and the upper one of all; as if with `count` seeds each."""
        n = np.array([count or len(sample) for sample in (*self.left, *self.right)], dtype=float)
        each, split = self.seeds / n[:, None], len(self.left)
        by_seeds = each[:split, None] + each[None, split:]
        parts = each**2 / self.freedom
        below = parts[:split, None] + parts[None, split:]
        freedom = np.where(below > 0, by_seeds**2 / np.where(below > 0, below, 1.0), self.freedom.max())
        if self.common:  # they err together
            freedom = np.broadcast_to(self.freedom[0], freedom.shape)
        known = np.where(by_seeds > 0, by_seeds, 1.0)  # Satterthwaite, 1946; the data's part counts as known
        freedom = freedom * np.where(by_seeds > 0, ((by_seeds + self.data) / known) ** 2, 1.0)
        error, share = np.sqrt(by_seeds + self.data), (1 - LEVEL) / 2
        lowered = ahead - stats.t.ppf(1 - share / (split * ahead.shape[2]), freedom) * error
        raised = ahead + stats.t.ppf(1 - share / len(self.right), freedom) * error
        return lowered.max(axis=2).min(axis=1), float(raised.max(axis=2).min(axis=1).max())

    def needed(self, ahead: Floats, value: float) -> int | None:
        def told(count: int) -> bool:
            low, high = self.bounds(ahead, count)
            return bool(low.max() > 0) if value > 0 else high < 0

        return smallest(told, MOST_SEEDS) if value else None
