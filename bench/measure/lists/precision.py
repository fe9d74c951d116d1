"""`map@k`: the mean over the positives of the share of positives among the rows down to each.

Positives below the cut count nothing; the mean is over as many as fit (Manning, Raghavan & Schütze, Introduction to
Information Retrieval, 2008, chapter 8.4, cut as in TREC's `map_cut`, which divides by all positives: there a list of
more than k positives cannot reach 1). Over the orders of equal scores the mean is taken: McSherry & Najork, ECIR 2008.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.core.system.intrinsics import jit
from bench.measure.lists import tied


@jit()
def precisions(
    ranked: NDArray[np.float64], places: NDArray[np.int64], size: int, gains: NDArray[np.float32], cut: float
) -> float:
    """The sum over the positives within the cut of the precision at their places; arguments as of `gains.top`."""
    total, before, above, at = 0.0, 0.0, 0.0, 0
    while at < size and before < cut:
        rows, positives, _, at = tied(ranked, places, size, gains, ranked[:0], at)
        # at place j of the run: a positive with chance positives / rows, behind (j - 1) / (rows - 1) of the others
        others = (positives - 1) / (rows - 1) if rows > 1 else 0.0
        if positives > 0:
            for j in range(int(min(rows, cut - before))):
                total += positives / rows * (above + 1 + j * others) / (before + j + 1)
        before += rows
        above += positives
    return total
