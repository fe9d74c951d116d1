"""What a confirmed point promises of test: an interval that a training again should fall into.

Reports and retraining read it; no choice does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from bench.errors import UserError
from bench.frontier.estimates import replicated
from bench.frontier.samples import sample
from bench.frontier.variance import seed_noise
from bench.objectives import Objective
from bench.records import Point
from bench.rows import TEST


@dataclass(frozen=True)
class Promise:
    """Of one metric on test: the mean over replicates, and where the mean of so many new trainings should be."""

    objective: Objective
    mean: float
    low: float
    high: float

    def broken(self, value: float) -> bool:
        """Whether a value is worse than promised. One that is better than the interval is not."""
        return not (value >= self.low if self.objective.direction == "maximize" else value <= self.high)

    def surpassed(self, value: float) -> bool:
        """Whether a value is better than the whole interval."""
        return value > self.high if self.objective.direction == "maximize" else value < self.low

    def __str__(self) -> str:
        return f"{self.mean:.5f} ({self.low:.5f} to {self.high:.5f})"


def promises(
    point: Point, points: Sequence[Point], objectives: Sequence[Objective], confidence: float, runs: int
) -> dict[str, Promise]:
    """The promise of each metric among the objectives, by its name.

    A prediction interval by Student's t: the noise of the replicates' mean and that of the new ones' together.

    Args:
        points: all of the run, whose replicates tell the noise.
        confidence: that a fair new value is within the interval, for each metric alone.
        runs: new trainings whose mean is to be held against it.

    Raises:
        UserError: the point has no replicates, or no point has two.
    """
    found = {}
    for objective in (each for each in objectives if each.is_metric):
        key = objective.key(TEST)
        values, samples = replicated(point, key), {each.id: one for each in points if (one := sample(each, [key]))}
        noise = seed_noise(list(samples.values())) if values else None
        if noise is None:
            raise UserError(
                f"retrain.confidence: expected points confirmed on two seeds or more, which tell how much seeds move "
                f"{key}, found none; confirm with confirm.replicates = 2 or more"
            )
        at = list(samples).index(point.id)
        variance, freedom = float(noise.within[at, 0, 0]), float(noise.freedom[at, 0])
        margin = stdtrit(freedom, (1 + confidence) / 2) * math.sqrt(variance * (1 / len(values) + 1 / runs))
        mean = float(np.mean(values))
        found[objective.name] = Promise(objective, mean, mean - margin, mean + margin)
    return found


def verdicts(promised: Mapping[str, Promise], metrics: Mapping[str, float]) -> tuple[list[str], list[str]]:
    """Sentences: which promises metrics (with split) break, and which they surpass."""
    broken, surpassed = [], []
    for name, promise in promised.items():
        value = metrics.get(promise.objective.key(TEST), float("nan"))
        if promise.broken(value):
            broken.append(f"{name} on test is {value:.5f}, where the frontier promised {promise}")
        elif promise.surpassed(value):
            surpassed.append(f"{name} on test is {value:.5f}, better than the frontier promised: {promise}")
    return broken, surpassed
