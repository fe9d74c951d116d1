"""Areas under the ROC curve: over all rows, and within groups (GAUC), weighted by rows or by positives."""

from __future__ import annotations

import numpy as np

from bench.measure.heads.base import Floats, Observed, Ordered, Weighted
from bench.measure.outcomes import Measure
from bench.schema import Task


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


def _within(name: str) -> Ordered:
    def make(rows: Observed) -> Weighted:
        labels = rows.labels[:, None]

        def measure(weights: Floats) -> float:
            found = Measure((Task("all"),), (f"all.{name}",), labels, rows.group, "", weights=weights)
            return float(found.values(rows.predictions)[0])

        return measure

    return Ordered(make)


auc = Ordered(_area)
gauc = _within("gauc")
gauc_positives = _within("gauc_positives")
