"""Labels that the inputs tell together: one of these is then likely to be known only afterwards.

`leaks` looks at each column by itself. A planned and an actual time tell a delay only together.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from bench.data.inspection.column import Counted
from bench.data.inspection.labels import Floats, Label
from bench.data.inspection.leaks import SUSPECT, explained, group_auc
from bench.data.inspection.trying import Halves, Mask
from bench.machine import tree_threads

LEARN, TRY, RARER = 20_000, 10_000, 500
"""Rows on which trees are grown, and on which they are tried; and how many of each class of a task come on top."""
NAMED = 0.2
"""Part of what the trees tell beyond chance that must go without a column for it to be named."""


class Together:
    """Some rows of all inputs, for boosted trees.

    Args:
        halves: where to learn and to try, with the labels that have enough rows on both sides.
    """

    def __init__(self, halves: Halves) -> None:
        self._labels, self._rng = halves.labels, np.random.default_rng(0)
        self._learn, self._try = self._drawn(halves.learn, LEARN), self._drawn(halves.tried, TRY)
        self._columns: dict[str, tuple[Floats, Floats]] = {}

    def _drawn(self, of: Mask, most: int) -> NDArray[np.int64]:
        """Random rows, and more of a task's rarer class: AUC does not depend on how many there are of each."""
        order = self._rng.permutation(np.flatnonzero(of))
        binary = [label.y[order] for label in self._labels.values() if label.binary]
        more = [order[y == value][:RARER] for y in binary for value in (0, 1)]
        return np.unique(np.concatenate([order[:most], *more]))

    def add(self, column: Counted) -> None:
        """An input: its numbers, or the codes of its values."""
        values = column.codes.astype(np.float64) if column.numbers is None else column.of_rows
        self._columns[column.name] = values[self._learn], values[self._try]

    def notes(self, inputs: Collection[str]) -> dict[str, str]:
        """Task -> what the inputs of these names tell of it, and which of them; of suspicious tasks alone."""
        columns = {name: values for name, values in self._columns.items() if name in inputs}
        if not columns:
            return {}
        learn, tried = (np.column_stack(each) for each in zip(*columns.values(), strict=True))
        with tree_threads(1):  # threads that wait for each other cost more than they gain on so few rows
            found = {name: self._note(label, list(columns), learn, tried) for name, label in self._labels.items()}
        return {task: note for task, note in found.items() if note is not None}

    def _note(self, label: Label, names: list[str], learn: Floats, tried: Floats) -> str | None:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        kind = HistGradientBoostingClassifier if label.binary else HistGradientBoostingRegressor
        y, then = label.y[self._learn], label.y[self._try]
        seen, known = ~np.isnan(y), ~np.isnan(then)
        trees = kind(learning_rate=0.2, max_iter=60, early_stopping=False, random_state=0).fit(learn[seen], y[seen])
        tried, then = tried[known], then[known]

        def score(rows: Floats) -> float:
            said: NDArray[np.float64] = trees.predict_proba(rows)[:, 1] if label.binary else trees.predict(rows)
            return group_auc(said, then, 1 - then) if label.binary else explained(then, said)

        if (whole := score(tried)) < SUSPECT:
            return None
        lost = {}
        for at, name in enumerate(names):
            mixed = tried.copy()
            mixed[:, at] = self._rng.permutation(mixed[:, at])
            lost[name] = whole - score(mixed)
        most = sorted(lost, key=lambda name: -lost[name])
        above = [name for name in most if lost[name] >= NAMED * (whole - label.chance)] or most[:1]
        return (
            f"the inputs together tell it almost fully ({label.measure} {whole:.4f} on validation, by boosted trees), "
            f"above all {' and '.join(map(repr, above[:3]))}; move what is known only afterwards to post_exposure"
        )
