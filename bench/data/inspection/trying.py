"""What columns tell of validation when learnt on train.

A column by itself: choices of its encoding are tried so. All inputs together: where they tell a label almost fully, one
of them is likely to be known only afterwards. A planned and an actual time tell a delay only together, and `leaks`
looks at each column by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.arrays import Floats
from bench.data.inspection.column import Counted
from bench.data.inspection.labels import Label, Labels
from bench.data.inspection.leaks import LEAST, SUSPECT, explained, group_auc, ranges_of
from bench.data.splits import TEST, TRAIN, VALID
from bench.machine import tree_threads

SMOOTHING = 20.0
"""Rows of the overall mean that are mixed into the mean of a cell."""
SHARE = 0.2
"""Of rows, drawn for trying where the split leaves no validation among those inspected."""
SURE = 0.0003
NOISE = 0.01
"""A difference between two encodings counts from SURE + NOISE / sqrt(labels of the rarer class in validation) on."""
NOISE_OF_VALUES = 0.05
"""What is added for single values, divided by the root of how many there are in validation."""

Mask = NDArray[np.bool_]


class Halves(NamedTuple):
    """Rows (N,) to learn on and to try on, with the labels of tasks that have enough of them on both sides."""

    learn: Mask
    tried: Mask
    labels: Labels


def halves_of(split: NDArray[np.int8], labels: Labels) -> Halves:
    """Train and the search's half of validation; where these are too few, two draws of train and validation."""
    learn, tried = split == TRAIN, split == VALID
    if any(label.fewest(rows) < LEAST for rows in (learn, tried) for label in labels.values()):
        drawn = np.random.default_rng(0).random(len(split)) < SHARE
        learn, tried = (split != TEST) & ~drawn, (split != TEST) & drawn
    enough = {name: min(map(label.fewest, (learn, tried))) >= LEAST for name, label in labels.items()}
    return Halves(learn, tried, {name: labels[name] for name in labels if enough[name]})


class Others:
    """What all inputs together, coarsely, say of each row: a sum of one effect for each column's cell.

    An encoding that tells much by itself may tell nothing that other columns do not (a price, of the shop it is from).
    """

    def __init__(self, halves: Halves) -> None:
        self.halves = halves
        self.said = {
            name: np.full(len(label.y), np.nanmean(label.y[halves.learn])) for name, label in halves.labels.items()
        }

    def add(self, cells: NDArray[np.int64]) -> None:
        """Adds a column's effects: what its cells (N,) tell of what is left over."""
        for name, label in self.halves.labels.items():
            learn = self.halves.learn & ~np.isnan(label.y)
            left = label.y[learn] - self.said[name][learn]
            rows = np.bincount(cells[learn], minlength=int(cells.max()) + 1)
            effect = np.bincount(cells[learn], left, len(rows)) / (rows + SMOOTHING)
            self.said[name] += effect[cells]


def counts_of(column: Counted, rows: Mask, weights: Floats | None = None) -> Floats:
    """(V + 1,) rows with each distinct value, and with none, or the sum of their weights."""
    weight = None if weights is None else weights[rows]
    return np.bincount(column.cells[rows], weight, len(column.counts) + 1).astype(np.float64)


class _Sums(NamedTuple):
    """One task: rows of train and what is left over of their labels, by distinct value (V + 1,); rows of validation."""

    rows: Floats
    left: Floats
    code: NDArray[np.int32]
    said: Floats
    y: Floats
    of: Label

    def score(self, cell: NDArray[np.int64]) -> float:
        effect = np.bincount(cell, self.left) / (np.bincount(cell, self.rows) + SMOOTHING)
        said, y = self.said + effect[cell[self.code]], self.y
        return max(group_auc(said, y, 1 - y) if self.of.binary else explained(y, said), self.of.chance)


class Trial:
    """One column on the halves: sums by distinct value, so that trying an encoding costs no pass over train."""

    def __init__(self, column: Counted, halves: Halves, others: Others) -> None:
        self.column, self.halves = column, halves
        self.learnt, self.there = (counts_of(column, rows) for rows in (halves.learn, halves.tried))
        none = Others(halves)
        self._alone = {name: self._sums(name, none) for name in halves.labels}
        self._beside = {name: self._sums(name, others) for name in halves.labels}

    def _sums(self, name: str, others: Others) -> _Sums:
        label, said = self.halves.labels[name], others.said[name]
        learn, tried = (rows & ~np.isnan(label.y) for rows in (self.halves.learn, self.halves.tried))
        left = counts_of(self.column, learn, label.y - said)
        return _Sums(counts_of(self.column, learn), left, self.column.codes[tried], said[tried], label.y[tried], label)

    def repeated(self, times: int) -> float:
        """Share of the rows tried whose value at least `times` rows of train have."""
        known, there = self.learnt[:-1] >= times, self.there[:-1]
        return float(there[known].sum() / max(self.there.sum(), 1))

    def common(self, ranges: int) -> float:
        """Share of train's rows whose range validation has rows of, too."""
        cell = self.cut(ranges)
        return float(self.learnt[np.bincount(cell, self.there)[cell] > 0].sum() / max(self.learnt.sum(), 1))

    def decides(self, ranges: int) -> bool:
        """Whether there is enough to tell codes from a quantity: values come again, and so do their ranges."""
        return bool(self.halves.labels) and self.repeated(2) >= 0.5 <= self.common(ranges)

    def cut(self, ranges: int) -> NDArray[np.int64]:
        """(V + 1,) the range of each distinct value; that of a missing one is the last."""
        return ranges_of(self.column, self.learnt[:-1], ranges)

    @property
    def single(self) -> NDArray[np.int64]:
        """(V + 1,) a cell for each distinct value."""
        return np.arange(len(self.learnt))

    def alone(self, cell: NDArray[np.int64]) -> dict[str, float]:
        """Task -> AUC (R2 of a number) on validation of a cell's mean label in train, smoothed; at least chance's.

        Args:
            cell: (V + 1,) of each distinct value, and of a missing one.
        """
        return {name: sums.score(cell) for name, sums in self._alone.items()}

    def beside(self, cell: NDArray[np.int64]) -> dict[str, float]:
        """The same of what the other inputs say and a cell adds to it."""
        return {name: sums.score(cell) for name, sums in self._beside.items()}

    def gain(self, scores: Mapping[str, float], over: Mapping[str, float]) -> str | None:
        """The task in which scores of single values are surely better than others; None where there is none, or loss.

        Rows of one value stand or fall together, so few values leave more to chance than few labels.
        """
        by_value = NOISE_OF_VALUES / np.sqrt(max(int((self.there[:-1] > 0).sum()), 1))
        rarer = {name: label.fewest(self.halves.tried) for name, label in self.halves.labels.items()}
        more = {name: (scores[name] - over[name]) / (SURE + NOISE / np.sqrt(rarer[name]) + by_value) for name in scores}
        if not more or sum(more.values()) <= 0:
            return None
        best = max(more, key=more.__getitem__)
        return best if more[best] > 2 else None


LEARN, TRY, RARER = 20_000, 10_000, 500
"""Rows on which trees are grown, and on which they are tried; and how many of each class of a task come on top."""
NAMED = 0.2
"""Part of what the trees tell beyond chance that must go without a column for it to be named."""


class Together:
    """Some rows of all inputs, for boosted trees."""

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
