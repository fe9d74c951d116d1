"""Runs whose truth is known: configurations near a front, retrained on seeds and measured on a
finite split.

A measured value is the configuration's true one plus four effects: of the split on all alike, of
the split on this configuration, of the seed, and of the split on this replicate. Resamples have the
errors of the split again, as those of a bootstrap do. Units are those of AUC on some 10,000 rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.core.objectives import Objective
from bench.ledger.errors.evidence import Evidence

RESAMPLES = 200
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """How a run comes about.

    Attributes:
        spread: standard deviation of true values across the front's direction, which is about the
            noise's size.
        uneven: how much the seeds' deviations differ between configurations, of their logarithm.
        least_replicates, most_replicates: replicates of a configuration.
        tails: degrees of freedom of Student's t by which seeds move a training; infinite for a
            Gaussian.
        correlation: between two configurations on one seed; replicates k of all configurations
            share one, unless it is 0, where every replicate has a seed of its own.
    """

    name: str
    configurations: int = 10
    spread: float = 1e-3
    seeds: float = 1e-3
    uneven: float = 0.0
    common_rows: float = 3e-3
    own_rows: float = 4e-4
    least_replicates: int = 2
    most_replicates: int = 2
    tails: float = np.inf
    correlation: float = 0.0
    metrics: int = 2

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """AUCs of tasks a, b, .."""
        return tuple(Objective(f"{name}.auc", "maximize") for name in "abcde"[: self.metrics])

    @property
    def reference(self) -> dict[str, float]:
        """The AUC of a guess for each objective."""
        return {objective.name: 0.5 for objective in self.objectives}


SETTINGS = (
    Setting("two replicates each"),
    Setting("between 2 and 6 replicates", least_replicates=2, most_replicates=6),
    Setting("seeds matter much less than rows", seeds=2e-4),
    Setting("seeds matter much more than rows", seeds=4e-3),
    Setting("some configurations are unstable", uneven=0.7, least_replicates=3, most_replicates=3),
    Setting("far apart", spread=6e-3),
    Setting("closer together than the noise", spread=2e-4),
    Setting("three configurations", configurations=3),
    Setting("seeds are Student's t with 3 degrees of freedom", tails=3),
    Setting(
        "Student's t with 3, 2 to 6 replicates", tails=3, least_replicates=2, most_replicates=6
    ),
    Setting(
        "shared seeds, correlation .9",
        seeds=2e-3,
        correlation=0.9,
        least_replicates=3,
        most_replicates=3,
    ),
    Setting(
        "shared seeds, correlation .9, 2 to 6 replicates",
        seeds=2e-3,
        correlation=0.9,
        least_replicates=2,
        most_replicates=6,
    ),
    Setting(
        "shared seeds, correlation .5",
        seeds=2e-3,
        correlation=0.5,
        least_replicates=3,
        most_replicates=3,
    ),
    Setting("three objectives", metrics=3),
    Setting("three objectives, some unstable", metrics=3, uneven=0.7),
    Setting(
        "three objectives, some unstable, t with 3", metrics=3, uneven=0.7, tails=3, seeds=2e-3
    ),
)


def truth_of(setting: Setting, rng: np.random.Generator) -> Floats:
    """True values (N, M): along a front, where the sum of objectives is the same, and off it."""
    n, m = setting.configurations, setting.metrics
    positions = rng.normal(0, 2 * setting.spread, (n, m - 1))
    off = rng.normal(0, setting.spread, n)
    directions = np.linalg.svd(np.ones((1, m)))[2][1:]  # (M - 1, M), orthonormal, across (1, .., 1)
    return 0.75 + np.sqrt(2) * positions @ directions + off[:, None]


def run_of(setting: Setting, truth: Floats, rng: np.random.Generator) -> list[Evidence]:
    """What is measured of each configuration."""
    m = setting.metrics
    covariance = 0.3 + 0.7 * np.eye(m)
    common_rows = rng.normal(0, setting.common_rows, (1 + RESAMPLES, m))
    common = _seeds(setting, covariance, setting.most_replicates, rng)
    samples = []
    for number, value in enumerate(truth):
        n = int(rng.integers(setting.least_replicates, setting.most_replicates + 1))
        own_rows = rng.normal(0, setting.own_rows, (1 + RESAMPLES, m))
        run = rng.normal(0, setting.own_rows / 2, (n, 1 + RESAMPLES, m))
        size = setting.seeds * np.exp(rng.normal(0, setting.uneven))
        lone = _seeds(setting, covariance, n, rng)
        seed = size * (
            np.sqrt(setting.correlation) * common[:n] + np.sqrt(1 - setting.correlation) * lone
        )
        rows = common_rows + own_rows + run
        first = 0 if setting.correlation else 100 * number
        samples.append(
            Evidence(value + seed + rows[:, 0], rows[:, 1:], tuple(range(first, first + n)))
        )
    return samples


def _seeds(setting: Setting, covariance: Floats, n: int, rng: np.random.Generator) -> Floats:
    """What n seeds do, (n, M), each metric with variance 1."""
    drawn = rng.multivariate_normal(np.zeros(len(covariance)), covariance, n)
    if np.isinf(setting.tails):
        return drawn
    scale = (setting.tails - 2) / rng.chisquare(setting.tails, (n, 1))
    return np.asarray(drawn * np.sqrt(scale))
