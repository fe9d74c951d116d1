"""Encodes configurations of a conditional space as rows of numbers, for our own samplers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.records import Scalar
from bench.search import tree as trees
from bench.search.nodes import Floats, Int, Leaf, Switch
from bench.search.space import Space


class Encoding:
    """A column for each parameter of a space, in any branch.

    Numbers lie in [0, 1] on their own scale (logarithmic where they are searched so); options are numbered from 0.
    A parameter that a configuration does not have is NaN.

    Attributes:
        nodes: what each column is of, by name.
        names: of the columns.
        options: how many options each column's parameter has, 0 for a number.
    """

    def __init__(self, space: Space, tasks: Sequence[str]) -> None:
        self.nodes = {name: node for name, node, _ in trees.leaves(space.tree, tasks)}
        self.names = tuple(self.nodes)
        self.column = {name: column for column, name in enumerate(self.names)}
        self.options = np.array([len(node.options) for node in self.nodes.values()], dtype=np.int64)

    def rows(self, configurations: Sequence[Mapping[str, Scalar]]) -> Floats:
        """Configurations as rows: (N, columns). Names that are no parameters are passed over."""
        rows = np.full((len(configurations), len(self.names)), np.nan)
        for row, configuration in zip(rows, configurations, strict=True):
            for name, value in configuration.items():
                if name in self.nodes:
                    row[self.column[name]] = self.nodes[name].encode(value)
        return rows

    def snap(self, rows: Floats) -> Floats:
        """Rows with every whole number's column at the nearest whole number; in place."""
        for column, node in enumerate(self.nodes.values()):
            if isinstance(node, Int):
                rows[:, column] = node.snap(rows[:, column])
        return rows


STEP = 0.1
"""Standard deviation of a number's small change, on [0, 1]."""
FAR = 0.25
"""The share of a number's changes that are a new draw."""


class Shape:
    """Makes rows that are configurations of a space, many at a time.

    A row is made by giving every column a number and taking away what its branches do not have; so no branch needs a
    rule of its own, and a parameter that branches share is passed from one to another.
    """

    def __init__(self, space: Space, tasks: Sequence[str]) -> None:
        self.space, self.tasks = space, tuple(tasks)
        self.encoding = Encoding(space, tasks)
        column = self.encoding.column
        self._ways: list[list[list[tuple[int, float]]]] = [[] for _ in column]
        for name, _, path in trees.leaves(space.tree, tasks):
            way = [(column[switch], self.encoding.nodes[switch].encode(branch)) for switch, branch in path]
            self._ways[column[name]].append(way)

    def complete(self, rows: Floats, rng: np.random.Generator, pinned: Mapping[str, Scalar] | None = None) -> Floats:
        """Rows with what their branches have and nothing else: (N, columns). Missing numbers are drawn; in place."""
        drawn = self._anything(len(rows), rng)
        given = self.encoding.rows([pinned or {}])[0]
        for column in range(rows.shape[1]):
            numbers = rows[:, column]
            if not np.isnan(given[column]):
                numbers[:] = given[column]
            missing = np.isnan(numbers)
            numbers[missing] = drawn[missing, column]
            numbers[~self._there(column, rows)] = np.nan
        return self.encoding.snap(rows)

    def _there(self, column: int, rows: Floats) -> NDArray[np.bool_]:
        """Whether rows whose earlier columns are complete have this one: (N,)."""
        there = np.zeros(len(rows), dtype=bool)
        for way in self._ways[column]:
            there |= np.all([rows[:, switch] == option for switch, option in way], axis=0) if way else True
        return there

    def draw(self, count: int, rng: np.random.Generator, pinned: Mapping[str, Scalar] | None = None) -> Floats:
        """Random configurations: (count, columns)."""
        return self.complete(np.full((count, len(self.encoding.names)), np.nan), rng, pinned)

    def vary(
        self, rows: Floats, rate: float, rng: np.random.Generator, pinned: Mapping[str, Scalar] | None = None
    ) -> Floats:
        """Neighbours of rows: each column changes at a rate, at least one does; numbers mostly by a little."""
        varied = rows.copy()
        change = rng.random(rows.shape) < rate
        present = ~np.isnan(rows)
        sure = np.argmax(np.where(present, rng.random(rows.shape), -1.0), axis=1)
        change[np.arange(len(rows)), sure] = True
        anew = self._anything(len(rows), rng)
        near = rows + rng.normal(0, STEP, rows.shape)
        near = np.clip(np.where(near < 0, -near, np.where(near > 1, 2 - near, near)), 0, 1)
        far = (self.encoding.options > 0) | (rng.random(rows.shape) < FAR)
        change &= present
        varied[change] = np.where(far, anew, near)[change]
        return self.complete(varied, rng, pinned)

    def cross(
        self, first: Floats, second: Floats, rng: np.random.Generator, pinned: Mapping[str, Scalar] | None = None
    ) -> Floats:
        """Children of pairs: each column that both have from either; what only one has, from that one."""
        children = np.where(rng.random(first.shape) < 0.5, first, second)
        children = np.where(np.isnan(children), np.where(np.isnan(first), second, first), children)
        return self.complete(children, rng, pinned)

    def config(self, row: Floats, pinned: Mapping[str, Scalar] | None = None) -> dict[str, Scalar]:
        """The searched parameters that a row stands for."""
        given, number = pinned or {}, dict(zip(self.encoding.names, row, strict=True))

        def choose(name: str, node: Leaf | Switch) -> Scalar:
            return given[name] if name in given else node.decode(number[name])

        return trees.searched(self.space.tree, self.tasks, choose)

    def _anything(self, count: int, rng: np.random.Generator) -> Floats:
        numbers = rng.random((count, len(self.encoding.names)))
        options = self.encoding.options
        return np.where(options > 0, np.floor(numbers * options), numbers)
