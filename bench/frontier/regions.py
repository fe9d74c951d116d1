"""Where the true values of a confirmed point lie in two objectives: the confidence region of its mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtri

from bench.frontier.intervals import LEVEL
from bench.frontier.statistics import Statistics
from bench.objectives import Objective

Floats = NDArray[np.float64]


def regions(statistics: Statistics, objectives: Sequence[Objective], split: str) -> Mapping[str, Floats]:
    """Of each confirmed point a matrix S (M, M): two objectives (i, j) of its true value lie in the ellipse
    `d' S[ij, ij]^-1 d <= 1`, d from its mean, with probability `LEVEL`.

    Points of whose covariance too little is known are left out.
    """
    found = {}
    for key, covariance in statistics.covariance.items():
        known = statistics.intervals.get(key, {})
        freedom = [known[each.key(split)].freedom for each in objectives if each.is_metric and each.key(split) in known]
        if freedom and min(freedom) >= 2:
            found[key] = np.atleast_2d(covariance) * squared_radius(min(freedom))
    return found


def squared_radius(freedom: float) -> float:
    """Of the region of a mean in two dimensions, in units of the mean's covariance (Hotelling, 1931).

    Args:
        freedom: degrees of freedom of the covariance's estimate, at least 2; infinite where it is known.
    """
    if math.isinf(freedom):
        return -2 * math.log(1 - LEVEL)
    return float(2 * freedom / (freedom - 1) * fdtri(2, freedom - 1, LEVEL))
