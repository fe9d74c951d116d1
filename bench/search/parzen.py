"""A Parzen sampler that learns from trials at any rung, for conditional spaces and several objectives.

As in the tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011), trials are parted into good ones and the
rest, candidates are drawn from a density over the good ones, and the candidate is taken whose density under the good
ones is largest against that under the rest. What differs from Optuna's:

* What is good is a matter of order alone, best first. So trials of different rungs can stand in one order
  (`fidelity`), and several objectives in one (`ranking`).
* Each parameter has a density of its own, over all trials that have the parameter, in whatever branch. A parameter that
  branches share learns from all of them; one of a single branch from that branch. The candidates are compared whole.
* One parameter's density gives the uniform one the weight of one trial, so that nothing is ever ruled out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from bench.records import Scalar
from bench.search import tree as trees
from bench.search.encoding import Encoding, Floats
from bench.search.nodes import Leaf, Switch
from bench.search.space import Space

STARTUP = 10
"""Trials that are drawn at random before any is modelled."""
GOOD, LEAST, MOST = 0.1, 4, 40
"""Share of trials that are good ones, and how many they are at least and at most."""
REST = 400
"""Of the rest, so many at random are enough to tell where there is nothing to gain; more would only cost time."""
CANDIDATES = 48
WIDTH = 0.15
"""Standard deviation of a number's kernel, on [0, 1], were there one trial; it shrinks with their tenth root."""
KEPT = 0.8
"""Weight that an option's kernel gives to the option itself; what is left is spread over all."""


class ParzenSampler:
    """Proposes configurations of a space. Holds no state: a proposal depends on its arguments alone."""

    def __init__(self, space: Space, tasks: Sequence[str]) -> None:
        self.space, self.tasks = space, tuple(tasks)
        self.encoding = Encoding(space, tasks)

    def propose(
        self, ranked: Sequence[Mapping[str, Scalar]], seed: int, pinned: Mapping[str, Scalar] | None = None
    ) -> dict[str, Scalar]:
        """The searched parameters of the next configuration.

        Args:
            ranked: configurations of earlier trials from best to worst. Names that are not searched are passed over.
            seed: of this proposal.
            pinned: parameters that are given.
        """
        rng = np.random.default_rng(seed)
        nothing = _Density(self.encoding.rows([]), self.encoding.options)
        if len(ranked) < STARTUP:
            return self._draw(nothing, rng, pinned or {})
        count = min(max(LEAST, math.ceil(GOOD * len(ranked))), MOST)
        rest = list(range(count, len(ranked)))
        if len(rest) > REST:
            rest = sorted(rng.choice(rest, REST, replace=False).tolist())
        good = _Density(self.encoding.rows(ranked[:count]), self.encoding.options)
        bad = _Density(self.encoding.rows([ranked[row] for row in rest]), self.encoding.options)
        candidates = [self._draw(good, rng, pinned or {}) for _ in range(CANDIDATES)]
        rows = self.encoding.rows(candidates)
        return candidates[int(np.argmax(good.log(rows) - bad.log(rows)))]

    def _draw(self, density: _Density, rng: np.random.Generator, pinned: Mapping[str, Scalar]) -> dict[str, Scalar]:
        params: dict[str, Scalar] = {}

        def choose(name: str, node: Leaf | Switch) -> Scalar:
            if name in pinned:
                params[name] = pinned[name]
            else:
                number = density.draw(self.encoding.column[name], rng)
                params[name] = node.draw(rng) if number is None else self.encoding.decode(name, number)
            return params[name]

        trees.resolve(self.space.tree, self.tasks, choose)
        return params


@dataclass(frozen=True)
class _Column:
    centres: Floats
    width: float
    options: int


class _Density:
    """Kernels around encoded configurations, a mixture for each column."""

    def __init__(self, rows: Floats, options: np.ndarray) -> None:
        width = WIDTH * max(1, len(rows)) ** -0.1
        present = ~np.isnan(rows)
        self._columns = [
            _Column(rows[present[:, column], column], width, int(count)) for column, count in enumerate(options)
        ]

    def draw(self, column: int, rng: np.random.Generator) -> float | None:
        """A number of a column; None where the uniform density is to give it."""
        of = self._columns[column]
        at = int(rng.integers(len(of.centres) + 1))
        if at == len(of.centres) or (of.options and rng.random() > KEPT):
            return None
        if of.options:
            return float(of.centres[at])
        while not 0 <= (number := rng.normal(of.centres[at], of.width)) <= 1:
            pass
        return float(number)

    def log(self, rows: Floats) -> Floats:
        """Log density of encoded configurations (N, columns) against the uniform one: (N,)."""
        total = np.zeros(len(rows))
        for column, of in enumerate(self._columns):
            here = ~np.isnan(rows[:, column])
            total[here] += np.log(_mixture(rows[here, column], of))
        return total


def _mixture(numbers: Floats, of: _Column) -> Floats:
    """Density of numbers (N,) under a column's kernels and the uniform one, against the uniform one: (N,)."""
    if of.options:
        counts = np.bincount(of.centres.astype(np.int64), minlength=of.options)
        kernels = (1 - KEPT) * len(of.centres) + KEPT * of.options * counts[numbers.astype(np.int64)]
    else:
        inside = ndtr((1 - of.centres) / of.width) - ndtr(-of.centres / of.width)
        apart = (numbers[:, None] - of.centres) / of.width
        kernels = (np.exp(-0.5 * apart**2) / (math.sqrt(2 * math.pi) * of.width * inside)).sum(axis=1)
    return np.asarray((1.0 + kernels) / (1 + len(of.centres)))
