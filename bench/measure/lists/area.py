"""The area under the ROC curve of one ranking: `auc`, `gauc`, `gauc_positives`."""

from __future__ import annotations

from bench.core.arrays import Floats, Ints
from bench.core.system.intrinsics import jit
from bench.measure.lists.base import Gains, tied


@jit()
def won(ranked: Floats, places: Ints, size: int, gains: Gains, weights: Floats) -> float:
    """Twice the pairs of a positive ranked above a negative, ties counting half; gains 0 or 1,
    arguments of `tied`.
    """
    above, twice, at = 0.0, 0.0, 0
    while at < size:
        rows, positives, at = tied(ranked, places, size, gains, weights, at)
        twice += (rows - positives) * (2 * above + positives)
        above += positives
    return twice
