"""The forms that compiled loops walk themselves: gains of the first rows (`ndcg@k`, `recall@k`,
`value@k` and `below7@k`), by a discount of their places or by none, and areas under the ROC curve
(`auc`, `gauc`, `gauc_positives`).

A run of equal scores comes in any order. Its expected gain is its mean gain times the sum of the
discounts of the places that it takes; at the cut only the share that fits counts (McSherry &
Najork, ECIR 2008).
"""

from __future__ import annotations

import numpy as np

from bench.core.arrays import Floats, Ints
from bench.core.system.intrinsics import jit
from bench.measure.lists.base import Gains, GainSum, all_gains, counted, places_in_cut, tied


def discounts(deepest: int) -> Floats:
    """(deepest + 1,): the sum of 1 / log2(rank + 1) over the first n ranks, n from 0."""
    return np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(deepest) + 2.0))])


ndcg = GainSum(None, discounts)
recall = value = GainSum(all_gains)
below = GainSum(places_in_cut)


@jit()
def top(
    ranked: Floats,
    places: Ints,
    size: int,
    gains: Gains,
    discounted: bool,
    cut: float,
    whole_part: float,
    worths: Floats,
    m: int,
    weights: Floats,
) -> float:
    """The (discounted) sum of gains of the first `cut` rows; rows whose gain is NaN take no place.

    Args:
        ranked, places, size, gains, weights: as of `tied`.
        cut: whole where places are discounted.
        whole_part: as of `WantedOutcome`.
        worths: (M, ..), of which row m has the worths of the first places together, where they are
            discounted.
    """
    gain = 0.0
    before = 0.0
    rank = 0
    while rank < size and before < cut:
        rows, gained, rank = tied(ranked, places, size, gains, weights, rank)
        if gained > 0:
            if discounted:
                after = min(before + rows, cut)
                gain += gained / rows * (worths[m, int(after)] - worths[m, int(before)])
            else:
                after = counted(before + rows, cut, whole_part)
                gain += gained / rows * (after - counted(before, cut, whole_part))
        before += rows
    return gain


@jit()
def pairs_won(ranked: Floats, places: Ints, size: int, gains: Gains, weights: Floats) -> float:
    """Twice the pairs of a positive ranked above a negative, ties counting half; gains 0 or 1,
    arguments of `tied`.
    """
    positives_above = 0.0
    twice = 0.0
    rank = 0
    while rank < size:
        rows, positives, rank = tied(ranked, places, size, gains, weights, rank)
        twice += (rows - positives) * (2 * positives_above + positives)
        positives_above += positives
    return twice
