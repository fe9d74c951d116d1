"""Holds points against a policy's guard and an objective's bound."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.frontier.breach import Breach, Violation
from bench.frontier.estimates import estimate, replicated
from bench.frontier.frontier import Frontier
from bench.frontier.gains import baselines, gain
from bench.frontier.guard import Guard
from bench.frontier.noise import noise_of
from bench.frontier.points import key_of
from bench.objectives import Objective
from bench.records import TrialRecord

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
        self._sure = {key_of(point): float(value) for point, value in sure}
        self._single = {key_of(point): point for point in frontier.points}
        self._noise = {
            objective.name: noise_of(frontier.points, objective.key("valid"), "guard.confidence")
            for objective in objectives
            if guard.confidence is not None and objective.is_metric and objective.name in self.against
        }

    def broken(self, point: TrialRecord) -> list[Violation | Breach]:
        """What a point does not keep; a bound on what was not measured is not kept."""
        return [*self._losses(point), *self._breaches(point)]

    def _losses(self, point: TrialRecord) -> list[Violation]:
        """An objective without a baseline cannot be guarded."""
        gains, found = gain(point, self.objectives, self.against), []
        for objective in self.objectives:
            allowed = self.guard.allowed(objective)
            if allowed is None or objective.name not in self.against:
                continue
            seen, baseline = -gains[objective.name], self.against[objective.name]
            loss, confidence = seen + self._margin(point, objective), self.guard.confidence
            if loss > allowed + TOLERANCE:
                sure = confidence if objective.name in self._noise else None
                found.append(Violation(objective.name, loss, allowed, baseline, sure, seen))
        return found

    def _margin(self, point: TrialRecord, objective: Objective) -> float:
        """What the loss may be beyond the one seen; none for the baseline itself, or where any loss is allowed."""
        baseline = self.against[objective.name]
        single = self._single[baseline.trial, baseline.until]
        if objective.name not in self._noise or key_of(point) == key_of(single):
            return 0.0
        runs = [max(1, len(replicated(each, objective.key("valid")))) for each in (point, single)]
        assert self.guard.confidence is not None
        return self._noise[objective.name].margin(self.guard.confidence, *runs)

    def _breaches(self, point: TrialRecord) -> list[Breach]:
        guard, found = self.guard, []

        def hold(name: str, bound: float, floor: bool, setting: str, other: float | None = None) -> None:
            value = estimate(point, name if name.startswith("cost/") else f"valid/{name}")
            if not (value >= bound if floor else value <= bound):
                found.append(Breach(name, value, bound, floor, f"{setting} '{name}'", other))

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
            value = self._sure.get(key_of(point), math.nan)
            if not value >= guard.p_nondominated:
                found.append(Breach("P(non-dominated)", value, guard.p_nondominated, True, "guard.p_nondominated"))
        return found
