"""Rules that score choices. To add one, write its function and its line in `PICK_RULES`.

A rule sees gains over the current point, see `Choices.gains`: .01 is 1% of an outcome, or .001 of a head's AUC. Scores
have the same unit, so that a difference in score means the same under each rule. The current point has the score 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.plugins import Registry

Floats = NDArray[np.float64]
LEAST = 1e-6
"""A ratio to current is at least this under a logarithm."""


@dataclass(frozen=True)
class Terms:
    """The weights and signs that a rule uses.

    Attributes:
        weights: (M,), at least 0, of sum 1: of `epsilon` 1 for the one metric that is to be best.
        signs: (M,), +1 where larger is better.
        linear: (M,), whether a gain is no fraction of current but a head's difference in thousandths.
    """

    weights: Floats
    signs: Floats
    linear: NDArray[np.bool_]


@dataclass(frozen=True)
class PickRule:
    """A named rule that picks.

    Attributes:
        score: gains (..., rows, M) and terms -> scores (..., rows); the largest wins. It never falls as a gain rises.
        because: completes "The pick is trial 7: it ..."; `{names}` is filled in.
        table: the policy's table that it reads; empty where there is none.
    """

    score: Callable[[Floats, Terms], Floats]
    because: str
    table: str = ""


def weighted(gains: Floats, terms: Terms) -> Floats:
    """The weighted sum of gains: sum_m w_m g_m."""
    return np.asarray(gains @ terms.weights)


def knee(gains: Floats, terms: Terms) -> Floats:
    """The mean of log(value / current): the largest product of all metrics (Nash, Econometrica 1950).

    On a front that is where 1% of one outcome buys just 1% of another: its bend on logarithmic axes. It does not depend
    on units, nor on which other points there are. A metric to minimise has log(current / value); a head's metric in
    thousandths its gain.
    """
    ratio = np.log(np.maximum(1 + terms.signs * gains, LEAST))
    return np.asarray(np.where(terms.linear, gains, terms.signs * ratio) @ terms.weights)


def utopia(gains: Floats, terms: Terms) -> Floats:
    """Minus the weighted distance to the point that has the best gain of any row in every metric (Zeleny 1973)."""
    best = np.fmax.reduce(gains, axis=-2, keepdims=True)
    return -np.asarray(np.sqrt((best - gains) ** 2 @ terms.weights))


_OURS: dict[str, PickRule] = {
    "knee": PickRule(knee, "is the best compromise of {names}"),
    "weights": PickRule(weighted, "has the largest weighted gain in {names}", "weights"),
    "utopia": PickRule(utopia, "is nearest to the best {names} of any choice", "weights"),
    "epsilon": PickRule(weighted, "has the best {names}", "epsilon"),
}
PICK_RULES = Registry("rule", _OURS, PickRule, "a bench.frontier.rules.PickRule")
