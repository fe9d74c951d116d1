"""The area under the ROC curve of one ranking: `auc`, `gauc`, `gauc_positives`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.intrinsics import jit

Floats = NDArray[np.float64]


@jit()
def won(ranked: Floats, places: NDArray[np.int64], size: int, gains: NDArray[np.float32], weights: Floats) -> float:
    """Twice the pairs of a positive ranked above a negative, ties counting half; arguments as of `top`."""
    above, found, at = 0.0, 0.0, 0
    while at < size:
        score, positives, negatives = ranked[at], 0.0, 0.0
        while at < size and ranked[at] == score:
            gain, weight = gains[places[at]], weights[places[at]] if len(weights) else 1.0
            if gain > 0:
                positives += weight
            elif gain == 0:
                negatives += weight
            at += 1
        found += negatives * (2 * above + positives)
        above += positives
    return found
