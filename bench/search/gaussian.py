"""A Gaussian process over configurations of a conditional space, at any rung.

All objectives share one kernel, a product over parameters of 1 + w k(a, b), with k = 0 where either
configuration lacks the parameter: an analysis of variance (Durrande et al., JMVA 2013), to which a
missing parameter adds nothing. So knowledge about a shared parameter transfers between branches;
its differences by branch come from the product with the switch's own factor.

A result at a lower rung is the value at full length, plus a deviation that grows towards the lowest
rung, plus noise that grows likewise. Noise differs by objective: an outcome of a rare label has
most. The deviation's kernel has the same lengths but its own weights: what makes a model learn
fast, such as a learning rate or a batch size, need not make it good in the end. Weights, lengths,
deviation and noise maximise their posterior, by a few steps of L-BFGS from the prior mean.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize

from bench.core.arrays import Floats, Ints

STEPS = 12
JITTER = 1e-8
ABSENT = 1e9
"""Encodes a missing number."""
PRIOR = {
    "weight": (0.2, 1.0),
    "length": (0.4, 0.4),
    "deviating": (0.2, 1.0),
    "deviation": (1.0, 1.0),
    "growth": (3.0, 0.7),
    "noise": (0.01, 1.5),
}
"""Prior median of each kind of setting, and the standard deviation of its logarithm."""


@dataclass(frozen=True)
class Settings:
    """Settings of the kernel.

    Weights of values (D,), of deviations (D,), squared lengths (D,); relative to a variance of 1:
    deviation, its growth down the rungs, and noise of each objective (M,).
    """

    weights: Floats
    deviating: Floats
    lengths: Floats
    deviation: float
    growth: float
    noise: Floats


class Kernel:
    """The kernel of a space; its settings are one vector of logarithms.

    Results carry their `lowness`: 1 at the lowest rung, 0 at full length.

    Args:
        options: of each column, 0 for a number; see `encoding.Encoding`.
        objectives: M, each with its own noise.
    """

    def __init__(self, options: Ints, objectives: int) -> None:
        self.options = options
        self.numbers = np.flatnonzero(options == 0)
        self.choices = np.flatnonzero(options)
        self._repeated = np.repeat(np.arange(len(options)), options)
        self._numbered = np.concatenate([np.arange(count) for count in (0, *options)])
        counts = {
            "weight": len(options),
            "length": len(self.numbers),
            "deviating": len(options),
            "noise": objectives,
        }
        prior: list[tuple[float, float]] = []
        for name, median_and_spread in PRIOR.items():
            prior += [median_and_spread] * counts.get(name, 1)
        self.mean = np.log([median for median, _ in prior])
        self.spread = np.array([spread for _, spread in prior])

    def settings(self, theta: Floats) -> Settings:
        """Decodes a vector of logarithms."""
        columns = len(self.options)
        weights, number_lengths, deviating, rest = np.split(
            np.exp(theta), np.cumsum([columns, len(self.numbers), columns])
        )
        lengths = np.ones(columns)
        lengths[self.numbers] = number_lengths**2
        return Settings(weights, deviating, lengths, float(rest[0]), float(rest[1]), rest[2:])

    def pairs(self, rows: Floats) -> Pairs:
        """The data that the kernel needs for every pair of rows (N, D), each pair once."""
        first, second = np.tril_indices(len(rows))
        squares = np.empty((len(self.numbers), len(first)))
        for row, column in enumerate(self.numbers):
            squares[row] = _squares(rows[first, column], rows[second, column])
        same = np.empty((len(self.choices), len(first)))
        for row, column in enumerate(self.choices):
            same[row] = rows[first, column] == rows[second, column]
        return Pairs(first, second, squares, same)

    def values(self, rows: Floats, known_rows: Floats, weights: Floats, lengths: Floats) -> Floats:
        """The kernel between rows (N, D) and known rows (K, D): (N, K).

        With the settings' `weights` it is the kernel of values at full length, with `deviating`
        that of deviations of variance 1. Options are one matrix product: the logarithm of a factor
        is linear in whether options are equal.
        """
        log_factors = np.log1p(weights)[self._repeated]
        value: Floats = np.exp(
            (self._indicators(rows) * log_factors) @ self._indicators(known_rows).T
        )
        for column in self.numbers:
            distance = _squares(rows[:, column, None], known_rows[None, :, column])
            distance /= lengths[column]
            distance += 1.0
            value *= (distance + weights[column]) / distance
        value /= (1.0 + weights).prod()
        return value

    def covariance(self, rows: Floats, lowness: Floats, settings: Settings) -> Floats:
        """Covariance of results (N, N), without noise; `lowness` is (N,)."""
        covariance = self.values(rows, rows, settings.weights, settings.lengths)
        short = np.flatnonzero(lowness)
        scale = settings.deviation * np.outer(lowness[short], lowness[short])
        covariance[np.ix_(short, short)] += scale * self.values(
            rows[short], rows[short], settings.deviating, settings.lengths
        )
        return covariance

    @staticmethod
    def noise(lowness: Floats, settings: Settings) -> Floats:
        """Noise variance of each result: (M, N)."""
        return np.asarray(settings.noise[:, None] * settings.growth**lowness + JITTER)

    def _indicators(self, rows: Floats) -> Floats:
        """One-hot columns of the choices: (N, options); all 0 for a choice that a row lacks."""
        return np.asarray(rows[:, self._repeated] == self._numbered, dtype=np.float64)


@dataclass(frozen=True)
class Pairs:
    """P pairs of rows: their indices (P,) each, squared differences of numbers (numbers, P), and
    whether options are equal (choices, P).
    """

    first: Ints
    second: Ints
    squares: Floats
    same: Floats


def _squares(first: Floats, second: Floats) -> Floats:
    """Squared differences; huge if either is missing, so that the kernel is 0."""
    difference = np.nan_to_num(first, nan=ABSENT) - np.nan_to_num(second, nan=-ABSENT)
    difference *= difference
    return np.asarray(difference)


class PairFactors:
    """The kernel of P pairs of rows as a product over parameters, with its gradient.

    Args:
        similarity: of the numbers of each pair, in [0, 1]: (numbers, P).
        same: whether the options of each pair are equal: (choices, P).
        weights: of all parameters: (D,).

    Attributes:
        product: the kernel: (P,).
    """

    def __init__(self, kernel: Kernel, similarity: Floats, same: Floats, weights: Floats) -> None:
        self._kernel, self._weights = kernel, weights
        self._similarity, self._same = similarity, same
        self._number_factors = 1.0 + weights[kernel.numbers][:, None] * similarity
        choice_factors = np.exp(np.log1p(weights[kernel.choices]) @ same)
        self.product = self._number_factors.prod(axis=0) * choice_factors / (1.0 + weights).prod()

    def gradient(self, by_logarithm: Floats) -> tuple[Floats, Floats]:
        """Gradients by the logarithms of weights (D,) and of numbers' lengths.

        Args:
            by_logarithm: the loss's derivative by the logarithm of each pair's product: (P,).
        """
        numbers, choices, weights = self._kernel.numbers, self._kernel.choices, self._weights
        shares = self._similarity / self._number_factors
        by_number = shares @ by_logarithm
        by_weight = np.empty(len(weights))
        by_weight[numbers] = by_number
        by_weight[choices] = (self._same @ by_logarithm) / (1.0 + weights[choices])
        shares *= self._similarity
        by_length = 2.0 * weights[numbers] * (by_number - shares @ by_logarithm)
        return weights * (by_weight - by_logarithm.sum() / (1.0 + weights)), by_length


def loss(
    theta: Floats, kernel: Kernel, pairs: Pairs, lowness: Floats, values: Floats
) -> tuple[float, Floats]:
    """Minus the log posterior of the settings given values (N, M), up to a constant, and its
    gradient.

    The amplitude of each objective is profiled out at its most likely value.
    """
    settings = kernel.settings(theta)
    first, second = pairs.first, pairs.second
    similarity = 1.0 / (1.0 + pairs.squares / settings.lengths[kernel.numbers, None])
    value_factors = PairFactors(kernel, similarity, pairs.same, settings.weights)
    deviation_factors = PairFactors(kernel, similarity, pairs.same, settings.deviating)
    deviation_scale = settings.deviation * (lowness[first] * lowness[second])
    deviations = deviation_factors.product * deviation_scale
    covariance = np.zeros((len(values), len(values)))
    covariance[first, second] = value_factors.product + deviations

    standardized = (theta - kernel.mean) / kernel.spread
    total = 0.5 * (standardized**2).sum()
    by_covariance = np.zeros_like(covariance)
    by_noise = []
    for objective_values, noise in zip(values.T, kernel.noise(lowness, settings), strict=True):
        objective_loss, gradient = _objective_loss(objective_values, covariance, noise)
        total += objective_loss
        by_covariance += gradient
        by_noise.append(0.5 * np.diagonal(gradient) * (noise - JITTER))

    by_entry = by_covariance[first, second]
    by_entry[first == second] *= 0.5  # a pair stands for two entries, a row with itself for one
    by_weight, by_length = value_factors.gradient(by_entry * value_factors.product)
    by_deviation = by_entry * deviations
    by_deviating, by_deviation_length = deviation_factors.gradient(by_deviation)
    by_growth = (np.sum(by_noise, axis=0) * lowness).sum()
    rest = [by_deviation.sum(), by_growth, *np.sum(by_noise, axis=1)]
    by_theta = np.concatenate([by_weight, by_length + by_deviation_length, by_deviating, rest])
    return float(total), by_theta + standardized / kernel.spread


def _objective_loss(values: Floats, covariance: Floats, noise: Floats) -> tuple[float, Floats]:
    """Minus the log likelihood of one objective's values (N,), and twice its gradient by the
    covariance, whose lower triangle is valid.
    """
    noisy = covariance.copy()
    noisy[np.diag_indices(len(values))] += noise
    factor = cholesky(noisy, lower=True, overwrite_a=True, check_finite=False)
    solved = cho_solve((factor, True), values, check_finite=False)
    amplitude = _amplitude(values, solved)
    objective_loss = 0.5 * len(values) * np.log(amplitude) + np.log(np.diag(factor)).sum()
    return objective_loss, dpotri(factor, lower=True)[0] - np.outer(solved / amplitude, solved)


def _amplitude(values: Floats, solved: Floats) -> float:
    return max(float((values * solved).mean()), 1e-12)


class Posterior:
    """The posterior given values (N, M), of mean 0, at rows (N, D) and rungs of `lowness` (N,).

    Args:
        fitted_rows: indices of the rows on which the settings are fitted.
        added_noise: additional noise variance of each value: (N,).
    """

    def __init__(
        self,
        kernel: Kernel,
        rows: Floats,
        lowness: Floats,
        values: Floats,
        fitted_rows: Ints,
        added_noise: Floats | float = 0.0,
    ) -> None:
        self._kernel, self._rows = kernel, rows
        self.settings = settings = _fitted_settings(
            kernel, rows[fitted_rows], lowness[fitted_rows], values[fitted_rows]
        )
        covariance = kernel.covariance(rows, lowness, settings)
        self._factors: list[Floats] = []
        solved = []
        amplitudes = []
        noises = kernel.noise(lowness, settings) + added_noise
        for objective_values, noise in zip(values.T, noises, strict=True):
            factor = cholesky(covariance + np.diag(noise), lower=True, check_finite=False)
            solution = cho_solve((factor, True), objective_values, check_finite=False)
            self._factors.append(factor)
            solved.append(solution)
            amplitudes.append(_amplitude(objective_values, solution))
        self._solved, self._amplitudes = np.array(solved).T, np.array(amplitudes)

    def predict(self, rows: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation at full length, without noise: (N, M) each."""
        covariances = self._covariances(rows)
        explained = [(half**2).sum(axis=0) for half in self._halves(covariances)]
        absent_factors = np.where(np.isnan(rows), 1.0 / (1.0 + self.settings.weights), 1.0)
        variance = np.maximum(absent_factors.prod(axis=1) - np.array(explained), 1e-10)
        mean = covariances[:, : len(self._solved)] @ self._solved
        return mean, np.sqrt(variance.T * self._amplitudes)

    def believing(self, rows: Floats) -> Posterior:
        """The posterior if rows (N, D) had their mean values at full length: the mean stays, the
        deviation shrinks.
        """
        before = len(self._rows)
        full_length = np.zeros(len(rows))
        covariance = self._kernel.covariance(rows, full_length, self.settings)
        noises = self._kernel.noise(full_length, self.settings)
        halves = self._halves(self._covariances(rows))
        believing = copy(self)
        believing._rows = np.concatenate([self._rows, rows])
        believing._factors = []
        for known_factor, half, noise in zip(self._factors, halves, noises, strict=True):
            factor = np.zeros((before + len(rows), before + len(rows)))
            factor[:before, :before], factor[before:, :before] = known_factor, half.T
            unexplained = covariance + np.diag(noise) - half.T @ half
            factor[before:, before:] = cholesky(unexplained, lower=True, check_finite=False)
            believing._factors.append(factor)
        return believing

    def _covariances(self, rows: Floats) -> Floats:
        """Covariances with the known rows: (N, K)."""
        return self._kernel.values(rows, self._rows, self.settings.weights, self.settings.lengths)

    def _halves(self, covariances: Floats) -> list[Floats]:
        """Covariances (N, K) through the inverse of each objective's factor: (K, N)."""
        halves = []
        for factor in self._factors:
            half = solve_triangular(factor, covariances.T, lower=True, check_finite=False)
            halves.append(half)
        return halves


def _fitted_settings(kernel: Kernel, rows: Floats, lowness: Floats, values: Floats) -> Settings:
    low, high = kernel.mean - 4 * kernel.spread, kernel.mean + 4 * kernel.spread
    fit = minimize(
        loss,
        kernel.mean,
        (kernel, kernel.pairs(rows), lowness, values),
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(low, high, strict=True)),
        options={"maxiter": STEPS, "maxfun": STEPS + 5},
    )
    return kernel.settings(fit.x)
