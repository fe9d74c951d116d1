"""Intervals that hold at all times: of what is measured again and again, and looked at each time.

A 90% interval misses one time in ten. Who looks at thirty of them sees a miss, so an alarm by such
an interval comes sooner or later without a reason. A confidence sequence holds at all times
together.

This is the asymptotic one of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), "Time-uniform
central limit theory and asymptotic confidence sequences", Annals of Statistics 52: theorem 2.5,
whose truth may change from night to night, with the one-sided boundary of its appendix, a mixture
over half a normal distribution (Robbins 1970).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bench.ledger.effect import LEVEL, Effect

ALPHA = (1 - LEVEL) / 2
"""Chance that one end misses at any time at all."""
NIGHTS = 30
"""Measurements after which the interval is narrowest, compared with one for that time alone."""
TIGHTEST = 6.99
"""Where the boundary over the root of the variance is lowest, as prior variance x variance, at
`ALPHA`."""


def boundary(variance: float, prior: float) -> float:
    """How far a sum of independent errors goes at most, on one side, at any time; farther with a
    chance of `ALPHA`.

    Args:
        variance: of the sum so far.
        prior: of the mixture; the same at all times.
    """
    spread = prior * variance + 1
    return math.sqrt(2 * spread / prior * math.log1p(math.sqrt(spread) / (2 * ALPHA)))


def mean_so_far(estimates: Sequence[float], errors: Sequence[float]) -> Effect:
    """The mean of what was measured so far, n independent values with their standard errors; the
    interval holds at all times.

    Each counts the same, however many rows it has: weights by its error would favour nights on
    which little was measured. The first error above 0, times `NIGHTS`, says where the interval is
    narrowest; where all are 0, as of a model beside itself, it has no width.

    Raises:
        ValueError: no error, or one below 0.

    Example:
        >>> str(mean_so_far([0.01, 0.02, 0.0], [0.01, 0.01, 0.01]))
        '+1.0% (-1.1 to +3.1)'
    """
    if not len(errors) or not min(errors) >= 0:
        raise ValueError(f"expected standard errors from 0 on, found {list(errors)}")
    mean = float(np.mean(estimates))
    variances = np.square(errors)
    above_zero = variances[variances > 0]
    if not len(above_zero):
        return Effect(mean, mean, mean)
    prior = TIGHTEST / (NIGHTS * float(above_zero[0]))
    width = boundary(float(variances.sum()), prior) / len(errors)
    return Effect(mean, mean - width, mean + width)
