"""What a search does next: a pure function of what it plans and of how far its trials have come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np

from bench.search.plan import SHARING, SINGLE_TASK, Plan
from bench.search.promotion import Promotion, Rules, Standing, going, promote
from bench.search.ranking import best_first

NEXT_BEST = 16
"""Of so many promotions, the first that the budget holds is taken."""

Decision = Promotion | Literal["new trial"]


def decide(plan: Plan, standings: Sequence[Standing], late: bool = False) -> Decision | None:
    """The next job: a promotion; else, where the limits allow it, a new trial; None where there is nothing to begin.

    Nothing is begun that the budget of samples does not hold, once what is needed to have a single-task trial at full
    length is set aside. Where a promotion is too dear, the next best that is not is taken. When all has come to its
    end, the best single-task trial goes to full length, if none has got there by itself.

    Args:
        standings: of every trial, by number, by what is told.
        late: whether the time is up.
    """
    rules = plan.rules
    begun = Counter([standing.begun for standing in standings])
    spent = sum(rules.rungs[rungs - 1] * trials for rungs, trials in begun.items() if rungs)

    def affordable(promotion: Promotion) -> bool:
        then = [going(each, promotion) if each.number == promotion.trial else each for each in standings]
        return spent + rules.samples(promotion.rung) + _set_aside(plan, then) <= plan.most_samples

    if not late:
        chosen = promote(standings, rules, 1)
        if plan.budget is not None and chosen and not affordable(chosen[0]):
            chosen = [each for each in promote(standings, rules, NEXT_BEST) if affordable(each)]
        if chosen:
            return chosen[0]
        opening = plan.openings()[len(standings) :][:1]
        kind = str(opening[0].params.get(SHARING, "?")) if opening else "?"
        then = [*standings, Standing(len(standings), kind, (), "running")]
        needed = spent + rules.samples(0) + _set_aside(plan, then)
        if len(standings) < plan.most_trials and needed <= plan.most_samples:
            return "new trial"
    if any(standing.progress == "running" for standing in standings):
        return None
    baseline = _baseline_on(standings, rules)
    if baseline is not None and spent + rules.samples(baseline.rung) <= plan.most_samples:
        return baseline
    return None


def _alive(standings: Sequence[Standing]) -> list[Standing]:
    return [each for each in standings if each.kind == SINGLE_TASK and each.progress != "failed"]


def _set_aside(plan: Plan, standings: Sequence[Standing]) -> int:
    """Training samples that a single-task trial still needs to get to full length."""
    if plan.budget is None or not plan.by_rungs or SINGLE_TASK not in plan.kinds():
        return 0
    alive = _alive(standings)
    tried = sum(each.kind == SINGLE_TASK for each in standings)
    if not alive and tried > plan.tries:
        return 0  # every one that was planned has failed
    rungs = plan.rules.rungs
    highest = max((each.begun for each in alive), default=0)
    return rungs[-1] - (rungs[highest - 1] if highest else 0)


def _baseline_on(standings: Sequence[Standing], rules: Rules) -> Promotion | None:
    """The step of the best single-task trial of the highest rung, where that is not the last."""
    alive = _alive(standings)
    highest = max((len(each.results) for each in alive), default=0)
    if highest in (0, len(rules.rungs)):
        return None
    there = [each for each in alive if len(each.results) == highest]
    values = np.array([each.results[-1] for each in there])
    best = there[int(best_first(values, rules.objectives, rules.reference, rules.tie_break)[0])]
    return Promotion(best.number, highest, floor=True)
