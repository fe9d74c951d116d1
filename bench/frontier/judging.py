"""Holds points against a policy's guard and an objective's bound."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from scipy.special import stdtrit

from bench.errors import UserError
from bench.frontier.breach import P_NONDOMINATED, Breach, Violation
from bench.frontier.estimates import estimate
from bench.frontier.frontier import Frontier
from bench.frontier.gains import baselines, gain
from bench.frontier.guard import Guard
from bench.frontier.intervals import Differences, Interval, differences
from bench.frontier.noise import Noise, noise_of
from bench.objectives import Objective
from bench.records import Point
from bench.rows import CONFIRM

TOLERANCE = 1e-12
"""A loss this much above the allowed one is rounding: means of the same numbers differ in the last bit."""


class Judge:
    """Tells what of the guard each point of a frontier does not keep.

    Args:
        subject_to: bounds on objectives on the side that is worse, of the rule `epsilon`.

    Attributes:
        against: the single-task baseline of each objective.

    Raises:
        UserError: the guard names an unknown objective or metric, or asks for confidence where nothing tells it.
    """

    def __init__(
        self,
        guard: Guard,
        frontier: Frontier,
        objectives: Sequence[Objective],
        subject_to: Mapping[str, float] | None = None,
    ) -> None:
        guard.check(objectives, frontier.points)
        self.guard, self.objectives, self.subject_to = guard, tuple(objectives), dict(subject_to or {})
        self.against = baselines(frontier.points, objectives)
        sure = zip(frontier.points, frontier.table["p_nondominated"], strict=True)
        self._sure = {point.id: float(value) for point, value in sure}
        self._single = {point.id: point for point in frontier.points}
        self._noise: dict[str, Noise | None] = {}
        self._apart: dict[str, Differences | None] = {}
        if guard.confidence is not None:
            for objective in objectives:
                if objective.is_metric and objective.name in self.against:
                    noise_of(frontier.points, objective, CONFIRM, "guard.confidence")

    def unjudged(self, objective: Objective) -> str:
        """Why the guard cannot judge a loss in an objective; empty where it can, or need not."""
        limit = self.guard.limit(objective)
        if limit is None:
            return ""
        if objective.name not in self.against:
            return "no single-task trial has measured it"
        if limit.in_errors and self._known(objective) is None:
            return "no point has two replicates, which tell the noise"
        return ""

    def _known(self, objective: Objective) -> Noise | None:
        """What seeds do to it; None where no point has two replicates."""
        if objective.name not in self._noise:
            try:
                found = noise_of(list(self._single.values()), objective, CONFIRM, "guard")
            except UserError:
                self._noise[objective.name] = None
            else:
                self._noise[objective.name] = found
                self._apart[objective.name] = differences(list(found.samples.values()))
        return self._noise[objective.name]

    def _difference(self, point: Point, objective: Objective) -> Interval | None:
        """Of a point less the objective's baseline; None where not both were confirmed, or no noise is known."""
        known, baseline = self._known(objective), self.against[objective.name]
        places = {} if known is None else {key: at for at, key in enumerate(known.samples)}
        first, second = places.get(point.id), places.get(baseline.id)
        apart = self._apart.get(objective.name)
        return None if apart is None or first is None or second is None else apart.intervals(first, second)[0]

    def standard_error(self, point: Point, objective: Objective) -> float | None:
        """Of the difference between a point and the objective's baseline, see `bench.frontier.intervals.differences`.

        0 for the baseline itself; None where nothing is known of seeds, as no point has two replicates.
        """
        baseline = self.against[objective.name]
        if point.id == baseline.id:
            return 0.0
        apart = self._difference(point, objective)
        return None if apart is None else math.hypot(apart.seed, apart.data)

    def broken(self, point: Point) -> list[Violation | Breach]:
        """What a point does not keep; a bound on what was not measured is not kept."""
        return [*self._losses(point), *self._breaches(point)]

    def _losses(self, point: Point) -> list[Violation]:
        """An objective without a baseline cannot be guarded."""
        gains, found = gain(point, self.objectives, self.against), []
        for objective in self.objectives:
            limit = self.guard.limit(objective)
            if limit is None or objective.name not in self.against:
                continue
            seen, baseline = -gains[objective.name], self.against[objective.name]
            error = self.standard_error(point, objective)
            if limit.in_errors:
                if error is not None and seen > limit.loss * error + TOLERANCE:
                    found.append(Violation(objective.name, seen, limit.loss * error, baseline, error, limit.loss))
                continue
            loss = seen + self._margin(point, objective)
            if loss > limit.loss + TOLERANCE:
                sure = self.guard.confidence if objective.is_metric else None
                every = not isinstance(self.guard.max_loss_vs_single_task, dict)
                found.append(Violation(objective.name, loss, limit.loss, baseline, error, None, sure, seen, every))
        return found

    def _margin(self, point: Point, objective: Objective) -> float:
        """What the loss may be beyond the one seen; none for the baseline itself, or where any loss is allowed."""
        baseline, sure = self.against[objective.name], self.guard.confidence
        if sure is None or not objective.is_metric or point.id == baseline.id:
            return 0.0
        apart = self._difference(point, objective)
        return math.inf if apart is None else float(stdtrit(apart.freedom, sure)) * math.hypot(apart.seed, apart.data)

    def _breaches(self, point: Point) -> list[Breach]:
        guard, found = self.guard, []

        def hold(name: str, bound: float, floor: bool, setting: str, other: float | None = None) -> None:
            value = estimate(point, name)
            if not (value >= bound if floor else value <= bound):
                found.append(Breach(name, value, bound, floor, setting, other))

        for name, bound in guard.at_most.items():
            hold(name, bound, False, "guard.at_most")
        for name, bound in guard.at_least.items():
            hold(name, bound, True, "guard.at_least")
        for name, (low, high) in guard.within.items():
            hold(name, low, True, "guard.within", high)
            hold(name, high, False, "guard.within", low)
        for objective in (each for each in self.objectives if each.name in self.subject_to):
            hold(objective.name, self.subject_to[objective.name], objective.sign > 0, "epsilon.subject_to")
        if guard.p_nondominated is not None:
            value = self._sure.get(point.id, math.nan)
            if not value >= guard.p_nondominated:
                found.append(Breach("P(non-dominated)", value, guard.p_nondominated, True, P_NONDOMINATED))
        return found
