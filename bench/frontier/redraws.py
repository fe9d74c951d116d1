"""What replicates allow the true values of points to be: seeds move every configuration by much the same amount."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.frontier.estimates import replicated
from bench.frontier.points import Key, key_of
from bench.objectives import Objective
from bench.records import TrialRecord
from bench.rows import CONFIRM

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """Replicates of the points that have some.

    Attributes:
        runs: values (n, M) of each.
        covariance: (M, M) of one training's values, pooled over the points; freedom: degrees of it, 0 where no point
            has two replicates, so that nothing is known.
    """

    runs: dict[Key, Floats]
    covariance: Floats
    freedom: int

    @classmethod
    def of(cls, points: Iterable[TrialRecord], objectives: Sequence[Objective], split: str = CONFIRM) -> Seen:
        """Those of points that have all objectives of each replicate, all finite."""
        found = {}
        for point in points:
            runs = [replicated(point, objective.key(split)) for objective in objectives]
            if len({len(run) for run in runs}) == 1 and np.isfinite(runs).all() and runs[0]:
                found[key_of(point)] = np.array(runs).T
        residuals = np.vstack([np.empty((0, len(objectives))), *(each - each.mean(axis=0) for each in found.values())])
        freedom = len(residuals) - len(found)
        return cls(found, residuals.T @ residuals / max(freedom, 1), freedom)

    def tells(self, points: Iterable[TrialRecord]) -> bool:
        """Whether all these have replicates, and the noise is known."""
        return self.freedom > 0 and all(key_of(point) in self.runs for point in points)

    def means(self, points: Sequence[TrialRecord], seed: int, draws: int, heavy: bool = True) -> Floats:
        """Draws (draws, N, M) of the true means of points that have replicates, under a flat prior.

        Args:
            heavy: whether the noise's size is drawn, too, as in Student's t, because few replicates do not pin it
                down; without, their spread is that of standard errors.
        """
        rng = np.random.default_rng(seed)
        sd = np.sqrt(np.diag(self.covariance))
        unit = np.where(sd > 0, sd, 1.0)  # objectives differ by orders of magnitude; factorise their correlation
        correlation = self.covariance / np.outer(unit, unit)
        noise = rng.multivariate_normal(np.zeros(len(sd)), correlation, (draws, len(points)), method="eigh")
        if heavy:
            noise *= np.sqrt(self.freedom / rng.chisquare(self.freedom, (draws, 1, 1)))
        runs = [self.runs[key_of(point)] for point in points]
        middle = np.array([each.mean(axis=0) for each in runs])
        return np.asarray(middle + noise * unit / np.sqrt([[len(each)] for each in runs]))
