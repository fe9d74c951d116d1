"""A Gaussian process over configurations of a conditional space at any rung, all objectives on one kernel.

The kernel is a product over parameters of 1 + w k(a, b), with k = 0 where either configuration does not have the
parameter: an analysis of variance (Durrande et al., JMVA 2013), in which a parameter that a configuration lacks adds
nothing. What is learnt of a shared parameter in one branch holds in every other; how it differs by branch is the
product with the switch's own factor. Each w says how much its parameter matters and is found, with the lengths of
numbers and the noise, at the maximum of the posterior.

A result at a lower rung is the value at full length, plus a deviation with the same kernel that grows towards the
lowest rung, plus noise that may grow likewise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

from bench.search.encoding import Floats

STEPS = 12
# Of log w, log length, log deviation, log noise, log growth of noise: mean and standard deviation beforehand.
PRIOR = {
    "weight": (np.log(0.2), 1.0),
    "length": (np.log(0.4), 0.4),
    "deviation": (np.log(0.3), 1.0),
    "noise": (np.log(0.05), 1.0),
    "growth": (np.log(3.0), 0.7),
}


class Kernel:
    """The kernel's parts between two sets of rows; what its settings are made of."""

    def __init__(self, options: NDArray[np.int64]) -> None:
        self.options = options
        self.numbers = np.flatnonzero(options == 0)
        counts = {"weight": len(options), "length": len(self.numbers), "deviation": 1, "noise": 1, "growth": 1}
        self.mean = np.concatenate([np.full(n, PRIOR[k][0]) for k, n in counts.items()])
        self.spread = np.concatenate([np.full(n, PRIOR[k][1]) for k, n in counts.items()])

    def apart(self, a: Floats, b: Floats) -> list[Floats]:
        """By column: squared differences of numbers, 0 or inf for options; NaN where either has none."""
        parts = []
        for column, options in enumerate(self.options):
            d = a[:, column, None] - b[None, :, column]
            parts.append(d * d if not options else np.where(np.isnan(d), d, np.where(d == 0, 0.0, np.inf)))
        return parts

    def split(self, theta: Floats) -> tuple[Floats, Floats, float, float, float]:
        """Weights, squared lengths by column, deviation, noise, growth."""
        n = len(self.options)
        lengths = np.ones(n)
        lengths[self.numbers] = np.exp(2 * theta[n : n + len(self.numbers)])
        v, noise, growth = np.exp(theta[-3:])
        return np.exp(theta[:n]), lengths, float(v), float(noise), float(growth)

    def between(self, parts: list[Floats], low: Floats, low2: Floats, theta: Floats) -> Floats:
        """(N, N'): `low` is 1 at the lowest rung and 0 at full length."""
        weights, lengths, v, _, _ = self.split(theta)
        k = 1.0 + v * np.outer(low, low2)
        for part, w, length in zip(parts, weights, lengths, strict=True):
            k = k * ((1.0 + w * _similar(part, length)) / (1.0 + w))
        return k

    def noise(self, low: Floats, theta: Floats) -> Floats:
        """Variance of each row's noise: (N,)."""
        *_, noise, growth = self.split(theta)
        return np.asarray(noise * growth**low)


def _similar(part: Floats, length: float) -> Floats:
    k = 1.0 / (1.0 + part / length)
    return np.where(np.isnan(k), 0.0, k)


def loss(theta: Floats, kernel: Kernel, parts: list[Floats], low: Floats, y: Floats) -> tuple[float, Floats]:
    """Minus the log posterior of the settings, up to a constant, and its gradient. Amplitudes are profiled out."""
    n, m = y.shape
    weights, lengths, v, noise, growth = kernel.split(theta)
    outer = np.outer(low, low)
    k = 1.0 + v * outer
    ratio_v = outer / k
    parts_k = [_similar(p, length) for p, length in zip(parts, lengths, strict=True)]
    for part, w in zip(parts_k, weights, strict=True):
        k = k * ((1.0 + w * part) / (1.0 + w))
    eps = noise * growth**low
    try:
        factor = cho_factor(k + np.diag(eps + 1e-8), lower=True)
    except np.linalg.LinAlgError:
        return 1e10, np.zeros_like(theta)
    inverse = cho_solve(factor, np.eye(n))
    alpha = inverse @ y
    amplitude = np.maximum((y * alpha).sum(axis=0) / n, 1e-12)
    value = 0.5 * n * np.log(amplitude).sum() + m * np.log(np.diag(factor[0])).sum()
    g = 0.5 * (m * inverse - (alpha / amplitude) @ alpha.T)
    gk = g * k
    grad = np.empty_like(theta)
    total = gk.sum()
    d = len(weights)
    at = d
    for column, (part, w) in enumerate(zip(parts_k, weights, strict=True)):
        inner = gk / (1.0 + w * part)
        s = inner * part
        grad[column] = w * s.sum() - total * w / (1.0 + w)
        if kernel.options[column] == 0:
            grad[at] = w * (s * (1.0 - part)).sum() * 2.0
            at += 1
    grad[-3] = v * (gk * ratio_v).sum()
    diagonal = np.diag(g) * eps
    grad[-2] = diagonal.sum()
    grad[-1] = (diagonal * low).sum()
    z = (theta - kernel.mean) / kernel.spread
    return float(value + 0.5 * (z**2).sum()), grad + z / kernel.spread


@dataclass
class Posterior:
    """What is known after rows were seen."""

    kernel: Kernel
    theta: Floats
    rows: Floats
    low: Floats
    factor: tuple[Floats, bool]
    alpha: Floats
    amplitude: Floats

    def at(self, rows: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation at full length: (N, M) each."""
        parts = self.kernel.apart(rows, self.rows)
        k = self.kernel.between(parts, np.zeros(len(rows)), self.low, self.theta)
        mean = k @ self.alpha
        half = solve_triangular(self.factor[0], k.T, lower=True)
        weights = self.kernel.split(self.theta)[0]
        own = np.where(np.isnan(rows), 1.0 / (1.0 + weights), 1.0).prod(axis=1)
        variance = np.maximum(own - (half**2).sum(axis=0), 1e-10)
        return mean, np.sqrt(variance[:, None] * self.amplitude)


def fit(kernel: Kernel, rows: Floats, low: Floats, y: Floats, chosen: NDArray[np.int64], steps: int = STEPS) -> Posterior:
    """The posterior of standardised values (N, M); its settings are found on the chosen rows."""
    theta = kernel.mean
    if steps:
        parts = kernel.apart(rows[chosen], rows[chosen])
        found = minimize(
            loss, theta, (kernel, parts, low[chosen], y[chosen]), jac=True, method="L-BFGS-B",
            bounds=list(zip(kernel.mean - 4 * kernel.spread, kernel.mean + 4 * kernel.spread)), options={"maxiter": steps, "maxfun": steps + 5},
        )
        theta = found.x
    k = kernel.between(kernel.apart(rows, rows), low, low, theta)
    factor = cho_factor(k + np.diag(kernel.noise(low, theta) + 1e-8), lower=True)
    alpha = cho_solve(factor, y)
    amplitude = np.maximum((y * alpha).sum(axis=0) / len(y), 1e-12)
    return Posterior(kernel, theta, rows, low, factor, alpha, amplitude)
