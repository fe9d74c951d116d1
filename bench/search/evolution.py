"""Evolution with a crossover that knows branches: a child of two of the best trials, changed a little.

NSGA-II (Deb et al., IEEE TEC 2002) one child at a time, so that none waits for a generation: parents are the better of
two of the best `POPULATION`, in an order that `ranking` gives. Optuna's crosses only parameters that every trial has,
and draws a branch's own anew; here a child has them from the parent that has its branch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.records import Scalar
from bench.search.shape import Shape
from bench.search.space import Space

STARTUP = 10
"""Trials that are drawn at random before any is a parent."""
POPULATION = 20
RATE = 0.1
"""Of a child's parameters, how many are changed; at least one is."""


class EvolutionSampler:
    """Proposes configurations of a space. Holds no state: a proposal depends on its arguments alone."""

    def __init__(self, space: Space, tasks: Sequence[str]) -> None:
        self.shape = Shape(space, tasks)

    def propose(
        self, ranked: Sequence[Mapping[str, Scalar]], seed: int, pinned: Mapping[str, Scalar] | None = None
    ) -> dict[str, Scalar]:
        """The searched parameters of the next configuration; arguments as those of `ParzenSampler.propose`."""
        rng = np.random.default_rng(seed)
        if len(ranked) < STARTUP:
            return self.shape.config(self.shape.draw(1, rng, pinned)[0], pinned)
        parents = self.shape.encoding.rows(ranked[:POPULATION])
        first, second = rng.integers(len(parents), size=(2, 2)).min(axis=1)  # the better of two, twice
        child = self.shape.cross(parents[[first]], parents[[second]], rng, pinned)
        return self.shape.config(self.shape.vary(child, RATE, rng, pinned)[0], pinned)
