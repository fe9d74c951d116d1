"""Posterior draws of the true values of confirmed points, and P(non-dominated).

True values are Gaussian about an unknown middle with an unknown covariance, which has an
inverse-Wishart prior: weak, about the noise's size, and flatter across a front than along it, as
confirmed points were chosen for being near one. Variances of the means' errors are taken as
estimated: to draw them as well makes P(non-dominated) too cautious in simulation, even with seeds
by Student's t. Gibbs sampling (Gelman et al., Bayesian Data Analysis, 3rd ed., sections 11.1 and
15.4).

On shared seeds means err together. Their error is split in two: one that is the same for every
point, and one of each point's own. Only the second sets points apart. Each is known with its own
degrees of freedom.

Seeds move all measures of a point together; the finite split moves all points together. Both are
simulated, jointly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve, helmert
from threadpoolctl import threadpool_limits

from bench.core.arrays import Floats, Mask
from bench.core.objectives import Objective, signs_of
from bench.ledger.errors.evidence import Evidence, covariance, means_of, replicates_of, resamples_of
from bench.ledger.errors.seed_noise import SeedNoise, between, seed_noise, spread_of
from bench.ledger.pareto import nondominated

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
        centre: (N, M), the means minus their middle, in units of their noise.
        error: (N M, N M) covariance of the means' errors, in the same units.
        signs: (M,), 1 where more is better, else -1.
    """
    n, m = centre.shape
    # The middle has a flat prior: differences alone, along an orthonormal basis, say how true
    # values are spread, and where the middle is, the means say minus their errors.
    error_root = root(error)
    contrasts = np.kron(helmert(n).T, np.eye(m))
    prior_freedom = m + 1
    prior = _prior(signs)
    spread = np.atleast_2d(np.cov(centre, rowvar=False)) + prior / prior_freedom
    accepted: list[Floats] = []
    # two threads wait for each other on small matrices, long on a busy machine
    with threadpool_limits(1):
        for step in range(BURN + STEPS):
            kept_step = step - BURN
            count = _draws_of_step(kept_step, draws)
            spread_root = np.kron(np.eye(n), np.linalg.cholesky(spread).T)
            true = rng.standard_normal((count, n * m)) @ spread_root
            errors = rng.standard_normal((count, n * m)) @ error_root
            total = contrasts.T @ (np.kron(np.eye(n), spread) + error) @ contrasts
            surplus = (centre.ravel() - true - errors) @ contrasts
            errors += cho_solve(_factored(total), surplus.T).T @ contrasts.T @ error
            drawn = (centre.ravel() - errors).reshape(count, n, m)
            if kept_step >= 0 and len(accepted) < draws:
                accepted.append(drawn)
            first = drawn[0] - drawn[0].mean(axis=0)
            spread = _inverse_wishart(prior_freedom + n - 1, prior + first.T @ first, rng)
    return np.concatenate(accepted)[:draws]


def _prior(signs: Floats) -> Floats:
    """(M, M), the scale of the inverse-Wishart prior: flatter across a front than along it."""
    m = len(signs)
    across = signs / np.sqrt(m)
    shape = np.eye(m) - (1 - ACROSS) * np.outer(across, across)
    return np.asarray(PRIOR_SPREAD * (m + 1) * shape)


def _draws_of_step(kept_step: int, draws: int) -> int:
    """How many draws a step gives, of `draws` in all; one before they are kept."""
    if kept_step < 0:
        return 1
    return max(1, draws // STEPS + (kept_step < draws % STEPS))


def _factored(covariance: Floats) -> tuple[Floats, bool]:
    """A Cholesky factor for `cho_solve`.

    A measure whose noise is far below its spread, such as a latency, leaves a matrix that rounding
    takes below 0, and more than one measure of very different sizes. The nearest correlations
    without an eigenvalue below a billionth then stand for that rounding.
    """
    try:
        factor: tuple[Floats, bool] = cho_factor(covariance)
    except np.linalg.LinAlgError:
        scale = np.sqrt(np.diag(covariance))
        values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
        correlation = (vectors * np.maximum(values, 1e-9)) @ vectors.T
        factor = cho_factor(correlation * np.outer(scale, scale))
    return factor


def _inverse_wishart(freedom: float, matrix: Floats, rng: np.random.Generator) -> Floats:
    """By Bartlett's decomposition."""
    m = len(matrix)
    below = np.tril(rng.standard_normal((m, m)), -1)
    diagonal = np.diag(np.sqrt(rng.chisquare(freedom - np.arange(m))))
    factor = np.linalg.cholesky(matrix) @ np.linalg.inv(below + diagonal).T
    return np.asarray(factor @ factor.T)


def root(covariance: Floats) -> Floats:
    """Symmetric A with A A = covariance, which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)


@dataclass(frozen=True)
class SeedErrors:
    """Covariances of errors of N means in M measures, by point and then measure.

    Attributes:
        level: (N M, N M) of the common error; level_freedom: its degrees of freedom.
        individual: (N M, N M) of the rest; freedom: (N,) degrees of freedom of each point's scale.
        equal: whether all scales are one and the same.
    """

    level: Floats
    level_freedom: float
    individual: Floats
    freedom: Floats
    equal: bool

    def scales(self, rng: np.random.Generator, draws: int) -> tuple[Floats, Floats]:
        """By how much deviations may differ from their estimates: of the common error (draws,), of
        the own (draws, N).

        Equally likely sizes are gone through, each point's in an order of its own.
        """
        points = len(self.freedom)
        scales = 1 if self.equal else points
        orders = np.empty((1 + scales, draws))
        for row in range(1 + scales):
            orders[row] = rng.permutation(draws) + rng.random(draws)
        freedom = np.array([self.level_freedom, *self.freedom[:scales]])
        quantiles = spread_of(freedom, orders.T / draws)
        return quantiles[:, 0], np.broadcast_to(quantiles[:, 1:], (draws, points))


def seed_errors(evidence: Sequence[Evidence], noise: SeedNoise) -> SeedErrors:
    """Those of the means of points, so that differences err as `bench.ledger.errors.intervals`
    says.
    """
    n, m = len(evidence), evidence[0].values.shape[1]
    differences, _ = between(evidence, noise)
    shared = noise.paired.shared > 1
    np.fill_diagonal(shared, False)
    of_replicates = np.diagonal(noise.seed_only, axis1=1, axis2=2)  # (N, M)
    alone = of_replicates / replicates_of(evidence)[:, None]
    roots, level = np.zeros((m, n, n)), np.zeros(m)
    for measure in range(m):
        of_measure = alone[:, measure]
        total = (of_measure[:, None] + of_measure[None] - differences[..., measure]) / 2
        np.fill_diagonal(total, of_measure)
        if shared.any():
            level[measure] = max(0.0, total[shared].sum() / (n * (n - 1)))
        roots[measure] = root(total - level[measure])
    correlation = _correlation(noise.seed_only.mean(axis=0))
    individual = np.einsum("kij,lpj,kl->ikpl", roots, roots, correlation)
    common = np.kron(np.ones((n, n)), correlation * np.sqrt(np.outer(level, level)))
    return SeedErrors(
        level=np.asarray(common, dtype=np.float64),
        level_freedom=float(noise.total.min()),
        individual=individual.reshape(n * m, n * m),
        freedom=_individual_freedom(noise, shared),
        equal=noise.paired.equal if shared.any() else noise.equal,
    )


def _correlation(covariance: Floats) -> Floats:
    deviations = np.sqrt(np.diag(covariance))
    units = np.where(deviations > 0, deviations, 1)
    return np.asarray(covariance / np.outer(units, units))


def _individual_freedom(noise: SeedNoise, shared: Mask) -> Floats:
    """(N,), degrees of freedom of each point's scale: the median over its pairs, if it has any."""
    freedom = noise.freedom.min(axis=1)
    for point, partners in enumerate(shared):
        if partners.any():
            freedom[point] = np.median(noise.paired.freedom[point].min(axis=-1)[partners])
    return np.asarray(freedom)


DRAWS = 4000
SCALES = 40
"""Equally likely sizes of the seeds' effect that are integrated over: few replicates do not
determine it.
"""
FLAT = 2
"""Of so few points nothing is learnt of how true values are spread."""
CERTAIN = 1e-12
"""Variance of an error below which a value is taken as it is: else rounding would break the ties of
equal sizes.
"""
RESOLVED, MOST_DRAWN = 3.0, 0.6
"""From this ratio of variances on, of true values over errors, P is left as it is; below, it is
drawn to one half.
"""


def posterior_draws(
    evidence: Sequence[Evidence],
    noise: SeedNoise,
    seed: int,
    draws: int = DRAWS,
    objectives: Sequence[Objective] | None = None,
) -> Floats:
    """Draws (draws, N, M) of the true values of N points, given what was measured.

    Measured means err by what seeds do, and by a Gaussian with the covariance of all means over the
    resamples of the split. Under a flat prior the scale of what seeds do is spread as in Student's
    t.

    Args:
        objectives: where they are given, true values are thought to be near a front of theirs.
            Without them, or with two points only, the prior is flat: true values are drawn about
            the means as they are.
    """
    rng = np.random.default_rng(seed)
    means = means_of(evidence)
    n, m = means.shape
    errors, from_rows = seed_errors(evidence, noise), _rows(evidence)
    unit = _unit(errors.individual + from_rows, means)
    units = np.outer(np.tile(unit, n), np.tile(unit, n))
    errors = replace(errors, level=errors.level / units, individual=errors.individual / units)
    from_rows = from_rows / units
    middle = means.mean(axis=0)
    centre = (means - middle) / unit
    error = errors.individual + errors.level + from_rows
    certain = (np.diag(error).reshape(n, m) < CERTAIN).all(axis=0)
    if objectives is not None and n > FLAT:
        drawn = shrunken(centre, error, signs_of(objectives), rng, draws)
    else:
        drawn = _flat(centre, errors, from_rows, rng, draws)
    return np.where(certain, means, drawn * unit + middle)


def _unit(covariance: Floats, means: Floats) -> Floats:
    """(M,), the deviations that set means apart: measures differ by orders of magnitude."""
    deviations = np.sqrt(_variance_of_differences(covariance, len(means)))
    # noise that small decides nothing
    deviations = np.maximum(deviations, 1e-6 * np.ptp(means, axis=0))
    return np.where(deviations > 0, deviations, 1.0)


def _flat(
    centre: Floats, errors: SeedErrors, from_rows: Floats, rng: np.random.Generator, draws: int
) -> Floats:
    """Draws (draws, N, M) about the centre (N, M), under a flat prior."""
    n, m = centre.shape
    blocks = []
    level_scales, individual_scales = errors.scales(rng, SCALES)
    for place in range(SCALES):
        scale = np.repeat(individual_scales[place], m)
        individual = errors.individual * np.outer(scale, scale)
        total = errors.level * level_scales[place] ** 2 + individual + from_rows
        count = draws // SCALES + (place < draws % SCALES)
        noise = rng.standard_normal((count, n * m)) @ root(total).T
        blocks.append(centre + noise.reshape(count, n, m))
    return np.concatenate(blocks)


def p_nondominated(
    evidence: Sequence[Evidence], objectives: Sequence[Objective], seed: int, draws: int = DRAWS
) -> Floats | None:
    """P(no other confirmed point dominates this one), for each: (N,).

    Where the means do not differ by more than their noise, nothing shows how true values are
    spread, and P depends on its prior: it is then drawn towards one half, by three fifths of the
    way at the most.

    Args:
        draws: the standard error of P is at most .5 / sqrt(draws).

    Returns:
        None where no point has two replicates: nothing is then known of the noise.
    """
    noise = seed_noise(evidence)
    if noise is None:
        return None
    drawn = posterior_draws(evidence, noise, seed, draws, objectives)
    fronts = [nondominated(values, objectives) for values in drawn]
    chances = np.asarray(np.mean(fronts, axis=0))
    return chances + (0.5 - chances) * _unresolved(evidence, noise)


def _unresolved(evidence: Sequence[Evidence], noise: SeedNoise) -> float:
    """How far P is drawn to one half: 0 where true values differ more than the means err,
    `MOST_DRAWN` where not.
    """
    points = len(evidence)
    if points <= FLAT:
        return 0.0
    means = means_of(evidence)
    errors = _variance_of_differences(
        seed_errors(evidence, noise).individual + _rows(evidence), points
    )
    spread = means.var(axis=0, ddof=1)
    if (errors[spread > 0] <= 0).any():
        return 0.0
    ratio = 0.0
    if (errors > 0).any():
        ratio = float(np.mean(spread[errors > 0] / errors[errors > 0])) - 1
    return MOST_DRAWN * min(1.0, max(0.0, 1 - ratio / RESOLVED))


def _variance_of_differences(covariance: Floats, points: int) -> Floats:
    """(M,) variance that errors with a covariance (N M, N M) add to the spread of N means: what all
    share adds none.
    """
    blocks = covariance.reshape(points, -1, points, len(covariance) // points)
    of_means = np.einsum("ikik->k", blocks) / points
    of_middle = np.einsum("ikjk->k", blocks) / points**2
    of_differences = (of_means - of_middle) * points / max(1, points - 1)
    return np.asarray(np.where(of_differences > 1e-12 * of_means, of_differences, 0.0))


def _rows(evidence: Sequence[Evidence]) -> Floats:
    """Covariance (N M, N M) of the errors of all means from the finite split."""
    resamples = int(resamples_of(evidence).min())
    moves = [of_point.mean_moves[:resamples] for of_point in evidence]
    return covariance(np.hstack(moves))
