"""What sharing buys: each point against the best single-task model, task by task.

The baseline of an objective is the single-task point that is best in it, so that every task is compared with a model
tuned for that task. Gains are in the metric's own unit and positive where the trial is better.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.frontier.estimates import candidates, estimate
from bench.objectives import Objective
from bench.records import Point, point_id, point_name

BASELINE = "single_task"


@dataclass(frozen=True)
class Baseline:
    """The single-task point that an objective is measured against, and its value; `until` as in `Point`."""

    trial: int
    value: float
    until: int | None = None

    @property
    def id(self) -> str:
        """The id of the point."""
        return point_id(self.trial, self.until)

    @property
    def name(self) -> str:
        """How a sentence names the point."""
        return point_name(self.trial, self.until)


def best(points: Sequence[Point], objective: Objective) -> Point | None:
    """The trial's point with the best estimate of one objective, of equals the first trial, at its longest.

    None without a finite one.
    """
    comparable = [point for point in _trials(points) if math.isfinite(estimate(point, objective.name))]

    def merit(point: Point) -> tuple[float, int, int]:
        return objective.sign * estimate(point, objective.name), -(point.number or 0), len(point.rungs)

    return max(comparable, key=merit, default=None)


def baselines(points: Sequence[Point], objectives: Sequence[Objective]) -> dict[str, Baseline]:
    """The baseline of each objective by its name.

    Where any point is confirmed, a baseline is a confirmed single-task point. An objective that none of them has
    measured is left out.
    """
    single = [point for point in _trials(points) if point.sharing == BASELINE or point.baseline]
    found = {objective: best(single, objective) for objective in objectives}
    return {
        objective.name: Baseline(point.number, estimate(point, objective.name), point.until)
        for objective, point in found.items()
        if point is not None and point.number is not None
    }


def gain(record: Point, objectives: Sequence[Objective], against: Mapping[str, Baseline]) -> dict[str, float]:
    """A point's gain over the baselines by objective name; NaN where either side has no value."""
    return {
        each.name: each.sign * (estimate(record, each.name) - against[each.name].value)
        if each.name in against
        else math.nan
        for each in objectives
    }


def _trials(points: Sequence[Point]) -> list[Point]:
    """Those of trials that may be compared."""
    return candidates(point for point in points if point.number is not None)
