"""Log odds of predictions, moved and stretched so that they fit what happened (Platt, Advances in
Large Margin Classifiers 1999, on the log odds). Without scikit-learn, which takes longer to import
than an answer may take."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from bench.core.arrays import Floats
from bench.core.formula import NEAR

FIT_ROWS = 100_000
"""Rows that are fit on, about."""


class Platt(NamedTuple):
    """The map p -> sigmoid(offset + slope logit(p)).

    Attributes:
        gain: in log likelihood over predictions as they are.
    """

    offset: float
    slope: float
    gain: float

    @property
    def rounded(self) -> Platt:
        """With three digits."""
        offset = float(f"{self.offset:.3g}")
        slope = float(f"{self.slope:.3g}")
        return self._replace(offset=offset, slope=slope)

    def apply(self, p: NDArray[Any]) -> Floats:
        """Of predictions of any shape."""
        return np.asarray(expit(self.offset + self.slope * _log_odds(p)))


def platt(p: NDArray[Any], labels: NDArray[Any], weights: NDArray[Any] | None) -> Platt | None:
    """The map of largest likelihood, by Newton's method; None where all labels or all predictions
    are equal.

    Args:
        p: (N,), within 0 and 1.
        labels: (N,), 0 or 1, NaN where unknown.
        weights: (N,), None for equal ones.
    """
    rows = np.flatnonzero(np.isfinite(labels))
    step = 1 + len(rows) // FIT_ROWS
    rows = rows[::step]
    y = labels[rows].astype(np.float64)
    x = _log_odds(p[rows])
    w = np.ones(len(y))
    if weights is not None:
        w = weights[rows].astype(np.float64)
    if not len(y) or not 0 < y.mean() < 1 or x.std() == 0:
        return None
    fit = logistic(x, y, w)
    as_they_are = np.array([0.0, 1.0])
    gain = _log_likelihood(fit, x, y, w) - _log_likelihood(as_they_are, x, y, w)
    offset, slope = fit.tolist()
    return Platt(offset, slope, gain)


def logistic(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Offset and slope (2,) of a logistic regression of y (N,), within 0 and 1, on x (N,), by
    Newton's method.
    """
    design = np.stack([np.ones_like(x), x])
    coefficients = np.array([0.0, 1.0])
    for _ in range(50):
        mean = expit(coefficients @ design)
        variance = weights * mean * (1 - mean)
        hessian = (design * variance) @ design.T
        gradient = design @ (weights * (y - mean))
        step = np.linalg.solve(hessian + 1e-9 * np.eye(2), gradient)
        coefficients = coefficients + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            break
    return coefficients


def _log_likelihood(coefficients: Floats, x: Floats, y: Floats, weights: Floats) -> float:
    offset, slope = coefficients
    z = offset + slope * x
    of_rows = y * z - np.logaddexp(0, z)
    return float((weights * of_rows).sum())


def _log_odds(p: NDArray[Any]) -> Floats:
    clipped = np.clip(p.astype(np.float64), NEAR, 1 - NEAR)
    return np.asarray(logit(clipped))
