"""True values of configurations whose spread is learnt from the measured means, with its uncertainty.

True values are Gaussian about an unknown middle with an unknown covariance, which has an inverse-Wishart prior: weak,
about the noise's size, and flatter across a front than along it, as confirmed points were chosen for being near one.
Each configuration's scale of seed noise is a scaled inverse chi-squared variable, so that means err by Student's t.
Gibbs sampling (Gelman et al., Bayesian Data Analysis, 3rd ed., sections 11.1 and 15.4).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, helmert

from bench.frontier.seed_errors import SeedErrors

Floats = NDArray[np.float64]

STEPS, BURN = 200, 50
"""Kept steps of the sampler, and those before them."""
SPREAD = 8.0
"""Of the prior's covariance along the front, in units of the noise's variance."""
ACROSS = 0.25
"""Of that, the share across the front, where all objectives become better at once."""


def shrunken(
    centre: Floats, errors: SeedErrors, data: Floats, signs: Floats, rng: np.random.Generator, draws: int
) -> Floats:
    """Draws (draws, N, M) of true values.

    Args:
        centre: (N, M), the means less their middle, in units of their noise.
        errors: in the same units.
        data: (N M, N M) covariance of the means' errors from the finite split.
        signs: (M,), 1 where more is better, else -1.
    """
    n, m = centre.shape
    fixed = errors.level + data
    fixed_root, own_root = root(fixed), root(errors.own)
    blocks = np.array([errors.own[i * m : (i + 1) * m, i * m : (i + 1) * m] for i in range(n)])
    inverse = np.linalg.pinv(blocks, rcond=1e-9, hermitian=True)
    rank = np.linalg.matrix_rank(blocks, tol=1e-9, hermitian=True)
    up = signs / np.sqrt(m)
    prior_freedom = m + 1
    prior = SPREAD * prior_freedom * (np.eye(m) - (1 - ACROSS) * np.outer(up, up))
    spread = np.atleast_2d(np.cov(centre, rowvar=False)) + prior / prior_freedom
    contrasts = np.kron(_contrasts(n), np.eye(m))
    scale = np.ones(n)
    found: list[Floats] = []
    for step in range(BURN + STEPS):
        kept = step - BURN
        many = 1 if kept < 0 else max(1, draws // STEPS + (kept < draws % STEPS))
        full = np.repeat(scale, m)
        own = errors.own * np.outer(full, full)
        true = rng.standard_normal((many, n, m)) @ np.linalg.cholesky(spread).T
        seeds = rng.standard_normal((many, n * m)) @ (own_root * full[:, None]).T
        rows = rng.standard_normal((many, n * m)) @ fixed_root.T
        whole = contrasts.T @ (np.kron(np.eye(n), spread) + own + fixed) @ contrasts
        left = (centre.ravel() - true.reshape(many, -1) - seeds - rows) @ contrasts
        weight = cho_solve(cho_factor(whole), left.T).T @ contrasts.T
        seeds += weight @ own
        rows += weight @ fixed
        true = centre - (seeds + rows).reshape(many, n, m)
        if kept >= 0 and len(found) < draws:
            found.append(true)
        one = true[0] - true[0].mean(axis=0)
        spread = _inverse_wishart(prior_freedom + n - 1, prior + one.T @ one, rng)
        error = seeds[0].reshape(n, m)
        squares = np.einsum("ik,ikl,il->i", error, inverse, error)
        if errors.together:
            freedom = errors.freedom.min()
            scale = np.full(n, np.sqrt((freedom + squares.sum()) / rng.chisquare(freedom + rank.sum())))
        else:
            scale = np.sqrt((errors.freedom + squares) / rng.chisquare(errors.freedom + rank))
    return np.concatenate(found)[:draws]


def _contrasts(n: int) -> Floats:
    """An orthonormal basis (n, n - 1) of the differences between n values.

    The middle of the true values has a flat prior: differences alone say how they are spread, and where the middle is,
    the means say less their errors.
    """
    return np.asarray(helmert(n).T)


def _inverse_wishart(freedom: float, matrix: Floats, rng: np.random.Generator) -> Floats:
    """By Bartlett's decomposition."""
    m = len(matrix)
    lower = np.tril(rng.standard_normal((m, m)), -1) + np.diag(np.sqrt(rng.chisquare(freedom - np.arange(m))))
    whole = np.linalg.cholesky(matrix) @ np.linalg.inv(lower).T
    return np.asarray(whole @ whole.T)


def root(covariance: Floats) -> Floats:
    """Symmetric A with A A = covariance, which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)
