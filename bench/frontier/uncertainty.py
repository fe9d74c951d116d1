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
CERTAIN = 1e-12
"""Variance of an error below which a value is taken as it is: else rounding would break the ties of equal sizes."""
RESOLVED, MOST_DRAWN = 3.0, 0.6
"""From this ratio of variances on, of true values over errors, P is left as it is; below, it is drawn to one half."""


def posterior_draws(
    samples: Sequence[Sample],
    noise: SeedNoise,
    seed: int,
    draws: int = DRAWS,
    objectives: Sequence[Objective] | None = None,
) -> Floats:
    """Draws (draws, N, M) of the true values of N configurations, given what was measured.

    Measured means err by what seeds do, and by a Gaussian with the covariance of all means over the resamples of the
    split. Under a flat prior the scale of what seeds do is spread as in Student's t.

    Args:
        objectives: where they are given, true values are thought to be near a front of theirs, see
            `bench.frontier.hierarchy`. Without them, or with two configurations only, the prior is flat: true values
            are drawn about the means as they are.
    """
    rng = np.random.default_rng(seed)
    means = np.array([each.mean for each in samples])
    n, m = means.shape
    parts, data = seed_errors(samples, noise), _rows(samples)
    unit = np.sqrt(_apart(parts.own + data, n))
    unit = np.maximum(unit, 1e-6 * np.ptp(means, axis=0))  # noise that small decides nothing
    unit = np.where(unit > 0, unit, 1.0)
    parts, data = parts.over(unit), data / np.outer(np.tile(unit, n), np.tile(unit, n))
    middle = means.mean(axis=0)
    centre = (means - middle) / unit  # objectives differ by orders of magnitude
    error = parts.own + parts.level + data
    certain = (np.diag(error).reshape(n, m) < CERTAIN).all(axis=0)
    if objectives is not None and n > FLAT:
        signs = np.array([each.sign for each in objectives], dtype=float)
        drawn = shrunken(centre, error, signs, rng, draws) * unit + middle
        return np.where(certain, means, drawn)
    found = []
    for at, (level, own) in enumerate(zip(*parts.scales(rng, SCALES), strict=True)):
        scale = np.repeat(own, m)
        whole = parts.level * level**2 + parts.own * np.outer(scale, scale) + data
        many = draws // SCALES + (at < draws % SCALES)
        noises = rng.standard_normal((many, n * m)) @ root(whole).T
        found.append((centre + noises.reshape(many, n, m)) * unit + middle)
    return np.where(certain, means, np.concatenate(found))


def p_nondominated(
    samples: Sequence[Sample], objectives: Sequence[Objective], seed: int, draws: int = DRAWS
) -> Floats | None:
    """P(no other confirmed configuration dominates this one), for each: (N,).

    Where the means do not differ by more than their noise, nothing shows how true values are spread, and P depends on
    its prior: it is then drawn towards one half, by three fifths of the way at the most.

    Args:
        draws: the standard error of P is at most .5 / sqrt(draws).

    Returns:
        None where no configuration has two replicates: nothing is then known of the noise.
    """
    noise = seed_noise(samples) if samples else None
    if noise is None:
        return None
    chances = share_nondominated(posterior_draws(samples, noise, seed, draws, objectives), objectives)
    return chances + (0.5 - chances) * _unresolved(samples, noise)


def share_nondominated(drawn: Floats, objectives: Sequence[Objective]) -> Floats:
    """In which share of posterior draws (draws, N, M) each configuration is non-dominated: (N,)."""
    return np.asarray(np.mean([nondominated(each, objectives) for each in drawn], axis=0))


def _unresolved(samples: Sequence[Sample], noise: SeedNoise) -> float:
    """How far P is drawn to one half: 0 where true values differ more than the means err, `MOST_DRAWN` where not."""
    n, means = len(samples), np.array([each.mean for each in samples])
    if n <= FLAT:
        return 0.0
    errors, seen = _apart(seed_errors(samples, noise).own + _rows(samples), n), means.var(axis=0, ddof=1)
    if (errors[seen > 0] <= 0).any():
        return 0.0
    ratio = float(np.mean(seen[errors > 0] / errors[errors > 0])) - 1 if (errors > 0).any() else 0.0
    return MOST_DRAWN * min(1.0, max(0.0, 1 - ratio / RESOLVED))


def _apart(covariance: Floats, n: int) -> Floats:
    """(M,) variance that errors with a covariance (N M, N M) add to the spread of N means: what all share adds none."""
    blocks = covariance.reshape(n, -1, n, len(covariance) // n)
    own, alike = np.einsum("ikik->k", blocks) / n, np.einsum("ikjk->k", blocks) / n**2
    apart = (own - alike) * n / max(1, n - 1)
    return np.asarray(np.where(apart > 1e-12 * own, apart, 0.0))


def _rows(samples: Sequence[Sample]) -> Floats:
    """Covariance (N M, N M) of the errors of all means from the finite split."""
    b = min(each.deviations.shape[1] for each in samples)
    return covariance(np.hstack([each.deviation[:b] for each in samples]))
