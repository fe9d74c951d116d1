"""Metrics where a row of weight w stands for w equal rows; with weights of 1 those of `bench.training.metrics`.

A weight does not fit into the keys by which rows without weights are sorted, so rows are held: 16 bytes each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.outcomes.measure import Measure
from bench.schema import Task, TaskKind
from bench.training.deciles import Deciles
from bench.training.ranking import ECE_BINS, LEAST, Pairs

Floats = NDArray[np.float64]


class WeightedTally:
    """Metrics of one task on one sample space; rows whose label is NaN, or whose weight is 0, do not count.

    Args:
        outcomes: of the ranking by these predictions, to measure in place of the metrics.
    """

    def __init__(self, task: Task, outcomes: Sequence[str] = ()) -> None:
        self._task, self._outcomes = task, tuple(outcomes)
        self._rows: list[tuple[NDArray[Any], ...]] = []
        self._by_group = False

    def add(self, labels: NDArray[Any], predictions: NDArray[Any], group: NDArray[Any], weights: NDArray[Any]) -> None:
        """Counts rows in, each (N,); predictions of probabilities are taken as float32."""
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
        return found | {"spearman": _spearman(y, p, w) if np.ptp(y) > 0 and np.ptp(p) > 0 else np.nan}
    up, down = np.where(y != 0, w, 0), np.where(y != 0, 0, w)
    rate, loss = up.sum() / w.sum(), -np.log(np.clip(np.where(y != 0, p, 1 - p), LEAST, 1 - LEAST)) @ w / w.sum()
    inside = group >= 0
    area = _areas(p, up, down, np.zeros(len(p), np.int64))[0]
    areas, masses, of_positives = _areas(p[inside], up[inside], down[inside], group[inside])
    with np.errstate(all="ignore"):
        return {
            "auc": float(area[0]) if len(area) else np.nan,
            "gauc": float(areas @ masses / masses.sum()),
            "gauc_positives": float(areas @ of_positives / of_positives.sum()),
            "logloss": float(loss),
            "ne": float(loss / -(rate * np.log(rate) + (1 - rate) * np.log1p(-rate))),
            "pcoc": float(p @ w / up.sum()),
            "ece": _distance(p, up, down) / float(w.sum()),
        }


def _areas(p: Floats, up: Floats, down: Floats, group: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
    """Of each group with both classes the area under the curve, its weight and that of its positives."""
    if not len(p):
        return np.empty(0), np.empty(0), np.empty(0)
    order = np.lexsort((p, group))
    p, up, down, group = p[order], up[order], down[order], group[order]
    runs = np.flatnonzero(np.r_[True, (p[1:] != p[:-1]) | (group[1:] != group[:-1])])
    up, down, group = np.add.reduceat(up, runs), np.add.reduceat(down, runs), group[runs]
    firsts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    sizes = np.diff(np.append(firsts, len(group)))
    before = np.cumsum(down) - down
    before -= np.repeat(before[firsts], sizes)
    won = np.add.reduceat(up * (before + down / 2), firsts)
    positives, negatives = np.add.reduceat(up, firsts), np.add.reduceat(down, firsts)
    both = (positives > 0) & (negatives > 0)
    positives, negatives = positives[both], negatives[both]
    return won[both] / (positives * negatives), positives + negatives, positives


def _distance(p: Floats, up: Floats, down: Floats) -> float:
    """Sum over bins of equal weight of |sum of predictions - sum of labels|; equal predictions share a bin."""
    order = np.argsort(p, kind="stable")
    runs = np.flatnonzero(np.r_[True, np.diff(p[order]) != 0])
    mass, above = np.add.reduceat((up + down)[order], runs), np.add.reduceat(up[order], runs)
    after = np.cumsum(mass)
    cut = np.ceil(ECE_BINS * (after - mass) / after[-1])  # the first that is not before the run
    begins = (cut < ECE_BINS) & (cut * after[-1] < ECE_BINS * after)
    begins[0] = True
    excess = np.add.reduceat(mass * p[order][runs] - above, np.flatnonzero(begins))
    return float(np.abs(excess).sum())


def _spearman(labels: Floats, predictions: Floats, weights: Floats) -> float:
    """The correlation of weighted mid-ranks."""
    ranks = [_ranks(values, weights) for values in (labels, predictions)]
    first, second = (each - each @ weights / weights.sum() for each in ranks)
    with np.errstate(all="ignore"):
        return float(weights @ (first * second) / np.sqrt((weights @ first**2) * (weights @ second**2)))


def _ranks(values: Floats, weights: Floats) -> Floats:
    _, at = np.unique(values, return_inverse=True)
    mass = np.bincount(at, weights)
    return np.asarray((np.cumsum(mass) - mass / 2)[at])
