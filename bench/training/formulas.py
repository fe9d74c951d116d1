"""The formulas of metrics, where a row of weight w stands for w equal rows.

`bench.training.metrics` takes binary tasks without weights from sorted keys, many times faster; tests hold both equal.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.outcomes.measure import Measure
from bench.schema import Task, TaskKind

AREAS = ("auc", "gauc", "gauc_positives")
ECE_BINS = 15
LEAST = float(np.finfo(np.float32).eps)
"""Probabilities are this far from 0 and 1 under a logarithm."""
TENTHS = 10
Floats = NDArray[np.float64]


def metrics_of(
    kind: TaskKind, labels: NDArray[Any], predictions: NDArray[Any], group: NDArray[Any], weights: NDArray[Any]
) -> dict[str, float]:
    """Every metric of rows (N,) of which none is NaN; NaN where they do not define one."""
    y, p, w = (array.astype(np.float64) for array in (labels, predictions, weights))
    if kind == "regression":
        found = {"rmse": float(np.sqrt(w @ (p - y) ** 2 / w.sum())), "mae": float(w @ np.abs(p - y) / w.sum())}
        found |= {"xauc": Pairs(y, p).xauc(w), "decile_error": Deciles(y, p, w).error(w)}
        return found | {"spearman": Places(y, p).spearman(w)}
    loss = -np.log(np.clip(np.where(y != 0, p, 1 - p), LEAST, 1 - LEAST)) @ w
    measure = Measure((Task("all"),), [f"all.{name}" for name in AREAS], labels[:, None], group, "", weights=w)
    return {
        **dict(zip(AREAS, measure.values(p).tolist(), strict=True)),
        **of_sums(w.sum(), y @ w, p @ w, loss),
        "ece": Deciles(y, p, w, ECE_BINS).distance(w) / float(w.sum()),
    }


def of_sums(rows: Any, positives: Any, predictions: Any, loss: Any) -> dict[str, Any]:
    """Metrics of a binary task that need only sums over rows: of 1, labels, predictions and log losses.

    Each is a NumPy float or an array; a metric is not finite where the rows do not define it.
    """
    with np.errstate(all="ignore"):
        rate, mean = positives / rows, loss / rows
        entropy = -(rate * np.log(rate) + (1 - rate) * np.log1p(-rate))
        return {"logloss": mean, "ne": mean / entropy, "pcoc": predictions / positives}


class Deciles:
    """Tenths of equal weight; rows of equal predictions share one, so there may be fewer.

    Args:
        labels, predictions: (N,), at least one and none NaN.
        weights: (N,), by which rows are parted; None for equal ones.
        parts: other than tenths.
    """

    def __init__(
        self,
        labels: NDArray[Any],
        predictions: NDArray[Any],
        weights: NDArray[Any] | None = None,
        parts: int = TENTHS,
    ) -> None:
        of_rows = np.ones(len(labels)) if weights is None else weights.astype(np.float64)
        self._order = np.argsort(predictions, kind="stable")
        self._labels, self._predictions = (each.astype(np.float64)[self._order] for each in (labels, predictions))
        runs = np.flatnonzero(np.r_[True, self._predictions[1:] != self._predictions[:-1]])
        mass = np.add.reduceat(of_rows[self._order], runs)
        after = np.cumsum(mass)
        cut = np.ceil(parts * (after - mass) / after[-1])  # the first that is not before the run
        begins = (cut < parts) & (cut * after[-1] < parts * after)
        begins[0] = True
        self._starts = runs[begins]

    def table(self, weights: NDArray[Any]) -> Floats:
        """(n, 3): weight, mean prediction and mean label of each tenth, where rows weigh so (N,)."""
        own = weights.astype(np.float64)[self._order]
        sums = [np.add.reduceat(own * each, self._starts) for each in (1.0, self._predictions, self._labels)]
        with np.errstate(all="ignore"):
            return np.stack([sums[0], sums[1] / sums[0], sums[2] / sums[0]], axis=1)

    def distance(self, weights: NDArray[Any]) -> float:
        """Sum over tenths of |sum of predictions - sum of labels|, where rows weigh so (N,)."""
        own = weights.astype(np.float64)[self._order]
        return float(np.abs(np.add.reduceat(own * (self._predictions - self._labels), self._starts)).sum())

    def error(self, weights: NDArray[Any]) -> float:
        """`distance`, over the sum of |labels|; NaN where that is 0."""
        whole = float(weights.astype(np.float64)[self._order] @ np.abs(self._labels))
        return self.distance(weights) / whole if whole > 0 else np.nan


class Pairs:
    """Pairs of rows whose labels (N,) differ, and whether predictions (N,) put them in their order."""

    def __init__(self, labels: NDArray[Any], predictions: NDArray[Any]) -> None:
        self._order = np.argsort(labels, kind="stable")
        new = np.flatnonzero(np.diff(labels[self._order], prepend=np.nan) != 0)
        self._starts = np.append(new, len(labels))
        self._places = np.unique(predictions, return_inverse=True)[1][self._order]

    def xauc(self, weights: NDArray[np.float64]) -> float:
        """The share that is in order (Zhan et al., KDD 2022), equal predictions being half so; NaN without a pair.

        Args:
            weights: (N,), how often each row counts.
        """
        won, pairs = _ordered(self._starts, self._places, weights[self._order])
        return won / pairs if pairs else float("nan")


class Places:
    """Places of labels (N,) and of predictions (N,), each in their own order; equal values share the middle one."""

    def __init__(self, labels: NDArray[Any], predictions: NDArray[Any]) -> None:
        self._places = [np.unique(values, return_inverse=True)[1] for values in (labels, predictions)]

    def spearman(self, weights: NDArray[np.float64]) -> float:
        """The correlation of both; NaN where one does not vary.

        Args:
            weights: (N,), how often each row counts.
        """
        centred = []
        for at in self._places:
            mass = np.bincount(at, weights)
            if np.count_nonzero(mass) < 2:
                return float("nan")
            ranks = (np.cumsum(mass) - mass / 2)[at]
            centred.append(ranks - weights @ ranks / weights.sum())
        first, second = centred
        return float(weights @ (first * second) / np.sqrt((weights @ first**2) * (weights @ second**2)))


@njit(cache=True, nogil=True)
def _ordered(starts: NDArray[np.int64], places: NDArray[np.int64], weights: NDArray[np.float64]) -> tuple[float, float]:
    """Pairs in their order, and all pairs; sums of the weights of smaller labels are in a binary indexed tree."""
    tree, before, won, pairs = np.zeros(places.max() + 2 if len(places) else 1), 0.0, 0.0, 0.0
    own = np.zeros(len(tree))
    for tie in range(len(starts) - 1):
        here = 0.0
        for row in range(starts[tie], starts[tie + 1]):
            below, at = 0.0, places[row]
            while at > 0:
                below += tree[at]
                at -= at & -at
            won += weights[row] * (below + own[places[row]] / 2)
            here += weights[row]
        pairs += here * before
        before += here
        for row in range(starts[tie], starts[tie + 1]):
            own[places[row]] += weights[row]
            at = places[row] + 1
            while at < len(tree):
                tree[at] += weights[row]
                at += at & -at
    return won, pairs
