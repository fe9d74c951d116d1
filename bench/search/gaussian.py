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

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize

from bench.search.nodes import Floats

STEPS = 12
JITTER = 1e-8
FAR = 1e9
"""Stands for a missing number."""
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
        self.options, self.numbers, self.choices = options, np.flatnonzero(options == 0), np.flatnonzero(options)
        self._repeated = np.repeat(np.arange(len(options)), options)
        self._numbered = np.concatenate([np.arange(count) for count in (0, *options)])
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

    def pairs(self, rows: Floats) -> Pairs:
        """What the kernel needs of every pair of rows (N, D), each pair once."""
        one, other = np.tril_indices(len(rows))
        squares = np.array([_squares(rows[one, column], rows[other, column]) for column in self.numbers])
        same = np.array([rows[one, column] == rows[other, column] for column in self.choices], dtype=np.float64)
        return Pairs(one, other, squares.reshape(-1, len(one)), same.reshape(-1, len(one)))

    def values(self, a: Floats, b: Floats, of: Settings, weights: Floats) -> Floats:
        """The kernel of values at full length, or with other weights that of deviations of variance 1: (N, N').

        Options enter by one product of matrices: the logarithm of a factor is linear in whether options are the same.
        """
        value: Floats = np.exp((self._indicators(a) * np.log1p(weights)[self._repeated]) @ self._indicators(b).T)
        for column in self.numbers:
            apart = _squares(a[:, column, None], b[None, :, column])
            apart /= of.lengths[column]
            apart += 1.0
            value *= (apart + weights[column]) / apart
        value /= (1.0 + weights).prod()
        return value

    def covariance(self, rows: Floats, low: Floats, of: Settings) -> Floats:
        """Covariance of results (N, N), with noise.

        Args:
            low: 1 at the lowest rung and 0 at full length.
        """
        whole = self.values(rows, rows, of, of.weights)
        at = np.flatnonzero(low)
        deviations = of.deviation * np.outer(low[at], low[at]) * self.values(rows[at], rows[at], of, of.deviating)
        whole[np.ix_(at, at)] += deviations
        whole[np.diag_indices(len(rows))] += of.noise * of.growth**low + JITTER
        return whole

    def _indicators(self, rows: Floats) -> Floats:
        """A column for each option of each choice: (N, options); a choice that a row lacks has none."""
        return np.asarray(rows[:, self._repeated] == self._numbered, dtype=np.float64)


@dataclass(frozen=True)
class Pairs:
    """P pairs of rows: their places (P,) each, numbers' squared differences, and whether options are the same."""

    one: NDArray[np.int64]
    other: NDArray[np.int64]
    squares: Floats
    same: Floats


def _squares(a: Floats, b: Floats) -> Floats:
    """Squared differences; so large where either is missing that the two have nothing in common."""
    apart = np.nan_to_num(a, nan=FAR) - np.nan_to_num(b, nan=-FAR)
    apart *= apart
    return np.asarray(apart)


def loss(theta: Floats, kernel: Kernel, pairs: Pairs, low: Floats, values: Floats) -> tuple[float, Floats]:
    """Minus the log posterior of the settings given values (N, M), up to a constant, and its gradient.

    Every objective has an amplitude of its own, at its most likely value.
    """
    of = kernel.settings(theta)
    one, other = pairs.one, pairs.other
    alike = 1.0 / (1.0 + pairs.squares / of.lengths[kernel.numbers, None])
    of_values, values_of = _part(kernel, alike, pairs.same, of.weights)
    of_deviations, deviations_of = _part(kernel, alike, pairs.same, of.deviating)
    of_deviations *= of.deviation * (low[one] * low[other])
    noise = of.noise * of.growth**low
    count, objectives = values.shape
    whole = np.zeros((count, count))
    whole[one, other] = of_values + of_deviations
    whole[np.diag_indices(count)] += noise + JITTER
    factor = cholesky(whole, lower=True, overwrite_a=True, check_finite=False)
    solved = cho_solve((factor, True), values, check_finite=False)
    inverse = dpotri(factor, lower=True)[0]
    amplitude = _amplitude(values, solved)
    z = (theta - kernel.mean) / kernel.spread
    total = 0.5 * count * np.log(amplitude).sum() + objectives * np.log(np.diag(factor)).sum() + 0.5 * (z**2).sum()
    # Of the loss by the kernel; each pair stands for two entries, a row with itself for one.
    by_entry = objectives * inverse[one, other] - ((solved / amplitude) @ solved.T)[one, other]
    by_noise = 0.5 * by_entry[one == other] * noise
    by_entry[one == other] *= 0.5
    weights, lengths = values_of(by_entry * of_values)
    by_deviation = by_entry * of_deviations
    deviating, also_lengths = deviations_of(by_deviation)
    others = [by_deviation.sum(), by_noise.sum(), (by_noise * low).sum()]
    gradient = np.concatenate([weights, lengths + also_lengths, deviating, others])
    return float(total), gradient + z / kernel.spread


def _part(
    kernel: Kernel, alike: Floats, same: Floats, weights: Floats
) -> tuple[Floats, Callable[[Floats], tuple[Floats, Floats]]]:
    """The kernel of pairs (P,), and its gradient.

    The gradient is that of the loss by the logarithms of weights (D,) and of numbers' lengths, given for each pair the
    loss by its entry times the entry (P,).
    """
    of_numbers, of_choices = weights[kernel.numbers], weights[kernel.choices]
    factors = 1.0 + of_numbers[:, None] * alike
    value = factors.prod(axis=0) * np.exp(np.log1p(of_choices) @ same) / (1.0 + weights).prod()

    def gradient(scaled: Floats) -> tuple[Floats, Floats]:
        shares = alike / factors
        together = np.empty(len(weights))
        together[kernel.numbers] = numbers = shares @ scaled
        together[kernel.choices] = (same @ scaled) / (1.0 + of_choices)
        shares *= alike
        by_length = 2.0 * of_numbers * (numbers - shares @ scaled)
        return weights * (together - scaled.sum() / (1.0 + weights)), by_length

    return value, gradient


def _amplitude(values: Floats, solved: Floats) -> Floats:
    return np.asarray(np.maximum((values * solved).mean(axis=0), 1e-12))


class Posterior:
    """The posterior, given values (N, M), of mean 0, at rows (N, D) and rungs `low` (N,).

    Args:
        chosen: the rows that the settings are found on.
    """

    def __init__(self, kernel: Kernel, rows: Floats, low: Floats, values: Floats, chosen: NDArray[np.int64]) -> None:
        self._kernel, self._rows = kernel, rows
        limits = list(zip(kernel.mean - 4 * kernel.spread, kernel.mean + 4 * kernel.spread, strict=True))
        most = {"maxiter": STEPS, "maxfun": STEPS + 5}
        about = (kernel, kernel.pairs(rows[chosen]), low[chosen], values[chosen])
        found = minimize(loss, kernel.mean, about, jac=True, method="L-BFGS-B", bounds=limits, options=most)
        self.settings = of = kernel.settings(found.x)
        self._factor = cholesky(kernel.covariance(rows, low, of), lower=True, check_finite=False)
        self._solved = cho_solve((self._factor, True), values, check_finite=False)
        self._amplitude = _amplitude(values, self._solved)

    def at(self, rows: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation at full length, without noise: (N, M) each."""
        k, half = self._against(rows)
        own = np.where(np.isnan(rows), 1.0 / (1.0 + self.settings.weights), 1.0).prod(axis=1)
        variance = np.maximum(own - (half**2).sum(axis=0), 1e-10)
        return k[:, : len(self._solved)] @ self._solved, np.sqrt(variance[:, None] * self._amplitude)

    def believing(self, rows: Floats) -> Posterior:
        """The posterior, had rows (N, D) come to their mean at full length: the mean stays, the deviation shrinks."""
        if not len(rows):
            return self
        _, half = self._against(rows)
        known, count = len(self._rows), len(rows)
        left = self._kernel.covariance(rows, np.zeros(count), self.settings) - half.T @ half
        factor = np.zeros((known + count, known + count))
        factor[:known, :known], factor[known:, :known] = self._factor, half.T
        factor[known:, known:] = cholesky(left, lower=True, check_finite=False)
        believing = copy(self)
        believing._rows, believing._factor = np.concatenate([self._rows, rows]), factor
        return believing

    def _against(self, rows: Floats) -> tuple[Floats, Floats]:
        """Covariances with what is known (N, rows known), and these through the inverse of the factor."""
        k = self._kernel.values(rows, self._rows, self.settings, self.settings.weights)
        return k, solve_triangular(self._factor, k.T, lower=True, check_finite=False)
