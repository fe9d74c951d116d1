"""`mrr`, `mrr@k`: one over the place of the first positive, 0 where none is within the cut.

Voorhees, The TREC-8 question answering track report, 1999. Of equal scores the mean over their orders.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.core.system.intrinsics import jit
from bench.measure.lists import tied


@jit()
def reciprocal(
    ranked: NDArray[np.float64], places: NDArray[np.int64], size: int, gains: NDArray[np.float32], cut: float
) -> float:
    """The expected reciprocal of the first positive's place; arguments as of `gains.top`."""
    before, at = 0.0, 0
    while at < size and before < cut:
        rows, positives, _, at = tied(ranked, places, size, gains, ranked[:0], at)
        if positives > 0:
            mean, none = 0.0, 1.0  # the chance that no row of the run was positive so far
            for j in range(int(min(rows - positives + 1, cut - before))):
                mean += none * positives / (rows - j) / (before + j + 1)
                none *= 1 - positives / (rows - j)
            return mean
        before += rows
    return 0.0
