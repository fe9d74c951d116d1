"""Metrics from rows that are held, 16 bytes each, where a row of weight w stands for w equal rows.

With weights of 1 those of `bench.training.metrics`, whose sorted keys have no place for a weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.outcomes.measure import Measure
from bench.schema import Task, TaskKind
from bench.training.deciles import Deciles
from bench.training.ranking import ECE_BINS, LEAST, Pairs, Ranks

AREAS = ("auc", "gauc", "gauc_positives")


class HeldTally:
    """Metrics of one task on one sample space; rows whose label is NaN, or whose weight is 0, do not count.

    Args:
        outcomes: of the ranking by these predictions, to measure in place of the metrics.
    """

    def __init__(self, task: Task, outcomes: Sequence[str] = ()) -> None:
        self._task, self._outcomes = task, tuple(outcomes)
        self._rows: list[tuple[NDArray[Any], ...]] = []
        self._by_group = False

    def add(self, labels: NDArray[Any], predictions: NDArray[Any], group: NDArray[Any], weights: NDArray[Any]) -> None:
        """Counts rows in, each (N,), as float32."""
        self._by_group = self._by_group or bool((group >= 0).any())
        seen = ~np.isnan(labels) & (weights > 0)
        kept = (labels[seen].astype(np.float32), predictions[seen].astype(np.float32), group[seen])
        self._rows.append((*kept, weights[seen].astype(np.float32)))

    def result(self) -> dict[str, float]:
        """Metrics, or outcomes, by name; those that the rows do not define are left out."""
        if not sum(len(rows[0]) for rows in self._rows):
            return {}
        labels, predictions, group, weights = (np.concatenate(column) for column in zip(*self._rows, strict=True))
        if self._outcomes:
            about = (self._task,), self._outcomes, labels[:, None], group, ""
            values = Measure(*about, grouped=self._by_group, weights=weights).values(predictions)
            found = dict(zip(self._outcomes, values.tolist(), strict=True))
        else:
            found = metrics_of(self._task.kind, labels, predictions, group, weights)
        return {name: value for name, value in found.items() if np.isfinite(value)}


def metrics_of(
    kind: TaskKind, labels: NDArray[Any], predictions: NDArray[Any], group: NDArray[Any], weights: NDArray[Any]
) -> dict[str, float]:
    """Every metric of rows (N,) of which none is NaN; NaN where they do not define one."""
    y, p, w = (array.astype(np.float64) for array in (labels, predictions, weights))
    if kind == "regression":
        found = {"rmse": float(np.sqrt(w @ (p - y) ** 2 / w.sum())), "mae": float(w @ np.abs(p - y) / w.sum())}
        found |= {"xauc": Pairs(y, p).xauc(w), "decile_error": Deciles(y, p, w).error(w)}
        return found | {"spearman": Ranks(y, p).spearman(w)}
    loss = -np.log(np.clip(np.where(y != 0, p, 1 - p), LEAST, 1 - LEAST)) @ w
    measure = Measure((Task("all"),), [f"all.{name}" for name in AREAS], labels[:, None], group, "", weights=w)
    return {
        **dict(zip(AREAS, measure.values(p).tolist(), strict=True)),
        **of_sums(w.sum(), y @ w, p @ w, loss),
        "ece": Deciles(y, p, w, ECE_BINS).distance(w) / float(w.sum()),
    }


def of_sums(rows: Any, positives: Any, predictions: Any, loss: Any) -> dict[str, Any]:
    """Metrics of a binary task that need only sums over rows: of 1, labels, predictions and log losses.

    Each is a number of numpy or an array; a metric is not finite where the rows do not define it.
    """
    with np.errstate(all="ignore"):
        rate, mean = positives / rows, loss / rows
        entropy = -(rate * np.log(rate) + (1 - rate) * np.log1p(-rate))
        return {"logloss": mean, "ne": mean / entropy, "pcoc": predictions / positives}
