"""The worth of one ranking of rows: walks from its best row down to a cut, a family a file.

Every walk is a mean over the orders of equal scores. `bench.core.objectives.LISTS` is the registry of those with a cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.system.intrinsics import jit

NDCG, PLACES, SHARE, AREA, AREA_BY_POSITIVES, PRECISION, FIRST, DISTINCT = range(8)
KINDS = {"ndcg": NDCG, "recall": SHARE, "value": SHARE, "map": PRECISION, "mrr": FIRST}
KINDS |= {"auc": AREA, "gauc": AREA, "gauc_positives": AREA_BY_POSITIVES}
KINDS |= {"below": PLACES, "distinct": DISTINCT}
"""By a metric's name, without its cut. Kinds up to `AREA_BY_POSITIVES` are also measured of all rows as one list by
`bench.measure.whole.Whole`. Of `DISTINCT` gains are codes of values, and of all rows `Varied` measures them."""
PER_PLACE = (PLACES, DISTINCT)
"""Kinds that are divided by the number of places within the cut."""


@jit()
def tied(
    ranked: Floats, places: NDArray[np.int64], size: int, gains: NDArray[np.float32], weights: Floats, at: int
) -> tuple[float, float, float, int]:
    """Rows, positives and gains of the run of equal scores that begins at place `at`, and where the next begins."""
    score, rows, positives, gained = ranked[at], 0.0, 0.0, 0.0
    while at < size and ranked[at] == score:
        gain = np.float64(gains[places[at]])
        if gain == gain:
            weight = weights[places[at]] if len(weights) else 1.0
            rows += weight
            positives += weight * (gain > 0)
            gained += weight * gain
        at += 1
    return rows, positives, gained, at


@dataclass(frozen=True)
class WantedOutcome:
    """An outcome of one column of gains.

    Attributes:
        kind: a place in `KINDS`.
        cut: rows at the top, or in per cent of the rows.
    """

    column: int
    kind: int
    cut: float = 0.0
    percent: bool = False

    def rows(self, every: Any) -> Any:
        """The cut in rows, of n rows or of an array of such numbers."""
        return np.minimum(self.cut / 100 * every if self.percent else self.cut, every)
