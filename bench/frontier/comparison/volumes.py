"""The difference between the hypervolumes of two families' fronts, with an interval.

A front is the best of many means, and the best of what noise moves looks better than it is: the more points a front
has, the more so. Differences are therefore less the bias that posterior draws about the means show, see `reflected`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from scipy import stats

from bench.frontier.hypervolume import hypervolume
from bench.frontier.intervals import Interval, reflected
from bench.frontier.samples import Sample
from bench.frontier.uncertainty import posterior_draws
from bench.frontier.variance import seed_noise
from bench.objectives import Objective

DRAWS = 1000


def volume_differences(
    families: Mapping[str, Sequence[Sample]],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    seed: int,
    draws: int = DRAWS,
) -> dict[tuple[str, str], tuple[Interval, float]]:
    """Of each pair of families left minus right, and p that it is 0; empty where nothing is known of the noise.

    Args:
        families: by name at least one configuration each; metrics as `objectives`.
        seed: of the draws.
    """
    every = [sample for members in families.values() for sample in members]
    noise = seed_noise(every) if every else None
    if noise is None:
        return {}
    drawn, freedom = posterior_draws(every, noise, seed, draws), float(np.median(noise.freedom))
    seen, moved, first = {}, {}, 0
    for name, members in families.items():
        part = drawn[:, first : first + len(members)]
        seen[name] = hypervolume(np.array([each.mean for each in members]), objectives, reference)
        moved[name] = np.array([hypervolume(draw, objectives, reference) for draw in part])
        first += len(members)
    found = {}
    for left, right in combinations(families, 2):
        gap = reflected(seen[left] - seen[right], moved[left] - moved[right])
        p = 2 * float(stats.t.sf(abs(gap.value) / gap.seed, freedom)) if gap.seed > 0 else float(gap.value == 0)
        found[left, right] = gap, p
    return found
