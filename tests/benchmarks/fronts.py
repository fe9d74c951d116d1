"""Runs whose truth is known: configurations near a front, retrained on seeds and measured on a finite split.

A measured value is the configuration's true one, plus what the split does to all alike, what it does to this
configuration, what the seed does, and what the split does to that very replicate. Resamples have the errors of the
split again, as those of a bootstrap do. Units are those of AUC on some 10,000 rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.frontier.samples import Sample
from bench.objectives import Objective

OBJECTIVES = (Objective("a.auc", "maximize"), Objective("b.auc", "maximize"))
REFERENCE = {"a.auc": 0.5, "b.auc": 0.5}
RESAMPLES = 200
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """How a run comes about.

    Attributes:
        spread: standard deviation of true values across the front's direction, which is about the noise's size.
        uneven: how much the seeds' deviations differ between configurations, of their logarithm.
        least, most: replicates of a configuration.
    """

    name: str
    configurations: int = 10
    spread: float = 1e-3
    seeds: float = 1e-3
    uneven: float = 0.0
    alike: float = 3e-3
    apart: float = 4e-4
    least: int = 2
    most: int = 2


SETTINGS = (
    Setting("as in the suite `quick`"),
    Setting("between 2 and 6 replicates", least=2, most=6),
    Setting("seeds matter much less than rows", seeds=2e-4),
    Setting("seeds matter much more than rows", seeds=4e-3),
    Setting("some configurations are unstable", uneven=0.7, least=3, most=3),
    Setting("far apart", spread=6e-3),
    Setting("closer together than the noise", spread=2e-4),
    Setting("three configurations", configurations=3),
)


def truth_of(setting: Setting, rng: np.random.Generator) -> Floats:
    """True values (N, 2): along a front, and off it."""
    along = rng.normal(0, 2 * setting.spread, setting.configurations)
    off = rng.normal(0, setting.spread, setting.configurations)
    return np.column_stack([0.75 + along + off, 0.80 - along + off])


def run_of(setting: Setting, truth: Floats, rng: np.random.Generator) -> list[Sample]:
    """What is measured of each configuration."""
    seeds = np.array([[1.0, 0.3], [0.3, 1.0]]) * setting.seeds**2
    alike = rng.normal(0, setting.alike, (1 + RESAMPLES, 2))
    samples = []
    for value in truth:
        n = int(rng.integers(setting.least, setting.most + 1))
        own = rng.normal(0, setting.apart, (1 + RESAMPLES, 2))
        run = rng.normal(0, setting.apart / 2, (n, 1 + RESAMPLES, 2))
        size = np.exp(rng.normal(0, setting.uneven))
        seed = rng.multivariate_normal([0, 0], seeds * size**2, n)
        rows = alike + own + run
        samples.append(Sample(value + seed + rows[:, 0], rows[:, 1:]))
    return samples
