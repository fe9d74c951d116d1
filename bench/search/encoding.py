"""Configurations of a conditional space as rows of numbers, for samplers of our own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.records import Scalar
from bench.search import tree as trees
from bench.search.nodes import Floats, Int
from bench.search.space import Space

__all__ = ["Encoding", "Floats"]


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
