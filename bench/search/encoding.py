"""Configurations of a conditional space as rows of numbers, for samplers of our own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.records import Scalar
from bench.search import tree as trees
from bench.search.nodes import Choice, Float, Int, Leaf, Switch
from bench.search.space import Space

Floats = NDArray[np.float64]


class Encoding:
    """A column for each parameter of a space, in any branch.

    Numbers lie in [0, 1] on their own scale (logarithmic where they are searched so); options are numbered from 0.
    A parameter that a configuration does not have is NaN.

    Attributes:
        names: of the columns.
        options: how many options each column's parameter has, 0 for a number.
    """

    def __init__(self, space: Space, tasks: Sequence[str]) -> None:
        self._nodes = {name: node for name, node, _ in trees.leaves(space.tree, tasks)}
        self.names = tuple(self._nodes)
        self.column = {name: column for column, name in enumerate(self.names)}
        self.options = np.array([len(_options(node)) for node in self._nodes.values()], dtype=np.int64)
        self._numbers = {
            name: {(type(option), option): float(number) for number, option in enumerate(_options(node))}
            for name, node in self._nodes.items()
        }

    def rows(self, configurations: Sequence[Mapping[str, Scalar]]) -> Floats:
        """Configurations as rows: (N, columns). Names that are no parameters are passed over."""
        rows = np.full((len(configurations), len(self.names)), np.nan)
        for row, configuration in zip(rows, configurations, strict=True):
            for name, value in configuration.items():
                if name in self._nodes:
                    row[self.column[name]] = self._encode(name, value)
        return rows

    def snap(self, rows: Floats) -> Floats:
        """Rows with every whole number's column at the nearest whole number; in place."""
        for column, node in enumerate(self._nodes.values()):
            if isinstance(node, Int):
                low, high = _bounds(node)
                value = low + rows[:, column] * (high - low)
                value = np.exp(value) if node.log else value
                value = node.low + node.step * np.round((value - node.low) / node.step)
                value = np.clip(value, node.low, node.high)
                rows[:, column] = ((np.log(value) if node.log else value) - low) / (high - low)
        return rows

    def _encode(self, name: str, value: Scalar) -> float:
        node = self._nodes[name]
        if isinstance(node, Choice | Switch):
            return self._numbers[name][type(value), value]
        assert isinstance(value, int | float)
        low, high = _bounds(node)
        return ((math.log(value) if node.log else value) - low) / (high - low) if high > low else 0.5

    def decode(self, name: str, number: float) -> Scalar:
        """The value that a number of the parameter's column stands for; the nearest where there is none."""
        return _decode(self._nodes[name], number)


def _options(node: Leaf | Switch) -> tuple[Scalar, ...]:
    match node:
        case Choice():
            return node.options
        case Switch():
            return tuple(node.branches)
    return ()


def _bounds(node: Int | Float) -> tuple[float, float]:
    # A whole number stands for the interval around it, so that both ends are as wide as the rest.
    half = node.step / 2 if isinstance(node, Int) else 0.0
    low, high = node.low - half, node.high + half
    return (math.log(low), math.log(high)) if node.log else (low, high)


def _decode(node: Leaf | Switch, number: float) -> Scalar:
    if isinstance(node, Choice | Switch):
        return _options(node)[int(number)]
    low, high = _bounds(node)
    value = low + number * (high - low)
    value = math.exp(value) if node.log else value
    if isinstance(node, Int):
        value = node.low + node.step * round((value - node.low) / node.step)
        return int(min(node.high, max(node.low, value)))
    return float(min(node.high, max(node.low, value)))
