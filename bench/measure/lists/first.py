"""`mrr`, `mrr@k`: one over the place of the first positive, 0 where none is within the cut.

Voorhees, The TREC-8 question answering track report, 1999. Of equal scores the mean over their
orders.
"""

from __future__ import annotations

import numpy as np

from bench.core.arrays import Floats, Ints
from bench.core.system.intrinsics import jit
from bench.measure.lists.base import Gains, Lists, Walked, list_of, tied


@jit()
def _reciprocals(lists: Lists, gains: Gains, cut: float, out: Floats) -> None:
    for number in lists.defined:
        ranked, places = list_of(lists, number)
        out[number] = _reciprocal(ranked, places, gains, cut)


@jit()
def _reciprocal(ranked: Floats, places: Ints, gains: Gains, cut: float) -> float:
    """The expected reciprocal of the first positive's place."""
    before, at = 0.0, 0
    while at < len(places) and before < cut:
        rows, positives, at = tied(ranked, places, len(places), gains, ranked[:0], at)
        if positives > 0:
            mean, none = 0.0, 1.0  # the chance that no row of the run was positive so far
            for j in range(int(min(rows - positives + 1, cut - before))):
                mean += none * positives / (rows - j) / (before + j + 1)
                none *= 1 - positives / (rows - j)
            return mean
        before += rows
    return 0.0


mrr = Walked(_reciprocals, lambda facts, cut: np.minimum(facts.total, 1))
