"""Many variances of few degrees of freedom each, drawn to a common one.

The more they differ beyond chance, the less they are drawn (Smyth, Statistical Applications in Genetics and Molecular
Biology 2004).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, polygamma

Floats = NDArray[np.float64]
ENOUGH = 4
"""Of fewer variances one cannot tell whether they differ."""


def moderated(
    variances: Floats, freedom: NDArray[np.int64], pooled: float, total: float
) -> tuple[Floats, Floats, bool]:
    """Variances (N,) drawn to a common one, their degrees of freedom, and whether they are one and the same.

    Args:
        freedom: (N,) of the variances; 0 where one is not known.
        pooled: the common variance, with `total` degrees of freedom.
    """
    seen = freedom > 0
    one = np.full(len(variances), pooled), np.full(len(variances), float(total)), True
    if seen.sum() < ENOUGH or pooled <= 0:
        return one
    half = freedom[seen] / 2
    logs = np.log(np.maximum(variances[seen], 1e-5 * pooled)) - digamma(half) + np.log(half)
    beyond = float(logs.var(ddof=1) - polygamma(1, half).mean())
    if beyond <= 0:
        return one
    prior = 2 * _trigamma_inverse(beyond)
    strength = prior + freedom
    drawn = (prior * pooled + freedom * variances) / strength  # the middle by logarithms is far less sure with few
    return drawn, np.minimum(strength, total), False


def _trigamma_inverse(value: float) -> float:
    """x with trigamma(x) = value, by Newton's steps on 1 / trigamma."""
    x = 0.5 + 1 / value
    for _ in range(50):
        first = float(polygamma(1, x))
        step = first * (1 - first / value) / float(polygamma(2, x))
        x += step
        if abs(step) < 1e-9 * x:
            break
    return x


def satterthwaite(parts: Sequence[Floats], freedom: Sequence[Floats]) -> Floats:
    """Effective degrees of freedom of a sum of variances, each with its own (Biometrics Bulletin 1946)."""
    whole = np.asarray(sum(parts))
    below = np.asarray(sum(part**2 / each for part, each in zip(parts, freedom, strict=True)))
    none = np.broadcast_to(freedom[0], whole.shape)
    return np.asarray(np.where(below > 0, whole**2 / np.where(below > 0, below, 1), none))
