"""Holds points against a policy's guard and an objective's bound."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.frontier.breach import P_NONDOMINATED, Breach, Violation
from bench.frontier.estimates import estimate, replicated
from bench.frontier.frontier import Frontier
from bench.frontier.gains import baselines, gain
from bench.frontier.guard import Guard
from bench.frontier.intervals import difference
from bench.frontier.noise import noise_of
from bench.frontier.points import Key, key_of
from bench.frontier.samples import Sample, sample
from bench.frontier.variance import seed_noise
from bench.objectives import Objective
from bench.records import TrialRecord
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
        self._sure = {key_of(point): float(value) for point, value in sure}
        self._single = {key_of(point): point for point in frontier.points}
        self._noise = {
            objective.name: noise_of(frontier.points, objective, CONFIRM, "guard.confidence")
            for objective in objectives
            if guard.confidence is not None and objective.is_metric and objective.name in self.against
        }
        self._samples: dict[str, dict[Key, Sample]] = {}

    def unjudged(self, objective: Objective) -> str:
        """Why the guard cannot judge a loss in an objective; empty where it can, or need not."""
        limit = self.guard.limit(objective)
        if limit is None:
            return ""
        if objective.name not in self.against:
            return "no single-task trial has measured it"
        if limit.in_errors and seed_noise(list(self._of(objective).values())) is None:
            return "no point has two replicates, which tell the noise"
        return ""

    def _of(self, objective: Objective) -> dict[Key, Sample]:
        """What replicates say of it, by point."""
        key = objective.key(CONFIRM)
        if key not in self._samples:
            found = ((point, sample(each, [key])) for point, each in self._single.items())
            self._samples[key] = {point: each for point, each in found if each is not None}
        return self._samples[key]

    def standard_error(self, point: TrialRecord, objective: Objective) -> float | None:
        """Of the difference between a point and the objective's baseline, see `bench.frontier.intervals.difference`.

        0 for the baseline itself; None where nothing is known of seeds, as no point has two replicates.
        """
        baseline = self.against[objective.name]
        if key_of(point) == (baseline.trial, baseline.until):
            return 0.0
        samples = self._of(objective)
        pair = samples.get(key_of(point)), samples.get((baseline.trial, baseline.until))
        if pair[0] is None or pair[1] is None:
            return None
        apart = difference(pair[0], pair[1], list(samples.values()))
        return None if apart is None else math.hypot(apart[0].seed, apart[0].data)

    def broken(self, point: TrialRecord) -> list[Violation | Breach]:
        """What a point does not keep; a bound on what was not measured is not kept."""
        return [*self._losses(point), *self._breaches(point)]

    def _losses(self, point: TrialRecord) -> list[Violation]:
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
                sure = self.guard.confidence if objective.name in self._noise else None
                every = not isinstance(self.guard.max_loss_vs_single_task, dict)
                found.append(Violation(objective.name, loss, limit.loss, baseline, error, None, sure, seen, every))
        return found

    def _margin(self, point: TrialRecord, objective: Objective) -> float:
        """What the loss may be beyond the one seen; none for the baseline itself, or where any loss is allowed."""
        baseline = self.against[objective.name]
        single = self._single[baseline.trial, baseline.until]
        if objective.name not in self._noise or key_of(point) == key_of(single):
            return 0.0
        runs = [max(1, len(replicated(each, objective.key(CONFIRM)))) for each in (point, single)]
        assert self.guard.confidence is not None
        return self._noise[objective.name].margin(self.guard.confidence, *runs)

    def _breaches(self, point: TrialRecord) -> list[Breach]:
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
            value = self._sure.get(key_of(point), math.nan)
            if not value >= guard.p_nondominated:
                found.append(Breach("P(non-dominated)", value, guard.p_nondominated, True, P_NONDOMINATED))
        return found
