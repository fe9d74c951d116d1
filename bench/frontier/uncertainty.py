"""What the true values of confirmed configurations may be, and how sure it is that one is non-dominated.

Seeds move all objectives of a configuration together; the finite split moves all configurations together. Both are
simulated, jointly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from bench.frontier.dominance import nondominated
from bench.frontier.samples import Sample
from bench.frontier.variance import ENOUGH, SeedNoise, seed_noise
from bench.objectives import Objective

Floats = NDArray[np.float64]

DRAWS = 4000
SCALES = 40
"""Few replicates do not pin down how much seeds do: so many sizes of it are gone through, equally likely ones."""
LEAST_SPREAD = 0.05
"""True values differ in every direction by at least this share of the noise's variance: no two are the same."""


def worlds(
    samples: Sequence[Sample], noise: SeedNoise, seed: int, draws: int = DRAWS, shrunken: bool = False
) -> Floats:
    """Draws (draws, N, M) of the true values of N configurations, given what was measured.

    Measured means err by a Gaussian with the seeds' covariance over the number of replicates, its scale spread as in
    Student's t, and by one with the covariance of all means over the resamples of the split.

    Args:
        shrunken: whether true values are thought to be spread by a Gaussian, whose middle and covariance are learnt
            from the means (empirical Bayes), or under a flat prior, by which they are drawn about the means as they
            are. With fewer than four configurations there is nothing to learn it from.
    """
    rng = np.random.default_rng(seed)
    means = np.array([each.mean for each in samples])
    seeds, data = _covariances(samples, noise)
    unit = np.sqrt(np.maximum(np.diag(seeds + data).reshape(means.shape).mean(axis=0), 0))
    unit = np.where(unit > 0, unit, 1.0)  # objectives differ by orders of magnitude
    full = np.tile(unit, len(means))
    seeds, data = seeds / np.outer(full, full), data / np.outer(full, full)
    freedom = float(np.median(noise.freedom.min(axis=1)))
    levels = (np.arange(SCALES) + rng.random(SCALES)) / SCALES
    found = []
    for at, scale in enumerate(freedom / (2 * gammaincinv(freedom / 2, levels))):
        centre, covariance = means / unit, scale * seeds + data
        if shrunken and len(means) >= ENOUGH:
            centre, covariance = _posterior(centre, covariance)
        values, vectors = np.linalg.eigh(covariance)
        many = draws // SCALES + (at < draws % SCALES)
        noises = rng.standard_normal((many, len(values))) @ (vectors * np.sqrt(np.maximum(values, 0))).T
        found.append((centre + noises.reshape(many, *means.shape)) * unit)
    return np.concatenate(found)


def p_nondominated(
    samples: Sequence[Sample], objectives: Sequence[Objective], seed: int, draws: int = DRAWS
) -> Floats | None:
    """P(no other confirmed configuration dominates this one), for each: (N,).

    Args:
        draws: the standard error of P is at most .5 / sqrt(draws).

    Returns:
        None where no configuration has two replicates: nothing is then known of the noise.
    """
    noise = seed_noise(samples) if samples else None
    if noise is None:
        return None
    return share_nondominated(worlds(samples, noise, seed, draws, shrunken=True), objectives)


def share_nondominated(drawn: Floats, objectives: Sequence[Objective]) -> Floats:
    """In which share of the worlds (draws, N, M) each configuration is non-dominated: (N,)."""
    return np.asarray(np.mean([nondominated(world, objectives) for world in drawn], axis=0))


def _covariances(samples: Sequence[Sample], noise: SeedNoise) -> tuple[Floats, Floats]:
    """Of the errors of all means (N M, N M), by configuration and then metric: from seeds, and from the split."""
    n, m = len(samples), samples[0].values.shape[1]
    seeds = np.zeros((n, m, n, m))
    for at, each in enumerate(samples):
        seeds[at, :, at] = noise.apart[at] / len(each)
    data = np.zeros((n * m, n * m))
    b = min(each.deviations.shape[1] for each in samples)
    if b > 1:
        data = np.atleast_2d(np.cov(np.stack([each.deviation[:b] for each in samples], 1).reshape(b, -1), rowvar=False))
    return seeds.reshape(n * m, n * m), data


def _posterior(means: Floats, covariance: Floats) -> tuple[Floats, Floats]:
    """Mean (N, M) and covariance (N M, N M) of true values, whose prior is learnt from the means (N, M)."""
    n, m = means.shape
    blocks = covariance.reshape(n, m, n, m)
    own = np.einsum("ikil->kl", blocks) / n
    alike = blocks.sum(axis=(0, 2)) / n**2
    error = (own - alike) * n / (n - 1)  # what the noise adds to the covariance of the means
    values, vectors = np.linalg.eigh(np.cov(means, rowvar=False).reshape(m, m) - error)
    least = LEAST_SPREAD * np.maximum(np.einsum("ka,kl,la->a", vectors, error, vectors), 0)
    spread = (vectors * np.maximum(values, least)) @ vectors.T
    wide = 1e4 * np.abs(covariance).max() + 1e4 * np.abs(spread).max()  # where the middle is, is not known beforehand
    prior = np.kron(np.eye(n), spread) + np.kron(np.ones((n, n)), wide * np.eye(m))
    weights = np.linalg.lstsq(prior + covariance, covariance, rcond=1e-13)[0].T  # covariance (prior + covariance)^-1
    middle = means.mean(axis=0)
    centre = means - (weights @ (means - middle).ravel()).reshape(n, m)
    left = covariance - weights @ covariance
    return centre, (left + left.T) / 2
