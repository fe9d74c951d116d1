"""Which tasks of a point are behind, and behind what: the best single-task model, else the best point of all.

A confirmed point is compared with confirmed ones, by replicate means; any other by the one run that the search saw.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from bench.frontier.estimates import confirmed, estimate, replicated
from bench.frontier.gains import baselines, best
from bench.objectives import Objective
from bench.records import Point
from bench.rows import CONFIRM

SURE = 2.0
"""How many standard errors of a difference make it more than noise, where the noise is known."""


@dataclass(frozen=True)
class Gap:
    """By how much a point falls short in an objective, in its unit: above 0 where it does.

    Attributes:
        trial: what it is compared with; `single` where that is a single-task model.
        noise: of the difference; 0 where no point was confirmed on two seeds or more, so that it is not known.
    """

    objective: str
    short: float
    trial: int
    single: bool
    noise: float

    @property
    def real(self) -> bool:
        """Whether it is more than noise."""
        return self.short > self.noise


class References:
    """What every objective's value is held against, of all points of a run."""

    def __init__(self, points: Sequence[Point], objectives: Sequence[Objective]) -> None:
        self.metrics = [objective for objective in objectives if objective.is_metric]
        self._confirmed = self._of(points)
        self._seen = self._of([point.unconfirmed for point in points])
        self._deviation = {each.name: _deviation(points, each.key(CONFIRM)) for each in self.metrics}

    def gaps(self, point: Point) -> list[Gap]:
        """The point's gap in every metric that both sides have."""
        found = []
        for objective in self.metrics:
            against, single = (self._confirmed if confirmed(point) else self._seen).get(objective.name, (None, False))
            value = estimate(point, objective.name)
            if against is not None and against.number is not None and math.isfinite(value):
                short = objective.sign * (estimate(against, objective.name) - value)
                seeds = max(1, len(replicated(point, objective.key(CONFIRM))))
                noise = SURE * self._deviation[objective.name] * math.sqrt(2 / seeds)
                found.append(Gap(objective.name, short, against.number, single, noise))
        return found

    def _of(self, points: Sequence[Point]) -> dict[str, tuple[Point | None, bool]]:
        """The best single-task point of each objective, else the best of all; and whether it is the former."""
        single = baselines(points, self.metrics)
        return {
            each.name: (single[each.name], True) if each.name in single else (best(points, each), False)
            for each in self.metrics
        }


def _deviation(points: Sequence[Point], key: str) -> float:
    """What seeds do to a metric: the median of the standard deviations of confirmed points, 0 where there are none."""
    values = [[value for value in replicated(point, key) if math.isfinite(value)] for point in points]
    return median([float(np.std(each, ddof=1)) for each in values if len(each) > 1] or [0.0])
