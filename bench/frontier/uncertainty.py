"""What the true values of confirmed configurations may be, and how sure it is that one is non-dominated.

Seeds move all objectives of a configuration together; the finite split moves all configurations together. Both are
simulated, jointly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.frontier.dominance import nondominated
from bench.frontier.hierarchy import root, shrunken
from bench.frontier.samples import Sample, covariance
from bench.frontier.seed_errors import seed_errors
from bench.frontier.variance import SeedNoise, seed_noise
from bench.objectives import Objective

Floats = NDArray[np.float64]

DRAWS = 4000
SCALES = 40
"""Few replicates do not pin down how much seeds do: so many sizes of it are gone through, equally likely ones."""
FLAT = 2
"""Of so few configurations nothing is learnt of how true values are spread."""


def posterior_draws(
    samples: Sequence[Sample],
    noise: SeedNoise,
    seed: int,
    draws: int = DRAWS,
    objectives: Sequence[Objective] | None = None,
) -> Floats:
    """Draws (draws, N, M) of the true values of N configurations, given what was measured.

    Measured means err by what seeds do, the scale of which is spread as in Student's t, and by a Gaussian with the
    covariance of all means over the resamples of the split.

    Args:
        objectives: where they are given, true values are thought to be near a front of theirs, see
            `bench.frontier.hierarchy`. Without them, or with two configurations only, the prior is flat: true values
            are drawn about the means as they are.
    """
    rng = np.random.default_rng(seed)
    means = np.array([each.mean for each in samples])
    n, m = means.shape
    parts, data = seed_errors(samples, noise), _rows(samples)
    unit = np.sqrt(np.maximum(np.diag(parts.level + parts.own + data).reshape(n, m).mean(axis=0), 0))
    unit = np.where(unit > 0, unit, np.where(np.ptp(means, axis=0) > 0, np.ptp(means, axis=0), 1.0))
    parts, data = parts.over(unit), data / np.outer(np.tile(unit, n), np.tile(unit, n))
    middle = means.mean(axis=0)
    centre = (means - middle) / unit  # objectives differ by orders of magnitude
    if objectives is not None and n > FLAT:
        signs = np.array([each.sign for each in objectives], dtype=float)
        return shrunken(centre, parts, data, signs, rng, draws) * unit + middle
    found = []
    for at, (level, own) in enumerate(zip(*parts.scales(rng, SCALES), strict=True)):
        scale = np.repeat(own, m)
        whole = parts.level * level**2 + parts.own * np.outer(scale, scale) + data
        many = draws // SCALES + (at < draws % SCALES)
        noises = rng.standard_normal((many, n * m)) @ root(whole).T
        found.append((centre + noises.reshape(many, n, m)) * unit + middle)
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
    return share_nondominated(posterior_draws(samples, noise, seed, draws, objectives), objectives)


def share_nondominated(drawn: Floats, objectives: Sequence[Objective]) -> Floats:
    """In which share of posterior draws (draws, N, M) each configuration is non-dominated: (N,)."""
    return np.asarray(np.mean([nondominated(each, objectives) for each in drawn], axis=0))


def _rows(samples: Sequence[Sample]) -> Floats:
    """Covariance (N M, N M) of the errors of all means from the finite split."""
    b = min(each.deviations.shape[1] for each in samples)
    return covariance(np.hstack([each.deviation[:b] for each in samples]))
