"""Where the true values of a confirmed point lie: the confidence region of its replicates' mean.

The covariance is pooled over all confirmed points, as in `bench.frontier.uncertainty`: two or three replicates alone
say little about it. Hotelling's T-squared then allows for what is not known of the pooled one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtri

from bench.frontier.estimates import replicated
from bench.frontier.points import Key, key_of
from bench.frontier.uncertainty import pooled
from bench.objectives import Objective
from bench.records import TrialRecord

Floats = NDArray[np.float64]

LEVEL = 0.9


def regions(
    points: Iterable[TrialRecord], objectives: Sequence[Objective], split: str = "valid", level: float = LEVEL
) -> dict[Key, Floats]:
    """Of each confirmed point a matrix S (M, M): two objectives (i, j) of its true value lie in the ellipse
    `d' S[ij, ij]^-1 d <= 1`, d from its replicates' mean, with probability `level`.

    Empty where replicates are too few to tell. Points whose replicates lack an objective are left out.
    """
    groups = {}
    for point in points:
        runs = [replicated(point, objective.key(split)) for objective in objectives]
        if runs and len({len(run) for run in runs}) == 1 and runs[0] and np.isfinite(runs).all():
            groups[key_of(point)] = np.array(runs).T
    if not groups:
        return {}
    covariance, freedom = pooled(list(groups.values()))
    if freedom < 2:
        return {}
    scale = squared_radius(freedom, level)
    return {key: scale * covariance / len(group) for key, group in groups.items()}


def squared_radius(freedom: int, level: float = LEVEL) -> float:
    """Of the region of a mean in two dimensions, in units of the mean's covariance (Hotelling, 1931).

    Args:
        freedom: degrees of freedom of the covariance's estimate, at least 2.
    """
    return float(2 * freedom / (freedom - 1) * fdtri(2, freedom - 1, level))
