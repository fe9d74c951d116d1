"""What seeds do to one metric of confirmed points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.errors import UserError
from bench.frontier.samples import Sample, sample
from bench.frontier.variance import SeedNoise, seed_noise
from bench.objectives import Objective
from bench.records import Point


@dataclass(frozen=True)
class Noise:
    """Of one metric: the samples of confirmed points, and the variances of their seeds in the same order."""

    samples: dict[str, Sample]
    seeds: SeedNoise

    def of(self, key: str) -> tuple[float, float]:
        """Of a point: the variance of one training's value, and its degrees of freedom."""
        at = list(self.samples).index(key)
        return float(self.seeds.within[at, 0, 0]), float(self.seeds.freedom[at, 0])


def noise_of(points: Sequence[Point], objective: Objective, split: str, asked_by: str) -> Noise:
    """The noise of a metric on a split.

    Raises:
        UserError: no point has two replicates, so that nothing is known of it; says who `asked_by`.
    """
    key = objective.key(split)
    samples = {point.id: one for point in points if (one := sample(point, [key]))}
    seeds = seed_noise(list(samples.values())) if samples else None
    if seeds is None:
        raise UserError(
            f"{asked_by}: expected points confirmed on two seeds or more, which tell how much seeds move "
            f"{key}, found none; confirm with confirm.replicates = 2 or more"
        )
    return Noise(samples, seeds)
