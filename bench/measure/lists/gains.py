"""`ndcg@k`, `recall@k` and `value@k`: gains of the first rows, by a discount of their places or by none.

A run of equal scores comes in any order. Its expected gain is its mean gain times the sum of the discounts of the
places that it takes; at the cut only the share that fits counts (McSherry & Najork, ECIR 2008).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.system.intrinsics import jit
from bench.measure.lists import NDCG, tied


def discounts(most: int) -> Floats:
    """(most + 1,): the sum of 1 / log2(rank + 1) over the first n ranks, n from 0."""
    return np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(most) + 2.0))])


@jit()
def top(
    ranked: Floats,
    places: NDArray[np.int64],
    size: int,
    gains: NDArray[np.float32],
    kind: int,
    cut: float,
    discounts: Floats,
    weights: Floats,
) -> float:
    """The (discounted) sum of gains of the first `cut` rows; rows whose gain is NaN take no place.

    Args:
        ranked: scores, from the best; the first `size` count.
        places: of the same rows in `gains`.
        cut: whole with `NDCG`.
        weights: as many rows each row stands for, by place; empty for one each.
    """
    gain, before, at = 0.0, 0.0, 0
    while at < size and before < cut:
        rows, _, gained, at = tied(ranked, places, size, gains, weights, at)
        if gained > 0:
            after = min(before + rows, cut)
            if kind == NDCG:
                gain += gained / rows * (discounts[int(after)] - discounts[int(before)])
            else:
                gain += gained / rows * (after - before)
        before += rows
    return gain
