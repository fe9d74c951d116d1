"""True values of configurations whose spread is learnt from the measured means, with its uncertainty.

True values are Gaussian about an unknown middle with an unknown covariance, which has an inverse-Wishart prior: weak,
about the noise's size, and flatter across a front than along it, as confirmed points were chosen for being near one.
Variances of the means' errors are taken as estimated: to draw them as well makes P(non-dominated) too cautious
in simulation, even with seeds by Student's t. Gibbs sampling (Gelman et al., Bayesian Data Analysis, 3rd ed., sections
11.1 and 15.4).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, helmert

Floats = NDArray[np.float64]

STEPS, BURN = 200, 50
"""Kept steps of the sampler, and those before them."""
SPREAD = 8.0
"""Of the prior's covariance along the front, in units of the noise's variance."""
ACROSS = 0.25
"""Of that, the share across the front, where all objectives become better at once."""


def shrunken(centre: Floats, error: Floats, signs: Floats, rng: np.random.Generator, draws: int) -> Floats:
    """Draws (draws, N, M) of true values.

    Args:
        centre: (N, M), the means less their middle, in units of their noise.
        error: (N M, N M) covariance of the means' errors, in the same units.
        signs: (M,), 1 where more is better, else -1.
    """
    n, m = centre.shape
    error_root, contrasts = root(error), np.kron(_contrasts(n), np.eye(m))
    up = signs / np.sqrt(m)
    prior_freedom = m + 1
    prior = SPREAD * prior_freedom * (np.eye(m) - (1 - ACROSS) * np.outer(up, up))
    spread = np.atleast_2d(np.cov(centre, rowvar=False)) + prior / prior_freedom
    found: list[Floats] = []
    for step in range(BURN + STEPS):
        kept = step - BURN
        many = 1 if kept < 0 else max(1, draws // STEPS + (kept < draws % STEPS))
        true = rng.standard_normal((many, n * m)) @ np.kron(np.eye(n), np.linalg.cholesky(spread).T)
        errors = rng.standard_normal((many, n * m)) @ error_root
        whole = contrasts.T @ (np.kron(np.eye(n), spread) + error) @ contrasts
        left = (centre.ravel() - true - errors) @ contrasts
        errors += cho_solve(cho_factor(whole), left.T).T @ contrasts.T @ error
        drawn = (centre.ravel() - errors).reshape(many, n, m)
        if kept >= 0 and len(found) < draws:
            found.append(drawn)
        one = drawn[0] - drawn[0].mean(axis=0)
        spread = _inverse_wishart(prior_freedom + n - 1, prior + one.T @ one, rng)
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
