"""How sure it is that a confirmed configuration is non-dominated.

Seeds move all objectives of a configuration together, by amounts that are much the same for every configuration; a
handful of replicates each is too few to see this one by one, but pooled they show it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.frontier.dominance import nondominated
from bench.objectives import Objective

Floats = NDArray[np.float64]

DRAWS = 4000


def pooled(groups: Sequence[Floats]) -> tuple[Floats, int]:
    """Covariance (M, M) of replicates about their own configuration's mean, and its degrees of freedom.

    Args:
        groups: one array (n_i, M) for each configuration.
    """
    residuals = np.vstack([group - group.mean(axis=0) for group in groups])
    freedom = len(residuals) - len(groups)
    return residuals.T @ residuals / max(freedom, 1), freedom


def p_nondominated(
    groups: Sequence[Floats], objectives: Sequence[Objective], seed: int, draws: int = DRAWS
) -> Floats | None:
    """P(no other confirmed configuration dominates this one), for each: (N,).

    The true means are drawn around the replicate means under a flat prior, with the pooled covariance over the number
    of replicates; its scale is itself drawn, as in Student's t, because few replicates do not pin it down. A flat
    prior does not shrink the means towards each other, so P leans to what was seen where all configurations are
    closer together than the noise.

    Args:
        groups: replicate values (n_i, M) of each configuration, n_i >= 1, all finite.
        draws: the standard error of P is at most .5 / sqrt(draws).

    Returns:
        None where no configuration has two replicates: nothing is then known of the noise.
    """
    if not groups:
        return None
    covariance, freedom = pooled(groups)
    if freedom < 1:
        return None
    rng = np.random.default_rng(seed)
    sd = np.sqrt(np.diag(covariance))
    unit = np.where(sd > 0, sd, 1.0)  # objectives differ by orders of magnitude; factorise their correlation instead
    noise = rng.multivariate_normal(
        np.zeros(len(sd)), covariance / np.outer(unit, unit), (draws, len(groups)), method="eigh"
    )
    scale = np.sqrt(freedom / rng.chisquare(freedom, (draws, 1, 1)))
    per_mean = unit / np.sqrt([[len(group)] for group in groups])  # (N, M)
    means = np.array([group.mean(axis=0) for group in groups])
    worlds = means + noise * scale * per_mean  # (draws, N, M)
    return np.asarray(np.mean([nondominated(world, objectives) for world in worlds], axis=0))
