"""A Gaussian process over configurations of a conditional space at any rung, all objectives on one kernel.

The kernel is a product over parameters of 1 + w k(a, b), with k = 0 where either configuration does not have the
parameter: an analysis of variance (Durrande et al., JMVA 2013), in which a parameter that a configuration lacks adds
nothing. What is learnt of a shared parameter in one branch holds in every other; how it differs by branch is the
product with the switch's own factor.

A result at a lower rung is the value at full length, plus a deviation that grows towards the lowest rung, plus noise
that grows likewise. The deviation's kernel has the same lengths and weights of its own: what makes a model learn fast,
as a learning rate or a batch size does, need not be what makes it good in the end. Each w, each number's length,
deviation and noise are where their posterior is largest, after a few steps of L-BFGS from where they are expected.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

from bench.search.encoding import Floats

STEPS = 12
JITTER = 1e-8
PRIOR = {
    "weight": (0.2, 1.0),
    "length": (0.4, 0.4),
    "deviating": (0.2, 1.0),
    "deviation": (1.0, 1.0),
    "noise": (0.01, 1.0),
    "growth": (3.0, 0.7),
}
"""What is expected of each kind of setting, and the standard deviation of its logarithm. See docs/search.md."""


@dataclass(frozen=True)
class Settings:
    """Weights of values (D,), of deviations (D,), squared lengths (D,); against a variance of 1: deviation, noise, its
    growth down the rungs."""

    weights: Floats
    deviating: Floats
    lengths: Floats
    deviation: float
    noise: float
    growth: float


class Kernel:
    """The kernel of a space; its settings are one vector of logarithms.

    Args:
        options: of each column, 0 for a number; see `Encoding`.
    """

    def __init__(self, options: NDArray[np.int64]) -> None:
        self.options, self.numbers = options, np.flatnonzero(options == 0)
        counts = {"weight": len(options), "length": len(self.numbers), "deviating": len(options)}
        prior = [PRIOR[name] for name in PRIOR for _ in range(counts.get(name, 1))]
        self.mean = np.log([middle for middle, _ in prior])
        self.spread = np.array([spread for _, spread in prior])

    def settings(self, theta: Floats) -> Settings:
        """What a vector of logarithms stands for."""
        count = len(self.options)
        lengths = np.ones(count)
        lengths[self.numbers] = np.exp(2 * theta[count : -3 - count])
        deviation, noise, growth = np.exp(theta[-3:]).tolist()
        return Settings(np.exp(theta[:count]), np.exp(theta[-3 - count : -3]), lengths, deviation, noise, growth)

    def apart(self, a: Floats, b: Floats) -> list[Floats]:
        """By column (N, N'): squared differences of numbers, 0 or infinity of options; infinite where one has none."""
        parts = []
        for column, options in enumerate(self.options):
            apart = (a[:, column, None] - b[None, :, column]) ** 2
            parts.append(np.where(np.isnan(apart) | ((apart > 0) & bool(options)), np.inf, apart))
        return parts

    def alike(self, parts: list[Floats], of: Settings) -> list[Floats]:
        """By column k in [0, 1]: a rational quadratic of numbers, whether options are the same; 0 where infinite."""
        return [1.0 / (1.0 + part / length) for part, length in zip(parts, of.lengths, strict=True)]

    def value(self, alike: list[Floats], weights: Floats) -> Floats:
        """The kernel of values at full length, or with other weights that of deviations of variance 1: (N, N')."""
        value = np.ones_like(alike[0])
        for each, weight in zip(alike, weights, strict=True):
            value *= (1.0 + weight * each) / (1.0 + weight)
        return value

    def covariances(self, alike: list[Floats], low: Floats, of: Settings) -> tuple[Floats, Floats]:
        """What values and what deviations have in common, without noise: (N, N) each.

        Args:
            low: 1 at the lowest rung and 0 at full length.
        """
        return self.value(alike, of.weights), of.deviation * np.outer(low, low) * self.value(alike, of.deviating)


def loss(theta: Floats, kernel: Kernel, parts: list[Floats], low: Floats, values: Floats) -> tuple[float, Floats]:
    """Minus the log posterior of the settings given values (N, M), up to a constant, and its gradient.

    Every objective has an amplitude of its own, at its most likely value.
    """
    of = kernel.settings(theta)
    alike = kernel.alike(parts, of)
    of_values, of_deviations = kernel.covariances(alike, low, of)
    noise = of.noise * of.growth**low
    factor = cho_factor(of_values + of_deviations + np.diag(noise + JITTER), lower=True)
    inverse = cho_solve(factor, np.eye(len(values)))
    solved = inverse @ values
    amplitude = _amplitude(values, solved)
    z = (theta - kernel.mean) / kernel.spread
    count, objectives = values.shape
    total = 0.5 * count * np.log(amplitude).sum() + objectives * np.log(np.diag(factor[0])).sum() + 0.5 * (z**2).sum()
    by_entry = 0.5 * (objectives * inverse - (solved / amplitude) @ solved.T)  # of the loss by the kernel
    weights, lengths = _gradient(by_entry * of_values, alike, of.weights)
    deviating, also_lengths = _gradient(by_entry * of_deviations, alike, of.deviating)
    lengths = (lengths + also_lengths)[kernel.numbers]
    deviation = (by_entry * of_deviations).sum()
    by_noise = np.diag(by_entry) * noise
    gradient = np.array([*weights, *lengths, *deviating, deviation, by_noise.sum(), (by_noise * low).sum()])
    return float(total), gradient + z / kernel.spread


def _gradient(scaled: Floats, alike: list[Floats], weights: Floats) -> tuple[Floats, Floats]:
    """Of the loss by the logarithms of weights and of lengths (D,) each, given by each entry times the entry."""
    whole = scaled.sum()
    by_weight, by_length = np.empty(len(weights)), np.empty(len(weights))
    for column, (each, weight) in enumerate(zip(alike, weights, strict=True)):
        share = scaled * each / (1.0 + weight * each)
        together = share.sum()
        by_weight[column] = weight * (together - whole / (1.0 + weight))
        by_length[column] = 2.0 * weight * (together - (share * each).sum())
    return by_weight, by_length


def _amplitude(values: Floats, solved: Floats) -> Floats:
    return np.asarray(np.maximum((values * solved).mean(axis=0), 1e-12))


class Posterior:
    """What is known after rows (N, D) at `low` (N,) had values (N, M), of mean 0.

    Args:
        chosen: the rows that the settings are found on.
    """

    def __init__(self, kernel: Kernel, rows: Floats, low: Floats, values: Floats, chosen: NDArray[np.int64]) -> None:
        self._kernel, self._rows = kernel, rows
        parts = kernel.apart(rows[chosen], rows[chosen])
        limits = list(zip(kernel.mean - 4 * kernel.spread, kernel.mean + 4 * kernel.spread, strict=True))
        most = {"maxiter": STEPS, "maxfun": STEPS + 5}
        about = (kernel, parts, low[chosen], values[chosen])
        found = minimize(loss, kernel.mean, about, jac=True, method="L-BFGS-B", bounds=limits, options=most)
        self.settings = of = kernel.settings(found.x)
        of_values, of_deviations = kernel.covariances(kernel.alike(kernel.apart(rows, rows), of), low, of)
        self._factor = cho_factor(of_values + of_deviations + np.diag(of.noise * of.growth**low + JITTER), lower=True)
        self._solved = cho_solve(self._factor, values)
        self._amplitude = _amplitude(values, self._solved)

    def at(self, rows: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation at full length, without noise: (N, M) each."""
        alike = self._kernel.alike(self._kernel.apart(rows, self._rows), self.settings)
        k = self._kernel.value(alike, self.settings.weights)
        half = solve_triangular(self._factor[0], k.T, lower=True)
        own = np.where(np.isnan(rows), 1.0 / (1.0 + self.settings.weights), 1.0).prod(axis=1)
        variance = np.maximum(own - (half**2).sum(axis=0), 1e-10)
        return k @ self._solved, np.sqrt(variance[:, None] * self._amplitude)
