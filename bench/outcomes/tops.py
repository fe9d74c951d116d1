"""The top of one ranking: what an outcome wants of it, and the walk down to the cut. Exact under ties.

A run of equal scores comes in any order. Its expected gain is its mean gain times the sum of the discounts of the
places that it takes; at the cut only the share that fits counts (McSherry & Najork, ECIR 2008).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

NDCG, SHARE, AREA, AREA_BY_POSITIVES = range(4)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Wanted:
    """An outcome of one column of gains.

    Attributes:
        kind: `NDCG`, `SHARE` of the gains in the first rows, or `AREA` under the curve of gains above 0 against those
            of 0 (over groups a mean weighted by rows; `AREA_BY_POSITIVES`: by positives).
        cut: rows at the top, or in per cent of the rows.
    """

    column: int
    kind: int
    cut: float = 0.0
    percent: bool = False


def discounts(most: int) -> Floats:
    """(most + 1,): the sum of 1 / log2(rank + 1) over the first n ranks, n from 0."""
    return np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(most) + 2.0))])


@njit(cache=True, nogil=True)
def top(
    ranked: Floats,
    places: NDArray[np.int64],
    size: int,
    gains: NDArray[np.float32],
    kind: int,
    cut: float,
    discounts: Floats,
) -> float:
    """The (discounted) sum of gains of the first `cut` rows; rows whose gain is NaN take no place.

    Args:
        ranked: scores, from the best; the first `size` count.
        places: of the same rows in `gains`.
        cut: whole with `NDCG`.
    """
    found, before, at = 0.0, 0, 0
    while at < size and before < cut:
        score, rows, gained = ranked[at], 0, 0.0
        while at < size and ranked[at] == score:
            gain = np.float64(gains[places[at]])
            if gain == gain:
                rows += 1
                gained += gain
            at += 1
        if gained > 0:
            after = min(np.float64(before + rows), cut)
            if kind == NDCG:
                found += gained / rows * (discounts[int(after)] - discounts[before])
            else:
                found += gained / rows * (after - before)
        before += rows
    return found


@njit(cache=True, nogil=True)
def won(ranked: Floats, places: NDArray[np.int64], size: int, gains: NDArray[np.float32]) -> float:
    """Twice the pairs of a positive ranked above a negative, ties counting half; arguments as of `top`."""
    above, found, at = 0.0, 0.0, 0
    while at < size:
        score, positives, negatives = ranked[at], 0.0, 0.0
        while at < size and ranked[at] == score:
            gain = gains[places[at]]
            if gain > 0:
                positives += 1
            elif gain == 0:
                negatives += 1
            at += 1
        found += negatives * (2 * above + positives)
        above += positives
    return found


@njit(cache=True, nogil=True)
def won_weighted(
    ranked: Floats, places: NDArray[np.int64], size: int, gains: NDArray[np.float32], weights: Floats
) -> float:
    """As `won`, where a row counts as often as its weight (N,) says."""
    above, found, at = 0.0, 0.0, 0
    while at < size:
        score, positives, negatives = ranked[at], 0.0, 0.0
        while at < size and ranked[at] == score:
            gain = gains[places[at]]
            if gain > 0:
                positives += weights[places[at]]
            elif gain == 0:
                negatives += weights[places[at]]
            at += 1
        found += negatives * (2 * above + positives)
        above += positives
    return found
