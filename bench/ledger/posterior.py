"""Posterior draws of the true values of confirmed configurations, and P(non-dominated).

True values are Gaussian about an unknown middle with an unknown covariance, which has an
inverse-Wishart prior: weak, about the noise's size, and flatter across a front than along it, as
confirmed points were chosen for being near one. Variances of the means' errors are taken as
estimated: to draw them as well makes P(non-dominated) too cautious in simulation, even with seeds
by Student's t. Gibbs sampling (Gelman et al., Bayesian Data Analysis, 3rd ed., sections 11.1 and
15.4).

On shared seeds means err together. Their error is split in two: one that is the same for every
configuration, and one of each configuration's own. Only the second sets configurations apart. Each
is known with its own degrees of freedom.

Seeds move all objectives of a configuration together; the finite split moves all configurations
together. Both are simulated, jointly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve, helmert
from scipy.special import gammaincinv
from threadpoolctl import threadpool_limits

from bench.core.arrays import Floats
from bench.core.objectives import Objective
from bench.ledger.pareto import nondominated
from bench.ledger.samples import Sample, SeedNoise, between, covariance, seed_noise

STEPS, BURN = 200, 50
"""Kept steps of the sampler, and those before them."""
PRIOR_SPREAD = 8.0
"""Of the prior's covariance along the front, in units of the noise's variance."""
ACROSS = 0.25
"""Of that, the share across the front, where all objectives become better at once."""


def shrunken(
    centre: Floats, error: Floats, signs: Floats, rng: np.random.Generator, draws: int
) -> Floats:
    """Draws (draws, N, M) of true values.

    Args:
        centre: (N, M), the means less their middle, in units of their noise.
        error: (N M, N M) covariance of the means' errors, in the same units.
        signs: (M,), 1 where more is better, else -1.
    """
    n, m = centre.shape
    # The middle has a flat prior: differences alone, along an orthonormal basis, say how true
    # values are spread, and where the middle is, the means say less their errors.
    error_root, contrasts = root(error), np.kron(helmert(n).T, np.eye(m))
    up = signs / np.sqrt(m)
    prior_freedom = m + 1
    prior = PRIOR_SPREAD * prior_freedom * (np.eye(m) - (1 - ACROSS) * np.outer(up, up))
    spread = np.atleast_2d(np.cov(centre, rowvar=False)) + prior / prior_freedom
    accepted: list[Floats] = []
    with threadpool_limits(
        1
    ):  # two threads wait for each other on small matrices, long on a busy machine
        for step in range(BURN + STEPS):
            kept = step - BURN
            many = 1 if kept < 0 else max(1, draws // STEPS + (kept < draws % STEPS))
            true = rng.standard_normal((many, n * m)) @ np.kron(
                np.eye(n), np.linalg.cholesky(spread).T
            )
            errors = rng.standard_normal((many, n * m)) @ error_root
            whole = contrasts.T @ (np.kron(np.eye(n), spread) + error) @ contrasts
            left = (centre.ravel() - true - errors) @ contrasts
            errors += cho_solve(_factored(whole), left.T).T @ contrasts.T @ error
            drawn = (centre.ravel() - errors).reshape(many, n, m)
            if kept >= 0 and len(accepted) < draws:
                accepted.append(drawn)
            one = drawn[0] - drawn[0].mean(axis=0)
            spread = _inverse_wishart(prior_freedom + n - 1, prior + one.T @ one, rng)
    return np.concatenate(accepted)[:draws]


def _factored(covariance: Floats) -> tuple[Floats, bool]:
    """A Cholesky factor for `cho_solve`.

    A measure whose noise is far below its spread, such as a latency, leaves a matrix that rounding
    takes below 0. A billionth of the largest variance then stands for that rounding.
    """
    try:
        factor: tuple[Floats, bool] = cho_factor(covariance)
    except np.linalg.LinAlgError:
        factor = cho_factor(covariance + 1e-9 * np.diag(covariance).max() * np.eye(len(covariance)))
    return factor


def _inverse_wishart(freedom: float, matrix: Floats, rng: np.random.Generator) -> Floats:
    """By Bartlett's decomposition."""
    m = len(matrix)
    lower = np.tril(rng.standard_normal((m, m)), -1) + np.diag(
        np.sqrt(rng.chisquare(freedom - np.arange(m)))
    )
    whole = np.linalg.cholesky(matrix) @ np.linalg.inv(lower).T
    return np.asarray(whole @ whole.T)


def root(covariance: Floats) -> Floats:
    """Symmetric A with A A = covariance, which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)


@dataclass(frozen=True)
class SeedErrors:
    """Covariances of errors of N means in M metrics, by configuration and then metric.

    Attributes:
        level: (N M, N M) of the common error; level_freedom: its degrees of freedom.
        own: (N M, N M) of the rest; freedom: (N,) degrees of freedom of each configuration's scale.
        together: whether all scales are one and the same.
    """

    level: Floats
    level_freedom: float
    own: Floats
    freedom: Floats
    together: bool

    def scales(self, rng: np.random.Generator, draws: int) -> tuple[Floats, Floats]:
        """By how much deviations may differ from their estimates: of the common error (draws,), of
        the own (draws, N).

        Equally likely sizes are gone through, each configuration's in an order of its own.
        """
        n = 1 if self.together else len(self.freedom)
        levels = (
            np.array([rng.permutation(draws) + rng.random(draws) for _ in range(1 + n)]).T / draws
        )
        freedom = np.array([self.level_freedom, *self.freedom[:n]])
        quantiles = np.sqrt(freedom / (2 * gammaincinv(freedom / 2, levels)))
        return quantiles[:, 0], np.broadcast_to(quantiles[:, 1:], (draws, len(self.freedom)))


def seed_errors(samples: Sequence[Sample], noise: SeedNoise) -> SeedErrors:
    """Those of the means of configurations, so that differences err as
    `bench.ledger.statistics.differences` says.
    """
    n, m = len(samples), samples[0].values.shape[1]
    (seed, _), shared = between(samples, noise), noise.paired.shared > 1
    np.fill_diagonal(shared, False)
    alone = np.diagonal(noise.apart, axis1=1, axis2=2) / [[len(each)] for each in samples]
    roots, level = np.zeros((m, n, n)), np.zeros(m)
    for k in range(m):
        whole = (alone[:, None, k] + alone[None, :, k] - seed[..., k]) / 2
        np.fill_diagonal(whole, alone[:, k])
        level[k] = max(0.0, whole[shared].sum() / (n * (n - 1))) if shared.any() else 0.0
        roots[k] = root(whole - level[k])
    pooled = noise.apart.mean(axis=0)
    sd = np.sqrt(np.diag(pooled))
    correlation = pooled / np.outer(np.where(sd > 0, sd, 1), np.where(sd > 0, sd, 1))
    own = np.einsum("kij,lpj,kl->ikpl", roots, roots, correlation).reshape(n * m, n * m)
    common = np.kron(np.ones((n, n)), correlation * np.sqrt(np.outer(level, level)))
    if shared.any():
        freedom = np.array(
            [
                np.median(noise.paired.freedom[i].min(axis=-1)[shared[i]])
                if shared[i].any()
                else noise.freedom[i].min()
                for i in range(n)
            ]
        )
    else:
        freedom = noise.freedom.min(axis=1)
    together = noise.common if not shared.any() else noise.paired.common
    return SeedErrors(common, float(noise.total.min()), own, freedom, together)


DRAWS = 4000
SCALES = 40
"""Equally likely sizes of the seeds' effect that are integrated over: few replicates do not
determine it.
"""
FLAT = 2
"""Of so few configurations nothing is learnt of how true values are spread."""
CERTAIN = 1e-12
"""Variance of an error below which a value is taken as it is: else rounding would break the ties of
equal sizes.
"""
RESOLVED, MOST_DRAWN = 3.0, 0.6
"""From this ratio of variances on, of true values over errors, P is left as it is; below, it is
drawn to one half.
"""


def posterior_draws(
    samples: Sequence[Sample],
    noise: SeedNoise,
    seed: int,
    draws: int = DRAWS,
    objectives: Sequence[Objective] | None = None,
) -> Floats:
    """Draws (draws, N, M) of the true values of N configurations, given what was measured.

    Measured means err by what seeds do, and by a Gaussian with the covariance of all means over the
    resamples of the split. Under a flat prior the scale of what seeds do is spread as in Student's
    t.

    Args:
        objectives: where they are given, true values are thought to be near a front of theirs.
            Without them, or with two configurations only, the prior is flat: true values are drawn
            about the means as they are.
    """
    rng = np.random.default_rng(seed)
    means = np.array([each.mean for each in samples])
    n, m = means.shape
    parts, data = seed_errors(samples, noise), _rows(samples)
    unit = np.sqrt(_apart(parts.own + data, n))
    unit = np.maximum(unit, 1e-6 * np.ptp(means, axis=0))  # noise that small decides nothing
    unit = np.where(unit > 0, unit, 1.0)
    full = np.outer(np.tile(unit, n), np.tile(unit, n))
    parts, data = replace(parts, level=parts.level / full, own=parts.own / full), data / full
    middle = means.mean(axis=0)
    centre = (means - middle) / unit  # objectives differ by orders of magnitude
    error = parts.own + parts.level + data
    certain = (np.diag(error).reshape(n, m) < CERTAIN).all(axis=0)
    if objectives is not None and n > FLAT:
        signs = np.array([each.sign for each in objectives], dtype=float)
        drawn = shrunken(centre, error, signs, rng, draws) * unit + middle
        return np.where(certain, means, drawn)
    blocks = []
    for at, (level, own) in enumerate(zip(*parts.scales(rng, SCALES), strict=True)):
        scale = np.repeat(own, m)
        whole = parts.level * level**2 + parts.own * np.outer(scale, scale) + data
        many = draws // SCALES + (at < draws % SCALES)
        noises = rng.standard_normal((many, n * m)) @ root(whole).T
        blocks.append((centre + noises.reshape(many, n, m)) * unit + middle)
    return np.where(certain, means, np.concatenate(blocks))


def p_nondominated(
    samples: Sequence[Sample], objectives: Sequence[Objective], seed: int, draws: int = DRAWS
) -> Floats | None:
    """P(no other confirmed configuration dominates this one), for each: (N,).

    Where the means do not differ by more than their noise, nothing shows how true values are
    spread, and P depends on its prior: it is then drawn towards one half, by three fifths of the
    way at the most.

    Args:
        draws: the standard error of P is at most .5 / sqrt(draws).

    Returns:
        None where no configuration has two replicates: nothing is then known of the noise.
    """
    noise = seed_noise(samples)
    if noise is None:
        return None
    drawn = posterior_draws(samples, noise, seed, draws, objectives)
    chances = np.asarray(np.mean([nondominated(each, objectives) for each in drawn], axis=0))
    return chances + (0.5 - chances) * _unresolved(samples, noise)


def _unresolved(samples: Sequence[Sample], noise: SeedNoise) -> float:
    """How far P is drawn to one half: 0 where true values differ more than the means err,
    `MOST_DRAWN` where not.
    """
    n, means = len(samples), np.array([each.mean for each in samples])
    if n <= FLAT:
        return 0.0
    errors, seen = (
        _apart(seed_errors(samples, noise).own + _rows(samples), n),
        means.var(axis=0, ddof=1),
    )
    if (errors[seen > 0] <= 0).any():
        return 0.0
    ratio = float(np.mean(seen[errors > 0] / errors[errors > 0])) - 1 if (errors > 0).any() else 0.0
    return MOST_DRAWN * min(1.0, max(0.0, 1 - ratio / RESOLVED))


def _apart(covariance: Floats, n: int) -> Floats:
    """(M,) variance that errors with a covariance (N M, N M) add to the spread of N means: what all
    share adds none.
    """
    blocks = covariance.reshape(n, -1, n, len(covariance) // n)
    own, alike = np.einsum("ikik->k", blocks) / n, np.einsum("ikjk->k", blocks) / n**2
    apart = (own - alike) * n / max(1, n - 1)
    return np.asarray(np.where(apart > 1e-12 * own, apart, 0.0))


def _rows(samples: Sequence[Sample]) -> Floats:
    """Covariance (N M, N M) of the errors of all means from the finite split."""
    b = min(each.deviations.shape[1] for each in samples)
    return covariance(np.hstack([each.deviation[:b] for each in samples]))
