"""True values that the replicates leave possible, drawn for many configurations at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.frontier.samples import Sample
from bench.frontier.uncertainty import pooled

Floats = NDArray[np.float64]

DRAWS = 2000


def worlds(samples: Sequence[Sample], seed: int, draws: int = DRAWS) -> Floats | None:
    """Means of N configurations in M metrics, as they could have come out: (draws, N, M).

    Seeds: noise of the pooled covariance over the number of replicates, on a scale that is drawn, too, as in Student's
    t. Data: in each draw one resample of the split, the same for all configurations, where all were resampled alike.

    Returns:
        None where no configuration has two replicates: nothing is then known of seeds.
    """
    covariance, freedom = pooled([sample.values for sample in samples])
    if freedom < 1:
        return None
    rng = np.random.default_rng(seed)
    sd = np.sqrt(np.diag(covariance))
    unit = np.where(sd > 0, sd, 1.0)  # objectives differ by orders of magnitude
    noise = rng.multivariate_normal(
        np.zeros(len(sd)), covariance / np.outer(unit, unit), (draws, len(samples)), method="eigh"
    )
    scale = np.sqrt(freedom / rng.chisquare(freedom, (draws, 1, 1)))
    moved = np.array([sample.mean for sample in samples]) + noise * scale * (
        unit / np.sqrt([[len(sample)] for sample in samples])
    )
    resamples = {len(sample.deviation) for sample in samples}
    if len(resamples) == 1 and (count := resamples.pop()):
        at = rng.integers(count, size=draws)
        moved += np.stack([sample.deviation[at] for sample in samples], axis=1)
    return np.asarray(moved)
