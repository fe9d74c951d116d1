"""The shape of a conditional space that is known by its configurations alone: which parameters exist under what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeClassifier

from bench.records import Scalar
from bench.search.encoding import Floats
from bench.search.nodes import Choice, Float, Int
from bench.search.shape import Shape
from bench.search.space import Space

ABSENT = -1.0


class LearntShape(Shape):
    """Configurations as those seen, under any parameter that some of them lack.

    A parameter that only some have depends on options and whole numbers that were chosen before it. On which, is read
    off by a classification tree (Breiman et al., 1984), which finds nested conditions, a layer that exists from a
    number of layers on, and a parameter that several branches share. Conditions on other numbers are not looked for.

    Args:
        leaves: every parameter by name, in an order in which it can be chosen.
        seen: configurations.
    """

    def __init__(self, leaves: Mapping[str, Int | Float | Choice], seen: Sequence[Mapping[str, Scalar]]) -> None:
        super().__init__(Space("learnt", "trials", dict(leaves)), ())
        rows = self.encoding.rows(seen)
        discrete = [not isinstance(leaf, Float) for leaf in leaves.values()]
        self._conditions: list[tuple[NDArray[np.int64], DecisionTreeClassifier] | None] = []
        for column in range(len(leaves)):
            there = ~np.isnan(rows[:, column])
            earlier = np.flatnonzero(discrete[:column])
            if there.all() or not there.any() or not len(earlier):
                self._conditions.append(None)
                continue
            tree = DecisionTreeClassifier(random_state=0).fit(self._features(rows, earlier), there)
            self._conditions.append((earlier, tree))

    def config(self, row: Floats, pinned: Mapping[str, Scalar] | None = None) -> dict[str, Scalar]:
        """The parameters that a row stands for."""
        given = pinned or {}
        return {
            name: given[name] if name in given else self.encoding.nodes[name].decode(number)
            for name, number in zip(self.encoding.names, row.tolist(), strict=True)
            if number == number  # not NaN
        }

    def _there(self, column: int, rows: Floats) -> NDArray[np.bool_]:
        condition = self._conditions[column]
        if condition is None:
            return np.ones(len(rows), dtype=bool)
        earlier, tree = condition
        return np.asarray(tree.predict(self._features(rows, earlier)))

    def _features(self, rows: Floats, columns: NDArray[np.int64]) -> Floats:
        """A number's column, or one for each option of a choice: options have no order."""
        found = []
        for column in columns:
            options, numbers = self.encoding.options[column], rows[:, column, None]
            found.append(numbers == np.arange(options) if options else np.nan_to_num(numbers, nan=ABSENT))
        return np.concatenate(found, axis=1, dtype=np.float64)
