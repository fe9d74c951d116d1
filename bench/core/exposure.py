"""What a row counts, by how it came to be shown: outcomes are then those of all that could be
shown.

A log has what its ranking showed. A model that agrees with that ranking looks good on it, and one
that would show other things is judged by the few of them that were shown. Two kinds of logs tell
more:

* `random`: some rows were shown at random. They judge any ranking alike, and the others do not
  count.
* `propensity`: the chance with which each row was shown. A row counts 1 / propensity (Horvitz and
  Thompson, JASA 1952). Outcomes are shares, so they are self-normalised (Swaminathan and Joachims,
  NeurIPS 2015). Of n rows none counts more than sqrt(n) times the mean (Ionides, JCGS 2008).

Two rankings are compared on the same rows and resamples. Rows that both place alike cancel, so the
difference has less variance than its two sides, as the estimator of differences of Jeunen and
Ustimenko (RecSys 2024) has.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.errors import UserError

Shown = Literal["random", "propensity"]
LEAST_EFFECTIVE = 30
"""Effective positives of a task, below which nobody can tell."""


@dataclass(frozen=True)
class Exposure:
    """What n rows count.

    Attributes:
        weights: (n,) >= 0.
        most: the largest weight that is allowed; `cut` rows had more.
    """

    kind: Shown
    column: str
    weights: Floats
    most: float = np.inf
    cut: int = 0

    def taken(self, rows: NDArray[Any]) -> Exposure:
        """Of some rows."""
        return replace(self, weights=self.weights[rows])

    @property
    def effective(self) -> float:
        """How many rows shown at random these rows are worth: (sum of weights)^2 / sum of squares
        (Kish, 1965).
        """
        return _effective(self.weights)

    def positives(self, labels: NDArray[Any]) -> Floats:
        """(T,) the same of the positive labels (n, T) of each task."""
        is_positive = np.nan_to_num(labels).T > 0
        return np.array([_effective(self.weights[rows]) for rows in is_positive])


def exposure_columns(random: str | None, propensity: str | None) -> dict[Shown, str]:
    """The column that says how rows came to be shown, by what it says; raises ValueError for
    both.
    """
    if random is not None and propensity is not None:
        raise ValueError("expected 'random' or 'propensity', found both")
    if random is not None:
        return {"random": random}
    if propensity is not None:
        return {"propensity": propensity}
    return {}


def exposure_of(kind: Shown, column: str, values: NDArray[Any]) -> Exposure:
    """What rows count by a column (n,): whether they were shown at random, or their propensity; 0
    where it is missing.

    Raises:
        UserError: a value that is no 0 or 1, or no chance above 0.
    """
    present = np.isfinite(values)
    chances = np.where(present, values, 0.0).astype(np.float64)
    if kind == "random":
        expected = "0 or 1"
        wrong = (chances != 0) & (chances != 1)
    else:
        expected = "chances above 0, of at most 1,"
        wrong = present & ((chances <= 0) | (chances > 1))
    if wrong.any():
        raise UserError(f"{kind}: expected {expected} in '{column}', found {chances[wrong][0]:g}")
    if kind == "random":
        return Exposure(kind, column, chances)

    weights = np.divide(1.0, chances, out=np.zeros_like(chances), where=chances > 0)
    counted = weights[weights > 0]
    largest = np.inf
    if len(counted):
        largest = float(np.sqrt(len(counted)) * counted.mean())
    n_cut = int((weights > largest).sum())
    return Exposure(kind, column, np.minimum(weights, largest), largest, n_cut)


def _effective(weights: Floats) -> float:
    squares = float((weights**2).sum())
    if squares == 0:
        return 0.0
    return float(weights.sum()) ** 2 / squares
