"""Rules that choose among the points of a front. To add one, write its function and its line in `PICK_RULES`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """What values are set against; fixed before any point is scored, so that one point's score moves no other's.

    Attributes:
        low, span: (M,), each objective's worst and range among the points to choose from, signed so that larger is
            better; a span of 0 counts as 1.
        weights: (M,), at least 0, of sum 1.
        best: column of the objective that `epsilon` wants best.
        worth: signed values (N, M) -> what they are worth, of `revenue`.
    """

    low: Floats
    span: Floats
    weights: Floats
    best: int = 0
    worth: Callable[[Floats], Floats] | None = field(default=None, compare=False)

    @classmethod
    def around(cls, values: Floats) -> Frame:
        """The frame of points (N, M), all objectives weighing the same."""
        objectives = values.shape[1]
        return cls(np.zeros(objectives), np.ones(objectives), np.full(objectives, 1 / objectives)).moved(values)

    def moved(self, values: Floats) -> Frame:
        """The same terms around other points (N, M)."""
        span = np.ptp(values, axis=0)
        return replace(self, low=values.min(axis=0), span=np.where(span > 0, span, 1.0))

    def scaled(self, values: Floats) -> Floats:
        """Each objective from its worst (0) to its best (1) among the frame's points; 0 where all are equal."""
        return (values - self.low) / self.span


@dataclass(frozen=True)
class PickRule:
    """A named way to choose.

    Attributes:
        score: values (N, M), signed so that larger is better, and their frame -> scores (N,); the largest wins.
        because: completes "trial 7 is picked because it ..."; `{score}`, `{distance}` (the score's absolute value),
            `{best}` (an objective's name) and `{points}` are filled in.
        table: the policy's table that it reads; empty where there is none.
    """

    score: Callable[[Floats, Frame], Floats]
    because: str
    table: str = ""


def knee(values: Floats, frame: Frame) -> Floats:
    """Signed distance beyond the hyperplane through the unit points of the scaled objectives.

    With two objectives that is the line between the front's extremes (Das, Structural Optimization 1999). Positive
    where the front bulges towards the ideal. With three and more, an extreme need not be a unit point, but the plane
    is the same for any front, and no objective is preferred.
    """
    sums: Floats = frame.scaled(values).sum(axis=1)
    return (sums - 1) / math.sqrt(values.shape[1])


def weighted(values: Floats, frame: Frame) -> Floats:
    """The weighted sum of the scaled objectives: a weight is what the whole range of an objective is worth."""
    return np.asarray(frame.scaled(values) @ frame.weights)


def utopia(values: Floats, frame: Frame) -> Floats:
    """Minus the weighted distance to the point that is best in every objective (Zeleny 1973)."""
    return -np.asarray(np.sqrt((1 - frame.scaled(values)) ** 2 @ frame.weights))


def epsilon(values: Floats, frame: Frame) -> Floats:
    """One objective alone; the others are held by bounds (Haimes, Lasdon & Wismer, IEEE SMC 1971)."""
    return values[:, frame.best]


def revenue(values: Floats, frame: Frame) -> Floats:
    """Expected value per 1,000 impressions, see `bench.frontier.revenue`."""
    assert frame.worth is not None
    return frame.worth(values)


PICK_RULES: dict[str, PickRule] = {
    "knee": PickRule(
        knee,
        "is the best compromise between the extremes of the {points}: {score:.3f} beyond the line or plane through "
        "them, each objective scaled to its range there",
    ),
    "weights": PickRule(
        weighted,
        "has the largest weighted sum of the {points}, {score:.3f} of 1 once each objective is scaled to its range "
        "there",
        "weights",
    ),
    "utopia": PickRule(
        utopia,
        "is nearest of the {points} to the best of every objective at once, at a weighted distance of {distance:.3f} "
        "once each objective is scaled to its range there",
        "weights",
    ),
    "epsilon": PickRule(epsilon, "has the best {best} of the {points}, {distance:.5g}", "epsilon"),
    "revenue": PickRule(
        revenue,
        "is worth the most of the {points} by the policy's values, {score:,.2f} per 1,000 impressions shown",
        "revenue",
    ),
}
