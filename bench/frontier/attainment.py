"""Empirical attainment surfaces: what fronts of single seeds reach, in so many percent of cases.

Fonseca & Fleming, PPSN 1996; computed by moocore, for two or three objectives.
"""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np
from numpy.typing import NDArray

from bench.frontier.samples import Sample
from bench.objectives import Objective

Floats = NDArray[np.float64]

PERCENT = (25, 50, 75)
"""Of the fronts, how many attain a surface; 50 is the median front."""
FRONTS = 200


def attainment(samples: Sequence[Sample], objectives: Sequence[Objective], seed: int) -> dict[int, Floats]:
    """By percent the surface's corners (K, M), in natural units, ordered by the first objective.

    A front of single seeds has one replicate of each configuration, drawn at random.

    Returns:
        Empty where no configuration has two replicates, or where there are not two or three objectives.
    """
    if len(objectives) not in (2, 3) or not any(len(each) > 1 for each in samples):
        return {}
    rng = np.random.default_rng(seed)
    chosen = [each.values[rng.integers(len(each), size=FRONTS)] for each in samples]  # (FRONTS, M) each
    sign = np.array([objective.sign for objective in objectives])
    drawn = np.stack(chosen, axis=1) * -sign  # (FRONTS, N, M), to be minimised
    sets = np.repeat(np.arange(1, FRONTS + 1), drawn.shape[1])
    found = moocore.eaf(drawn.reshape(-1, len(sign)), sets, percentiles=list(PERCENT))
    surfaces = {percent: found[found[:, -1] == percent][:, :-1] * -sign for percent in PERCENT}
    return {percent: surface[np.lexsort(surface.T[::-1])] for percent, surface in surfaces.items()}
