"""Hypervolumes of families' fronts, and the difference between two, with an interval.

A front is the best of many means, and the best of what noise moves looks better than it is: the more points a front
has, the more so. Differences are therefore less the bias that posterior draws about the means show, with basic
bootstrap intervals. Davison & Hinkley, Bootstrap Methods and their Application, 1997, section 5.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.frontier.hypervolume import hypervolume
from bench.frontier.intervals import LEVEL
from bench.frontier.samples import Sample
from bench.frontier.uncertainty import posterior_draws
from bench.frontier.variance import seed_noise
from bench.objectives import Objective

Floats = NDArray[np.float64]

DRAWS = 1000


@dataclass(frozen=True)
class Gap:
    """The difference between two hypervolumes: without bias, its interval, and p that it is 0."""

    value: float
    interval: tuple[float, float]
    p: float


@dataclass(frozen=True)
class Volumes:
    """Hypervolumes of families.

    Attributes:
        seen: of each family's front, by name.
        drawn: of each in posterior draws, (draws,); empty where nothing is known of the noise.
        freedom: degrees of freedom of the noise.
    """

    seen: dict[str, float]
    drawn: dict[str, Floats]
    freedom: float

    def difference(self, left: str, right: str) -> Gap | None:
        """Left minus right; None where nothing is known of the noise."""
        if not self.drawn:
            return None
        seen, draws = self.seen[left] - self.seen[right], self.drawn[left] - self.drawn[right]
        low, high = 2 * seen - np.quantile(draws, [0.5 + LEVEL / 2, 0.5 - LEVEL / 2])
        value, error = float(2 * seen - draws.mean()), float(draws.std(ddof=1))
        p = 2 * float(stats.t.sf(abs(value) / error, self.freedom)) if error > 0 else float(value == 0)
        return Gap(value, (float(low), float(high)), p)


def volumes(
    families: Mapping[str, Sequence[Sample]],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    seed: int,
    draws: int = DRAWS,
) -> Volumes:
    """Of families, each with at least one configuration; metrics as `objectives`. `seed` is of the draws."""
    every = [sample for members in families.values() for sample in members]
    noise = seed_noise(every) if every else None
    drawn = None if noise is None else posterior_draws(every, noise, seed, draws)
    seen, moved, first = {}, {}, 0
    for name, members in families.items():
        seen[name] = hypervolume(np.array([each.mean for each in members]), objectives, reference)
        if drawn is not None:
            part = drawn[:, first : first + len(members)]
            moved[name] = np.array([hypervolume(draw, objectives, reference) for draw in part])
        first += len(members)
    return Volumes(seen, moved, np.inf if noise is None else float(np.median(noise.freedom)))
