"""What a search does next: a pure function of what it plans and of how far its trials have come."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from bench.search.plan import SHARING, SINGLE_TASK, Plan
from bench.search.promotion import Rules, promote
from bench.search.ranking import best_first
from bench.search.standing import Standing, Standings, Step

NEXT_BEST = 16
"""Of so many promotions, the first that the budget holds is taken."""

Decision = Step | Literal["new trial"]


def decide(plan: Plan, standings: Iterable[Standing], late: bool = False) -> Decision | None:
    """The next job: a promotion; else, where the limits allow it, a new trial; None where there is nothing to begin.

    Nothing is begun that the budget of samples does not hold, once what is needed to have a single-task trial at full
    length is set aside. Where a promotion is too dear, the next best that is not is taken. When all has come to its
    end, the best single-task trial goes to full length, if none has got there by itself.

    Args:
        standings: of every trial, by number, by what is told.
        late: whether the time is up.
    """
    rules, now = plan.rules, Standings(standings)
    single = [now.every[row] for row in now.kinds[SINGLE_TASK]]
    left = math.inf if plan.budget is None else plan.budget - now.samples(rules.rungs)

    def affordable(step: Step) -> bool:
        return rules.samples(step.rung) + _set_aside(plan, [each.after(step) for each in single]) <= left

    if not late:
        chosen = promote(now, rules, 1)
        if chosen and not affordable(chosen[0]):
            chosen = [each for each in promote(now, rules, NEXT_BEST) if affordable(each)]
        if chosen:
            return chosen[0]
        opening = plan.openings[len(now) :][:1]
        new = opening and opening[0].get(SHARING) == SINGLE_TASK
        then = [*single, Standing(len(now), SINGLE_TASK, (), "running")] if new else single
        wanted = plan.trials is None or len(now) < plan.trials
        if wanted and rules.samples(0) + _set_aside(plan, then) <= left:
            return "new trial"
    if not (now.waiting | now.failed).all():
        return None
    baseline = _baseline_on(single, rules)
    return baseline if baseline and rules.samples(baseline.rung) <= left else None


def _set_aside(plan: Plan, single: Sequence[Standing]) -> int:
    """Training samples that a single-task trial, of these, still needs to get to full length."""
    if not plan.by_rungs or SINGLE_TASK not in plan.space.choices(SHARING):
        return 0
    alive = [each for each in single if each.progress != "failed"]
    if not alive and len(single) > plan.tries:
        return 0  # every one that was planned has failed
    rungs = plan.rules.rungs
    highest = max((each.begun for each in alive), default=0)
    return rungs[-1] - (rungs[highest - 1] if highest else 0)


def _baseline_on(single: Sequence[Standing], rules: Rules) -> Step | None:
    """The step of the best single-task trial of the highest rung, where that is not the last."""
    alive = [each for each in single if each.progress != "failed"]
    highest = max((len(each.results) for each in alive), default=0)
    if highest in (0, len(rules.rungs)):
        return None
    there = [each for each in alive if len(each.results) == highest]
    values = np.array([each.results[-1] for each in there])
    best = there[int(best_first(values, rules.objectives, rules.reference)[0])]
    return Step(best.number, highest, floor=True)
