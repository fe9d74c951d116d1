"""The area under the ROC curve of one ranking: `auc`, `gauc`, `gauc_positives`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.system.intrinsics import jit
from bench.measure.lists import tied


@jit()
def won(ranked: Floats, places: NDArray[np.int64], size: int, gains: NDArray[np.float32], weights: Floats) -> float:
    """Twice the pairs of a positive ranked above a negative, ties counting half; arguments as of `top`."""
    above, twice, at = 0.0, 0.0, 0
    while at < size:
        rows, positives, _, at = tied(ranked, places, size, gains, weights, at)
        twice += (rows - positives) * (2 * above + positives)
        above += positives
    return twice
