"""Spearman correlation on resamples, of rows in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.outcomes.bootstrap import counts

Floats = NDArray[np.float64]
_TOGETHER = 4  # resamples whose counts are held at once


def spearman(
    labels: Floats,
    predictions: Floats,
    units: NDArray[np.uint64],
    split: str,
    resamples: int,
    of_rows: Floats | None = None,
) -> Floats:
    """(1 + resamples,): the correlation of weighted mid-ranks (N,), of all rows once and then on each resample.

    Args:
        of_rows: (N,), the rows' own weights; None for equal ones.
    """
    orders = [np.argsort(values, kind="stable") for values in (labels, predictions)]
    starts = [_starts(values[order]) for values, order in zip((labels, predictions), orders, strict=True)]
    weights: list[NDArray[Any]] = [np.ones(len(labels))]
    found = []
    for first in range(0, resamples + 1, _TOGETHER):
        for weight in weights:
            weight = weight if of_rows is None else weight * of_rows
            ranks = [_ranks(weight, order, start) for order, start in zip(orders, starts, strict=True)]
            found.append(_correlation(ranks[0], ranks[1], weight))
        if first < resamples:
            weights = list(counts(units, split, min(_TOGETHER, resamples - first), first).T.astype(float))
        else:
            weights = []
    return np.array(found)


def _starts(ordered: Floats) -> NDArray[np.int64]:
    return np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])


def weighted_spearman(labels: Floats, predictions: Floats, weights: Floats) -> float:
    """The correlation of weighted mid-ranks (N,)."""
    ranks = []
    for values in (labels, predictions):
        order = np.argsort(values, kind="stable")
        ranks.append(_ranks(weights, order, _starts(values[order])))
    return _correlation(ranks[0], ranks[1], weights)


@njit(cache=True, nogil=True)
def _ranks(weight: Floats, order: NDArray[np.int64], starts: NDArray[np.int64]) -> Floats:
    ranks = np.empty(len(order))
    before = 0.0
    for tie in range(len(starts)):
        end = starts[tie + 1] if tie + 1 < len(starts) else len(order)
        own = 0.0
        for at in range(starts[tie], end):
            own += weight[order[at]]
        for at in range(starts[tie], end):
            ranks[order[at]] = before + own / 2
        before += own
    return ranks


def _correlation(first: Floats, second: Floats, weight: Floats) -> float:
    total = weight.sum()
    first, second = first - (weight @ first) / total, second - (weight @ second) / total
    with np.errstate(all="ignore"):
        return float(weight @ (first * second) / np.sqrt((weight @ first**2) * (weight @ second**2)))
