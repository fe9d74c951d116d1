"""Rules that choose among the points of a front. To add one, write its function and its line in `PICK_RULES`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PickRule:
    """A named way to choose.

    Attributes:
        score: values (N, M) of mutually non-dominated points, signed so that larger is better -> scores (N,); the
            largest wins.
        because: completes "trial 7 is picked because it ..."; `{score}` and `{points}` are filled in.
    """

    score: Callable[[Floats], Floats]
    because: str


def scaled(values: Floats) -> Floats:
    """Each objective from its worst (0) to its best (1) among the points; 0 where all are equal."""
    low: Floats = values.min(axis=0)
    span: Floats = values.max(axis=0) - low
    return (values - low) / np.where(span > 0, span, 1.0)


def knee(values: Floats) -> Floats:
    """Signed distance beyond the hyperplane through the unit points of the scaled objectives.

    With two objectives that is the line between the front's extremes (Das, Structural Optimization 1999). Positive
    where the front bulges towards the ideal. With three and more, an extreme need not be a unit point, but the plane
    is the same for any front, and no objective is preferred.
    """
    sums: Floats = scaled(values).sum(axis=1)
    return (sums - 1) / math.sqrt(values.shape[1])


PICK_RULES: dict[str, PickRule] = {
    "knee": PickRule(
        knee,
        "bulges farthest beyond what the extremes of the {points} span, by {score:.3f} "
        "once each objective is scaled to its range there",
    ),
}
