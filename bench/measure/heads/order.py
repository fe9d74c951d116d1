"""Whether values are in the order of their labels: Spearman correlation, and the share of pairs in
order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.system.intrinsics import jit
from bench.measure.heads.base import Ordered, Weighted
from bench.measure.spaces import Observed


def _pairs(rows: Observed) -> Weighted:
    """The share of pairs whose labels differ that is in order (Zhan et al., KDD 2022), equal
    predictions being half so.

    NaN without a pair.
    """
    order = np.argsort(rows.labels, kind="stable")
    new = np.flatnonzero(np.diff(rows.labels[order], prepend=np.nan) != 0)
    starts = np.append(new, len(order))
    places = np.unique(rows.predictions, return_inverse=True)[1][order]

    def measure(weights: Floats) -> float:
        won, pairs = _ordered(starts, places, weights[order])
        return won / pairs if pairs else float("nan")

    return measure


def _correlation(rows: Observed) -> Weighted:
    """Of the places of labels and predictions, each in their own order; equal values share the
    middle one.

    NaN where one does not vary.
    """
    places = [
        np.unique(values, return_inverse=True)[1] for values in (rows.labels, rows.predictions)
    ]

    def measure(weights: Floats) -> float:
        centred = []
        for at in places:
            mass = np.bincount(at, weights)
            if np.count_nonzero(mass) < 2:
                return float("nan")
            ranks = (np.cumsum(mass) - mass / 2)[at]
            centred.append(ranks - weights @ ranks / weights.sum())
        first, second = centred
        return float(
            weights @ (first * second) / np.sqrt((weights @ first**2) * (weights @ second**2))
        )

    return measure


@jit()
def _ordered(
    starts: NDArray[np.int64], places: NDArray[np.int64], weights: NDArray[np.float64]
) -> tuple[float, float]:
    """Pairs in their order, and all pairs; sums of the weights of smaller labels are in a binary
    indexed tree.
    """
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


spearman = Ordered(_correlation)
xauc = Ordered(_pairs)
