"""Configurations of a conditional space as rows of numbers, for a sampler that learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.core.arrays import Floats, Mask
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

    Numbers lie in [0, 1] on their own scale (logarithmic if searched that way); options are
    numbered from 0. A parameter that a configuration lacks is NaN. New rows first get a number in
    every column, and then lose those that their branches lack. So no branch needs a rule of its
    own, and branches can exchange shared parameters.

    Attributes:
        nodes: parameter of each column, by name.
        column: index of each, by name.
        options: number of options of each column, 0 for a number.
    """

    def __init__(self, space: Space, tasks: Sequence[str]) -> None:
        self.space, self.tasks = space, tuple(tasks)
        parameters = list(trees.leaves(space.whole, tasks))
        self.nodes = {name: node for name, node, _ in parameters}
        self.column = {name: column for column, name in enumerate(self.nodes)}
        self.options = np.array([len(node.options) for node in self.nodes.values()], dtype=np.int64)
        self._paths: list[list[list[tuple[int, float]]]] = [[] for _ in self.column]
        for name, _, path in parameters:
            encoded_path = []
            for switch, branch in path:
                encoded_path.append((self.column[switch], self.nodes[switch].encode(branch)))
            self._paths[self.column[name]].append(encoded_path)

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
        drawn = self._draw_numbers(len(rows), rng)
        pinned_row = self.rows([pinned or {}])[0]
        for column, node in enumerate(self.nodes.values()):
            numbers = rows[:, column]
            if not np.isnan(pinned_row[column]):
                numbers[:] = pinned_row[column]
            missing = np.isnan(numbers)
            numbers[missing] = drawn[missing, column]
            numbers[~self._present(column, rows)] = np.nan
            if isinstance(node, Int):
                numbers[:] = node.snap(numbers)
            elif isinstance(node, Float):
                numbers[:] = numbers.clip(0, 1)
        return rows

    def _present(self, column: int, rows: Floats) -> Mask:
        """Whether rows whose earlier columns are complete have this one: (N,)."""
        present = np.zeros(len(rows), dtype=bool)
        for path in self._paths[column]:
            on_path = [rows[:, switch] == option for switch, option in path]
            present |= np.all(on_path, axis=0)  # true for an empty path
        return present

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
        present = ~np.isnan(rows)
        changes = rng.random(rows.shape) < rate
        always_changed = np.argmax(np.where(present, rng.random(rows.shape), -1.0), axis=1)
        changes[np.arange(len(rows)), always_changed] = True
        changes &= present

        drawn = self._draw_numbers(len(rows), rng)
        near = _reflected(rows + rng.normal(0, SMALL_CHANGE, rows.shape))
        takes_drawn = (self.options > 0) | (rng.random(rows.shape) < JUMPS)
        varied = rows.copy()
        varied[changes] = np.where(takes_drawn, drawn, near)[changes]
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
        either = np.where(np.isnan(first), second, first)
        children = np.where(np.isnan(children), either, children)
        return self.complete(children, rng, pinned)

    def config(self, row: Floats, pinned: Mapping[str, Scalar] | None = None) -> dict[str, Scalar]:
        """Decodes a row to searched parameters."""
        pinned = pinned or {}
        numbers = dict(zip(self.nodes, row, strict=True))

        def choose(name: str, node: Leaf | Switch) -> Scalar:
            return pinned[name] if name in pinned else node.decode(numbers[name])

        return trees.searched(self.space.whole, self.tasks, choose)

    def _draw_numbers(self, count: int, rng: np.random.Generator) -> Floats:
        numbers = rng.random((count, len(self.nodes)))
        return np.where(self.options > 0, np.floor(numbers * self.options), numbers)


def _reflected(numbers: Floats) -> Floats:
    """Numbers just outside [0, 1], reflected at its bounds."""
    below_one = np.where(numbers > 1, 2 - numbers, numbers)
    return np.clip(np.where(numbers < 0, -numbers, below_one), 0, 1)
