"""The single-task points that others are measured against: in each objective the one that is best in it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.frontier.estimates import candidates, estimate
from bench.objectives import Objective
from bench.records import Point

BASELINE = "single_task"


def best(points: Sequence[Point], objective: Objective) -> Point | None:
    """The trial's point with the best estimate of one objective, of equals the first trial, at its longest.

    None without a finite one.
    """
    comparable = [point for point in _trials(points) if math.isfinite(estimate(point, objective.name))]

    def merit(point: Point) -> tuple[float, int, int]:
        return objective.sign * estimate(point, objective.name), -(point.number or 0), len(point.rungs)

    return max(comparable, key=merit, default=None)


def baselines(points: Sequence[Point], objectives: Sequence[Objective]) -> dict[str, Point]:
    """The best single-task point of each objective by its name.

    Where any point is confirmed, a baseline is a confirmed single-task point. An objective that none of them has
    measured is left out.
    """
    single = [point for point in _trials(points) if point.sharing == BASELINE or point.baseline]
    found = {objective.name: best(single, objective) for objective in objectives}
    return {name: point for name, point in found.items() if point is not None}


def _trials(points: Sequence[Point]) -> list[Point]:
    """Those of trials that may be compared."""
    return candidates(point for point in points if point.number is not None)
