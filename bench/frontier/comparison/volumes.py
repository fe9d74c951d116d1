"""Hypervolumes of families' fronts against each other, with intervals.

A front is the best of many means, and the best of what noise moves looks better than it is: a front of more points, the
more so. Intervals are therefore basic bootstrap intervals: what noise adds to what was seen (in the draws) is taken for
what it had added to the truth. Davison & Hinkley, Bootstrap Methods and their Application, 1997, section 5.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.frontier.comparison.differences import LEVEL, Estimate
from bench.frontier.hypervolume import hypervolume
from bench.frontier.samples import Sample
from bench.frontier.uncertainty import posterior_draws
from bench.frontier.variance import seed_noise
from bench.objectives import Objective

Floats = NDArray[np.float64]

DRAWS = 2000


@dataclass(frozen=True)
class Volumes:
    """Hypervolumes of families.

    Attributes:
        seen: of each family's front, by name.
        drawn: of each as noise could have moved it, (draws,); empty where nothing is known of the noise.
    """

    seen: dict[str, float]
    drawn: dict[str, Floats]

    def difference(self, left: str, right: str) -> Estimate:
        """Left minus right."""
        value = self.seen[left] - self.seen[right]
        return _basic(value, self.drawn[left] - self.drawn[right] if self.drawn else None)

    def ratio(self, left: str, right: str) -> Estimate | None:
        """Left over right, by its logarithm, so that either way round says the same; None where right's is 0."""
        if self.seen[right] <= 0:
            return None
        value = self.seen[left] / self.seen[right]
        if not self.drawn or min(self.seen[left], self.drawn[left].min(), self.drawn[right].min()) <= 0:
            return Estimate(value, None)
        interval = _basic(float(np.log(value)), np.log(self.drawn[left] / self.drawn[right])).interval
        assert interval is not None
        return Estimate(value, (float(np.exp(interval[0])), float(np.exp(interval[1]))))


def volumes(
    families: Mapping[str, Sequence[Sample]],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    seed: int,
    draws: int = DRAWS,
) -> Volumes:
    """Of families, each with at least one configuration; metrics as `objectives`. `seed` is of the draws."""
    of = {name: (len(members), np.array([sample.mean for sample in members])) for name, members in families.items()}
    every = [sample for members in families.values() for sample in members]
    noise = seed_noise(every)
    moved = None if noise is None else posterior_draws(every, noise, seed, draws)
    seen = {name: hypervolume(means, objectives, reference) for name, (_, means) in of.items()}
    drawn, first = {}, 0
    for name, (count, _) in of.items():
        if moved is not None:
            part = moved[:, first : first + count]
            drawn[name] = np.array([hypervolume(world, objectives, reference) for world in part])
        first += count
    return Volumes(seen, drawn)


def _basic(value: float, draws: Floats | None) -> Estimate:
    if draws is None:
        return Estimate(value, None)
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, (float(2 * value - high), float(2 * value - low)))
