"""Whether values are in the order of their labels: Spearman correlation, and the share of pairs in order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.intrinsics import jit
from bench.measure.heads.base import Ordered


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


@jit()
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


spearman = Ordered(lambda rows: Places(rows.labels, rows.predictions).spearman)
xauc = Ordered(lambda rows: Pairs(rows.labels, rows.predictions).xauc)
