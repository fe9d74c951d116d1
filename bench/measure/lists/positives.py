"""Metrics of the places of positives. Over the orders of equal scores the mean is taken: McSherry &
Najork, ECIR 2008.

`mrr`, `mrr@k`: one over the place of the first positive, 0 where none is within the cut (Voorhees,
The TREC-8 question answering track report, 1999).

`map@k`: the mean over the positives of the share of positives among the rows down to each.
Positives below the cut count nothing; the mean is over as many as fit (Manning, Raghavan & Schütze,
Introduction to Information Retrieval, 2008, chapter 8.4, cut as in TREC's `map_cut`, which divides
by all positives: there a list of more than k positives cannot reach 1).
"""

from __future__ import annotations

import numpy as np

from bench.core.arrays import Floats, Ints
from bench.core.system.intrinsics import jit
from bench.measure.lists.base import (
    Cut,
    Facts,
    Gains,
    Lists,
    Walked,
    list_of,
    positives_in_cut,
    tied,
)


@jit()
def _reciprocals(lists: Lists, gains: Gains, cut: float, out: Floats) -> None:
    for number in lists.defined:
        ranked, places = list_of(lists, number)
        out[number] = _reciprocal(ranked, places, gains, cut)


@jit()
def _reciprocal(ranked: Floats, places: Ints, gains: Gains, cut: float) -> float:
    """The expected reciprocal of the first positive's place."""
    before = 0.0
    rank = 0
    while rank < len(places) and before < cut:
        rows, positives, rank = tied(ranked, places, len(places), gains, ranked[:0], rank)
        if positives > 0:
            # the chance that no row of the run was positive so far
            mean = 0.0
            none = 1.0
            for j in range(int(min(rows - positives + 1, cut - before))):
                mean += none * positives / (rows - j) / (before + j + 1)
                none *= 1 - positives / (rows - j)
            return mean
        before += rows
    return 0.0


def _any_positive(facts: Facts, cut: Cut) -> Floats:
    return np.minimum(facts.total, 1)


@jit()
def _precisions(lists: Lists, gains: Gains, cut: float, out: Floats) -> None:
    for number in lists.defined:
        ranked, places = list_of(lists, number)
        out[number] = _precision(ranked, places, gains, cut)


@jit()
def _precision(ranked: Floats, places: Ints, gains: Gains, cut: float) -> float:
    """The sum over the positives within the cut of the precision at their places."""
    total = 0.0
    before = 0.0
    above = 0.0
    rank = 0
    while rank < len(places) and before < cut:
        rows, positives, rank = tied(ranked, places, len(places), gains, ranked[:0], rank)
        # at place j of the run: a positive with chance positives / rows, behind (j - 1) / (rows -
        # 1) of the run's other positives
        share_ahead = (positives - 1) / (rows - 1) if rows > 1 else 0.0
        if positives > 0:
            for j in range(int(min(rows, cut - before))):
                total += positives / rows * (above + 1 + j * share_ahead) / (before + j + 1)
        before += rows
        above += positives
    return total


mrr = Walked(_reciprocals, _any_positive)
map = Walked(_precisions, positives_in_cut)
