"""Whether predictions order rows as their labels do: areas under the ROC curve over all rows and
within groups (GAUC, weighted by rows or by positives), Spearman correlation, and the share of pairs
in order.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bench.core.arrays import Floats, Ints
from bench.core.schema import Task
from bench.core.system.intrinsics import jit
from bench.measure.heads.base import Ordered, Weighted
from bench.measure.outcomes import Measure
from bench.measure.spaces import Labelled, Observed


def _area(rows: Observed) -> Weighted:
    """Ties count one half."""
    positive = rows.labels > 0
    _, rank = np.unique(rows.predictions, return_inverse=True)
    ranks = int(rank.max(initial=0)) + 1

    def measure(weights: Floats) -> float:
        positives = np.bincount(rank, weights * positive, ranks)
        negatives = np.bincount(rank, weights * ~positive, ranks)
        pairs = positives.sum() * negatives.sum()
        if not pairs:
            return np.nan
        negatives_below = np.cumsum(negatives) - negatives / 2
        return float(positives @ negatives_below / pairs)

    return measure


class _WithinGroups:
    """Both areas within groups: groups are ranked once for both."""

    def __init__(self, rows: Observed) -> None:
        self._rows = Labelled(rows.labels, rows.group)
        self._scores = rows.predictions
        self._weights = np.empty(0)
        self._areas = np.empty(0)

    def areas(self, weights: Floats) -> Floats:
        """(2,): the mean by rows and by positives, for weights of rows (N,)."""
        if not np.array_equal(weights, self._weights):
            rows = replace(self._rows, weights=weights)
            measure = Measure((Task("all"),), ("all.gauc", "all.gauc_positives"), rows)
            self._weights = weights.copy()
            self._areas = measure.values(self._scores)[0]
        return self._areas


def _within_groups(index: int) -> Ordered:
    def make(rows: Observed) -> Weighted:
        groups: _WithinGroups = rows.shared.setdefault("within groups", _WithinGroups(rows))
        return lambda weights: float(groups.areas(weights)[index])

    return Ordered(make)


def _pairs(rows: Observed) -> Weighted:
    """The share of pairs whose labels differ that is in order (Zhan et al., KDD 2022); a pair of
    equal predictions counts one half.

    NaN without a pair.
    """
    order = np.argsort(rows.labels, kind="stable")
    starts = np.flatnonzero(np.diff(rows.labels[order], prepend=np.nan) != 0)
    starts = np.append(starts, len(order))
    _, ranks = np.unique(rows.predictions, return_inverse=True)
    ranks_by_label = ranks[order]

    def measure(weights: Floats) -> float:
        won, pairs = _pairs_in_order(starts, ranks_by_label, weights[order])
        if not pairs:
            return np.nan
        return float(won / pairs)

    return measure


def _correlation(rows: Observed) -> Weighted:
    """Of the ranks of labels and of predictions; equal values share the middle one.

    NaN where one does not vary.
    """
    _, of_label = np.unique(rows.labels, return_inverse=True)
    _, of_prediction = np.unique(rows.predictions, return_inverse=True)

    def measure(weights: Floats) -> float:
        labels = _centred_ranks(of_label, weights)
        predictions = _centred_ranks(of_prediction, weights)
        if labels is None or predictions is None:
            return float("nan")
        covariance = weights @ (labels * predictions)
        variances = (weights @ labels**2) * (weights @ predictions**2)
        return float(covariance / np.sqrt(variances))

    return measure


def _centred_ranks(places: Ints, weights: Floats) -> Floats | None:
    """(N,) weighted mid-ranks minus their mean; None where only one place has weight."""
    mass = np.bincount(places, weights)
    if np.count_nonzero(mass) < 2:
        return None
    mid_ranks = np.cumsum(mass) - mass / 2
    ranks: Floats = mid_ranks[places]
    mean = weights @ ranks / weights.sum()
    return np.asarray(ranks - mean)


@jit()
def _pairs_in_order(starts: Ints, ranks: Ints, weights: Floats) -> tuple[float, float]:
    """Pairs in their order, and all pairs; sums of the weights of smaller labels are in a binary
    indexed tree.

    Args:
        starts: where each run of equal labels begins, and the end.
        ranks: of the predictions, by ascending label.
    """
    tree = np.zeros(ranks.max() + 2 if len(ranks) else 1)
    before = 0.0
    won = 0.0
    pairs = 0.0
    weight_at_rank = np.zeros(len(tree))
    for tie in range(len(starts) - 1):
        here = 0.0
        for row in range(starts[tie], starts[tie + 1]):
            below = 0.0
            node = ranks[row]
            while node > 0:
                below += tree[node]
                node -= node & -node
            won += weights[row] * (below + weight_at_rank[ranks[row]] / 2)
            here += weights[row]
        pairs += here * before
        before += here
        for row in range(starts[tie], starts[tie + 1]):
            weight_at_rank[ranks[row]] += weights[row]
            node = ranks[row] + 1
            while node < len(tree):
                tree[node] += weights[row]
                node += node & -node
    return won, pairs


auc = Ordered(_area)
gauc = _within_groups(0)
gauc_positives = _within_groups(1)
spearman = Ordered(_correlation)
xauc = Ordered(_pairs)
