"""A Gaussian process over configurations of a conditional space at any rung, and its encoding of
configurations.

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

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize

from bench.core.arrays import Floats
from bench.core.records import Scalar
from bench.search import tree as trees
from bench.search.nodes import Float, Int, Leaf, Switch
from bench.search.space import Space

SMALL_CHANGE = 0.1
"""Standard deviation of a number's small change, on [0, 1]."""
JUMPS = 0.25
"""Share of a number's changes that are new draws."""


class Encoding:
    """Configurations of a space as rows, with a column for each parameter in any branch; makes many
    rows at a time.

    Numbers lie in [0, 1] on their own scale (logarithmic if searched so); options are numbered from
    0. A parameter that a configuration lacks is NaN. New rows first get a number in every column,
    and then lose those that their branches lack. So no branch needs a rule of its own, and branches
    can exchange shared parameters.

    Attributes:
        nodes: parameter of each column, by name.
        column: index of each, by name.
        options: number of options of each column, 0 for a number.
    """

    def __init__(self, space: Space, tasks: Sequence[str]) -> None:
        self.space, self.tasks = space, tuple(tasks)
        every = list(trees.leaves(space.tree, tasks))
        self.nodes = {name: node for name, node, _ in every}
        self.column = {name: column for column, name in enumerate(self.nodes)}
        self.options = np.array([len(node.options) for node in self.nodes.values()], dtype=np.int64)
        self._ways: list[list[list[tuple[int, float]]]] = [[] for _ in self.column]
        for name, _, path in every:
            way = [
                (self.column[switch], self.nodes[switch].encode(branch)) for switch, branch in path
            ]
            self._ways[self.column[name]].append(way)

    def rows(self, configurations: Sequence[Mapping[str, Scalar]]) -> Floats:
        """Encodes configurations as rows (N, columns); ignores names that are no parameters."""
        rows = np.full((len(configurations), len(self.nodes)), np.nan)
        for row, configuration in zip(rows, configurations, strict=True):
            for name, value in configuration.items():
                if name in self.nodes:
                    row[self.column[name]] = self.nodes[name].encode(value)
        return rows

    def complete(
        self, rows: Floats, rng: np.random.Generator, pinned: Mapping[str, Scalar] | None = None
    ) -> Floats:
        """Draws missing numbers, removes those that the row's branches lack, and rounds: in place,
        (N, columns).
        """
        drawn = self._anything(len(rows), rng)
        given = self.rows([pinned or {}])[0]
        for column, node in enumerate(self.nodes.values()):
            numbers = rows[:, column]
            if not np.isnan(given[column]):
                numbers[:] = given[column]
            missing = np.isnan(numbers)
            numbers[missing] = drawn[missing, column]
            numbers[~self._there(column, rows)] = np.nan
            if isinstance(node, Int):
                numbers[:] = node.snap(numbers)
            elif isinstance(node, Float):
                numbers[:] = numbers.clip(0, 1)
        return rows

    def _there(self, column: int, rows: Floats) -> NDArray[np.bool_]:
        """Whether rows whose earlier columns are complete have this one: (N,)."""
        there = np.zeros(len(rows), dtype=bool)
        for way in self._ways[column]:
            there |= (
                np.all([rows[:, switch] == option for switch, option in way], axis=0)
                if way
                else True
            )
        return there

    def draw(
        self, count: int, rng: np.random.Generator, pinned: Mapping[str, Scalar] | None = None
    ) -> Floats:
        """Draws random configurations: (count, columns)."""
        return self.complete(np.full((count, len(self.nodes)), np.nan), rng, pinned)

    def vary(
        self,
        rows: Floats,
        rate: float,
        rng: np.random.Generator,
        pinned: Mapping[str, Scalar] | None = None,
    ) -> Floats:
        """Neighbours of rows: each column changes at a rate, at least one does; numbers mostly by a
        little.
        """
        varied = rows.copy()
        change = rng.random(rows.shape) < rate
        present = ~np.isnan(rows)
        sure = np.argmax(np.where(present, rng.random(rows.shape), -1.0), axis=1)
        change[np.arange(len(rows)), sure] = True
        drawn = self._anything(len(rows), rng)
        near = rows + rng.normal(0, SMALL_CHANGE, rows.shape)
        near = np.clip(np.where(near < 0, -near, np.where(near > 1, 2 - near, near)), 0, 1)
        far = (self.options > 0) | (rng.random(rows.shape) < JUMPS)
        change &= present
        varied[change] = np.where(far, drawn, near)[change]
        return self.complete(varied, rng, pinned)

    def cross(
        self,
        first: Floats,
        second: Floats,
        rng: np.random.Generator,
        pinned: Mapping[str, Scalar] | None = None,
    ) -> Floats:
        """Children of pairs: a column of both comes from either, a column of one from that one."""
        children = np.where(rng.random(first.shape) < 0.5, first, second)
        children = np.where(np.isnan(children), np.where(np.isnan(first), second, first), children)
        return self.complete(children, rng, pinned)

    def config(self, row: Floats, pinned: Mapping[str, Scalar] | None = None) -> dict[str, Scalar]:
        """Decodes a row to searched parameters."""
        given, number = pinned or {}, dict(zip(self.nodes, row, strict=True))

        def choose(name: str, node: Leaf | Switch) -> Scalar:
            return given[name] if name in given else node.decode(number[name])

        return trees.searched(self.space.tree, self.tasks, choose)

    def _anything(self, count: int, rng: np.random.Generator) -> Floats:
        numbers = rng.random((count, len(self.nodes)))
        return np.where(self.options > 0, np.floor(numbers * self.options), numbers)


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

    Args:
        options: of each column, 0 for a number; see `Encoding`.
        objectives: M, each with its own noise.
    """

    def __init__(self, options: NDArray[np.int64], objectives: int) -> None:
        self.options, self.numbers, self.choices = (
            options,
            np.flatnonzero(options == 0),
            np.flatnonzero(options),
        )
        self._repeated = np.repeat(np.arange(len(options)), options)
        self._numbered = np.concatenate([np.arange(count) for count in (0, *options)])
        counts = {
            "weight": len(options),
            "length": len(self.numbers),
            "deviating": len(options),
            "noise": objectives,
        }
        prior = [PRIOR[name] for name in PRIOR for _ in range(counts.get(name, 1))]
        self.mean = np.log([middle for middle, _ in prior])
        self.spread = np.array([spread for _, spread in prior])

    def settings(self, theta: Floats) -> Settings:
        """Decodes a vector of logarithms."""
        count, lengths = len(self.options), np.ones(len(self.options))
        weights, squared, deviating, others = np.split(
            np.exp(theta), np.cumsum([count, len(self.numbers), count])
        )
        lengths[self.numbers] = squared**2
        return Settings(weights, deviating, lengths, float(others[0]), float(others[1]), others[2:])

    def pairs(self, rows: Floats) -> Pairs:
        """The data that the kernel needs for every pair of rows (N, D), each pair once."""
        one, other = np.tril_indices(len(rows))
        squares = np.array(
            [_squares(rows[one, column], rows[other, column]) for column in self.numbers]
        )
        same = np.array(
            [rows[one, column] == rows[other, column] for column in self.choices], dtype=np.float64
        )
        return Pairs(one, other, squares.reshape(-1, len(one)), same.reshape(-1, len(one)))

    def values(self, a: Floats, b: Floats, of: Settings, weights: Floats) -> Floats:
        """The kernel of values at full length, or with other weights that of deviations of variance
        1: (N, N').

        Options are one matrix product: the logarithm of a factor is linear in whether options are
        equal.
        """
        value: Floats = np.exp(
            (self._indicators(a) * np.log1p(weights)[self._repeated]) @ self._indicators(b).T
        )
        for column in self.numbers:
            apart = _squares(a[:, column, None], b[None, :, column])
            apart /= of.lengths[column]
            apart += 1.0
            value *= (apart + weights[column]) / apart
        value /= (1.0 + weights).prod()
        return value

    def covariance(self, rows: Floats, low: Floats, of: Settings) -> Floats:
        """Covariance of results (N, N), without noise; `low` is 1 at the lowest rung and 0 at full
        length.
        """
        whole = self.values(rows, rows, of, of.weights)
        at = np.flatnonzero(low)
        deviations = (
            of.deviation
            * np.outer(low[at], low[at])
            * self.values(rows[at], rows[at], of, of.deviating)
        )
        whole[np.ix_(at, at)] += deviations
        return whole

    @staticmethod
    def noise(low: Floats, of: Settings) -> Floats:
        """Noise variance of each result (M, N); `low` as in `covariance`."""
        return np.asarray(of.noise[:, None] * of.growth**low + JITTER)

    def _indicators(self, rows: Floats) -> Floats:
        """One-hot columns of the choices: (N, options); all 0 for a choice that a row lacks."""
        return np.asarray(rows[:, self._repeated] == self._numbered, dtype=np.float64)


@dataclass(frozen=True)
class Pairs:
    """P pairs of rows: their indices (P,) each, numbers' squared differences, and whether options
    are equal.
    """

    one: NDArray[np.int64]
    other: NDArray[np.int64]
    squares: Floats
    same: Floats


def _squares(a: Floats, b: Floats) -> Floats:
    """Squared differences; huge if either is missing, so that the kernel is 0."""
    apart = np.nan_to_num(a, nan=ABSENT) - np.nan_to_num(b, nan=-ABSENT)
    apart *= apart
    return np.asarray(apart)


def loss(
    theta: Floats, kernel: Kernel, pairs: Pairs, low: Floats, values: Floats
) -> tuple[float, Floats]:
    """Minus the log posterior of the settings given values (N, M), up to a constant, and its
    gradient.

    The amplitude of each objective is profiled out at its most likely value.
    """
    of = kernel.settings(theta)
    one, other = pairs.one, pairs.other
    alike = 1.0 / (1.0 + pairs.squares / of.lengths[kernel.numbers, None])
    of_values, values_of = _part(kernel, alike, pairs.same, of.weights)
    of_deviations, deviations_of = _part(kernel, alike, pairs.same, of.deviating)
    of_deviations *= of.deviation * (low[one] * low[other])
    count, diagonal = len(values), np.diag_indices(len(values))
    whole = np.zeros((count, count))
    whole[one, other] = of_values + of_deviations
    z = (theta - kernel.mean) / kernel.spread
    total, by_kernel, by_noise = 0.5 * (z**2).sum(), np.zeros((count, count)), []
    for of_objective, noise in zip(values.T, kernel.noise(low, of), strict=True):
        noisy = whole.copy()
        noisy[diagonal] += noise
        factor = cholesky(noisy, lower=True, overwrite_a=True, check_finite=False)
        solved = cho_solve((factor, True), of_objective, check_finite=False)
        amplitude = _amplitude(of_objective, solved)
        total += 0.5 * count * np.log(amplitude) + np.log(np.diag(factor)).sum()
        by_own = dpotri(factor, lower=True)[0] - np.outer(solved / amplitude, solved)
        by_noise.append(0.5 * by_own[diagonal] * (noise - JITTER))
        by_kernel += by_own
    # Gradient of the loss by the kernel; each pair stands for two entries, a row with itself for
    # one.
    by_entry = by_kernel[one, other]
    by_entry[one == other] *= 0.5
    weights, lengths = values_of(by_entry * of_values)
    by_deviation = by_entry * of_deviations
    deviating, also_lengths = deviations_of(by_deviation)
    others = [by_deviation.sum(), (np.sum(by_noise, axis=0) * low).sum(), *np.sum(by_noise, axis=1)]
    gradient = np.concatenate([weights, lengths + also_lengths, deviating, others])
    return float(total), gradient + z / kernel.spread


def _part(
    kernel: Kernel, alike: Floats, same: Floats, weights: Floats
) -> tuple[Floats, Callable[[Floats], tuple[Floats, Floats]]]:
    """The kernel of pairs (P,), and a function for its gradient.

    The function takes, for each pair, the loss's derivative by its entry times the entry (P,). It
    returns the gradients by the logarithms of weights (D,) and of numbers' lengths.
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


def _amplitude(values: Floats, solved: Floats) -> float:
    return max(float((values * solved).mean()), 1e-12)


class Posterior:
    """The posterior given values (N, M), of mean 0, at rows (N, D) and rungs `low` (N,).

    Args:
        chosen: rows on which the settings are fitted.
        doubt: additional noise variance of each value: (N,).
    """

    def __init__(
        self,
        kernel: Kernel,
        rows: Floats,
        low: Floats,
        values: Floats,
        chosen: NDArray[np.int64],
        doubt: Floats | float = 0.0,
    ) -> None:
        self._kernel, self._rows = kernel, rows
        limits = list(
            zip(kernel.mean - 4 * kernel.spread, kernel.mean + 4 * kernel.spread, strict=True)
        )
        most = {"maxiter": STEPS, "maxfun": STEPS + 5}
        about = (kernel, kernel.pairs(rows[chosen]), low[chosen], values[chosen])
        fit = minimize(
            loss, kernel.mean, about, jac=True, method="L-BFGS-B", bounds=limits, options=most
        )
        self.settings = of = kernel.settings(fit.x)
        covariance = kernel.covariance(rows, low, of)
        noise = kernel.noise(low, of) + doubt
        self._factors = [
            cholesky(covariance + np.diag(each), lower=True, check_finite=False) for each in noise
        ]
        pairs = list(zip(self._factors, values.T, strict=True))
        solved = [cho_solve((factor, True), each, check_finite=False) for factor, each in pairs]
        self._solved = np.array(solved).T
        self._amplitude = np.array(
            [_amplitude(*each) for each in zip(values.T, solved, strict=True)]
        )

    def at(self, rows: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation at full length, without noise: (N, M) each."""
        k, halves = self._against(rows)
        own = np.where(np.isnan(rows), 1.0 / (1.0 + self.settings.weights), 1.0).prod(axis=1)
        variance = np.maximum(own - np.array([(half**2).sum(axis=0) for half in halves]), 1e-10)
        return k[:, : len(self._solved)] @ self._solved, np.sqrt(variance.T * self._amplitude)

    def believing(self, rows: Floats) -> Posterior:
        """The posterior if rows (N, D) had their mean values at full length: the mean stays, the
        deviation shrinks.
        """
        known, at_full = len(self._rows), np.zeros(len(rows))
        own = self._kernel.covariance(rows, at_full, self.settings)
        noise = self._kernel.noise(at_full, self.settings)
        believing = copy(self)
        believing._rows, believing._factors = np.concatenate([self._rows, rows]), []
        for before, half, of_objective in zip(
            self._factors, self._against(rows)[1], noise, strict=True
        ):
            factor = np.zeros((known + len(rows), known + len(rows)))
            factor[:known, :known], factor[known:, :known] = before, half.T
            left = own + np.diag(of_objective) - half.T @ half
            factor[known:, known:] = cholesky(left, lower=True, check_finite=False)
            believing._factors.append(factor)
        return believing

    def _against(self, rows: Floats) -> tuple[Floats, list[Floats]]:
        """Covariances with the known rows (N, known), and these through the inverse of each
        objective's factor.
        """
        k = self._kernel.values(rows, self._rows, self.settings, self.settings.weights)
        return k, [
            solve_triangular(factor, k.T, lower=True, check_finite=False)
            for factor in self._factors
        ]
