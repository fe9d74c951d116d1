"""Areas under the ROC curve: over all rows, and within groups (GAUC), weighted by rows or by
positives.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bench.core.arrays import Floats
from bench.core.schema import Task
from bench.measure.heads.base import Ordered, Weighted
from bench.measure.labelled import Labelled
from bench.measure.outcomes import Measure
from bench.measure.spaces import Observed


def _area(rows: Observed) -> Weighted:
    """Ties count one half."""
    positive = rows.labels > 0
    _, rank = np.unique(rows.predictions, return_inverse=True)
    size = int(rank.max(initial=0)) + 1

    def measure(weights: Floats) -> float:
        up, down = (np.bincount(rank, weights * own, size) for own in (positive, ~positive))
        total = up.sum() * down.sum()
        return float(up @ (np.cumsum(down) - down / 2) / total) if total else np.nan

    return measure


class _Within:
    """Both areas within groups: groups are ranked once for both."""

    def __init__(self, rows: Observed) -> None:
        self._rows, self._scores = Labelled(rows.labels, rows.group), rows.predictions
        self._weights, self._areas = np.empty(0), np.empty(0)

    def areas(self, weights: Floats) -> Floats:
        """(2,): the mean by rows and by positives, for weights of rows (N,)."""
        if not np.array_equal(weights, self._weights):
            rows = replace(self._rows, weights=weights)
            measure = Measure((Task("all"),), ("all.gauc", "all.gauc_positives"), rows)
            self._weights, self._areas = weights.copy(), measure.values(self._scores)[0]
        return self._areas


def _within(at: int) -> Ordered:
    def make(rows: Observed) -> Weighted:
        both: _Within = rows.shared.setdefault("within groups", _Within(rows))
        return lambda weights: float(both.areas(weights)[at])

    return Ordered(make)


auc = Ordered(_area)
gauc = _within(0)
gauc_positives = _within(1)
