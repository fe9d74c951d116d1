"""For how long a configuration is to be trained where validation cannot say any more, because it is trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.objectives import Objective
from bench.records import Point
from bench.rows import SEARCH


@dataclass(frozen=True)
class Length:
    """Passes over train after which validation saw a training best.

    Passes and not samples, so that more data get as many looks each.

    Attributes:
        epochs: by the mean over all metrics; None trains to the end of the configuration's schedule.
        own: by each metric alone, for tasks that are separate models.
    """

    epochs: float | None = None
    own: dict[str, float] = field(default_factory=dict)


def length_of(point: Point, objectives: Sequence[Objective]) -> Length:
    """The length of a point, from the evaluations of the run that the search saw, up to where the point is."""
    seen = [each for each in point.curve if point.until is None or each["samples"] <= point.until]
    metrics = [objective for objective in objectives if objective.is_metric]
    if not seen or not metrics:
        return Length()
    own = {each.name: _best(seen, [each]) for each in metrics}
    return Length(_best(seen, metrics), own)


def _best(curve: Sequence[Mapping[str, float]], objectives: Sequence[Objective]) -> float:
    """The epoch of the best mean, the first of equals; an undefined metric is the worst."""

    def merit(evaluation: Mapping[str, float]) -> float:
        total = sum(each.sign * evaluation.get(each.key(SEARCH), math.nan) for each in objectives)
        return -math.inf if math.isnan(total) else total

    return float(max(curve, key=merit)["epoch"])
