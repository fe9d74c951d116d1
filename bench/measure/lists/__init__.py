"""What one ranking of rows is worth: walks from its best row down to a cut, a family a file.

Every walk is a mean over the orders of equal scores. `bench.objectives.LISTS` is the registry of those with a cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.intrinsics import jit
from bench.measure.lists.area import won
from bench.measure.lists.first import reciprocal
from bench.measure.lists.gains import top
from bench.measure.lists.precision import precisions

Floats = NDArray[np.float64]
NDCG, SHARE, AREA, AREA_BY_POSITIVES, PRECISION, FIRST = range(6)
KINDS = {"ndcg": NDCG, "recall": SHARE, "value": SHARE, "map": PRECISION, "mrr": FIRST}
KINDS |= {"auc": AREA, "gauc": AREA, "gauc_positives": AREA_BY_POSITIVES}
"""By a metric's name, without its cut. Kinds up to `AREA_BY_POSITIVES` are also measured of all rows as one list."""


@dataclass(frozen=True)
class Wanted:
    """An outcome of one column of gains.

    Attributes:
        kind: a place in `KINDS`.
        cut: rows at the top, or in per cent of the rows.
    """

    column: int
    kind: int
    cut: float = 0.0
    percent: bool = False


@jit()
def walked(
    kind: int,
    ranked: Floats,
    places: NDArray[np.int64],
    size: int,
    gains: NDArray[np.float32],
    cut: float,
    discounts: Floats,
    weights: Floats,
) -> float:
    """What a list is worth before it is divided by the most that it could be; arguments as of `gains.top`.

    Args:
        weights: of rows, which areas alone count: a place of a list is one row's.
    """
    if kind <= SHARE:
        return float(top(ranked, places, size, gains, kind, cut, discounts, np.empty(0)))
    if kind <= AREA_BY_POSITIVES:
        return float(won(ranked, places, size, gains, weights))
    if kind == PRECISION:
        return float(precisions(ranked, places, size, gains, cut))
    return float(reciprocal(ranked, places, size, gains, cut))
