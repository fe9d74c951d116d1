"""`map@k`: the mean over the positives of the share of positives among the rows down to each.

Positives below the cut count nothing; the mean is over as many as fit (Manning, Raghavan & Schütze,
Introduction to Information Retrieval, 2008, chapter 8.4, cut as in TREC's `map_cut`, which divides
by all positives: there a list of more than k positives cannot reach 1). Over the orders of equal
scores the mean is taken: McSherry & Najork, ECIR 2008.
"""

from __future__ import annotations

import numpy as np

from bench.core.arrays import Floats, Ints
from bench.core.system.intrinsics import jit
from bench.measure.lists.base import Gains, Lists, Walked, list_of, tied


@jit()
def _precisions(lists: Lists, gains: Gains, cut: float, out: Floats) -> None:
    for number in lists.defined:
        ranked, places = list_of(lists, number)
        out[number] = _precision(ranked, places, gains, cut)


@jit()
def _precision(ranked: Floats, places: Ints, gains: Gains, cut: float) -> float:
    """The sum over the positives within the cut of the precision at their places."""
    total, before, above, at = 0.0, 0.0, 0.0, 0
    while at < len(places) and before < cut:
        rows, positives, at = tied(ranked, places, len(places), gains, ranked[:0], at)
        # at place j of the run: a positive with chance positives / rows, behind (j - 1) / (rows -
        # 1) of the others
        others = (positives - 1) / (rows - 1) if rows > 1 else 0.0
        if positives > 0:
            for j in range(int(min(rows, cut - before))):
                total += positives / rows * (above + 1 + j * others) / (before + j + 1)
        before += rows
        above += positives
    return total


map = Walked(_precisions, lambda facts, cut: np.minimum(facts.total, cut))
