"""What the true values of confirmed configurations may be, and how sure it is that one is non-dominated.

Seeds move all objectives of a configuration together; the finite split moves all configurations together. Both are
simulated, jointly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.frontier.dominance import nondominated
from bench.frontier.samples import Sample
from bench.frontier.variance import SeedNoise, seed_noise
from bench.objectives import Objective

Floats = NDArray[np.float64]

DRAWS = 4000


def worlds(samples: Sequence[Sample], noise: SeedNoise, seed: int, draws: int = DRAWS) -> Floats:
    """Draws (draws, N, M) of the true values of N configurations, given what was measured, under a flat prior.

    About the replicate means: Gaussian with the seeds' covariance over the number of replicates, its scale itself
    drawn, as in Student's t, because few replicates do not pin it down; and Gaussian with the covariance of all means
    over the resamples of the split.
    """
    rng = np.random.default_rng(seed)
    means = np.array([each.mean for each in samples])
    n, m = means.shape
    roots = np.array([_root(each) for each in noise.apart])  # (N, M, M)
    z = rng.standard_normal((draws, n, m))
    freedom = noise.freedom.min(axis=1)
    width = (draws, 1) if noise.common else (draws, n)
    scale = np.sqrt(freedom / rng.chisquare(np.broadcast_to(freedom[: width[1]], width)))
    lengths = np.sqrt([len(each) for each in samples])
    found = means + np.einsum("nkl,dnl->dnk", roots, z) * (scale / lengths)[:, :, None]
    b = min(each.deviations.shape[1] for each in samples)
    if b > 1:
        deviations = np.array([each.deviation for each in samples])  # (N, B, M)
        deviations -= deviations.mean(axis=1, keepdims=True)
        found -= np.einsum("nbm,db->dnm", deviations, rng.standard_normal((draws, b)) / np.sqrt(b - 1))
    return np.asarray(found)


def p_nondominated(
    samples: Sequence[Sample], objectives: Sequence[Objective], seed: int, draws: int = DRAWS
) -> Floats | None:
    """P(no other confirmed configuration dominates this one), for each: (N,).

    A flat prior does not shrink the means towards each other, so P leans to what was seen where all configurations are
    closer together than the noise.

    Args:
        draws: the standard error of P is at most .5 / sqrt(draws).

    Returns:
        None where no configuration has two replicates: nothing is then known of the noise.
    """
    noise = seed_noise(samples) if samples else None
    if noise is None:
        return None
    return share_nondominated(worlds(samples, noise, seed, draws), objectives)


def share_nondominated(drawn: Floats, objectives: Sequence[Objective]) -> Floats:
    """In which share of the worlds (draws, N, M) each configuration is non-dominated: (N,)."""
    return np.asarray(np.mean([nondominated(world, objectives) for world in drawn], axis=0))


def _root(covariance: Floats) -> Floats:
    """A with A A' = covariance, which may be singular; objectives differ by orders of magnitude."""
    scale = np.sqrt(np.diag(covariance))
    unit = np.where(scale > 0, scale, 1.0)
    values, vectors = np.linalg.eigh(covariance / np.outer(unit, unit))
    return np.asarray(unit[:, None] * vectors * np.sqrt(np.maximum(values, 0)))
