"""The written reason of a pick."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.errors import listed
from bench.frontier.estimates import confirmed, estimate, replicated, rows_of
from bench.frontier.gains import Baseline
from bench.frontier.judging import Judge
from bench.frontier.policy import Policy
from bench.frontier.rules import PICK_RULES
from bench.objectives import Objective
from bench.records import Point
from bench.rows import CONFIRM, NAMES


def name(point: Point) -> str:
    """How a sentence names a point."""
    return f"{point.name} ({point.architecture}, {point.balancing})"


def size(record: Point) -> float:
    """The model's parameters; infinite where they were not counted, so that they win no tie."""
    return record.metrics.get("cost/parameters", math.inf)


def because(policy: Policy, ranked: Sequence[tuple[float, Point]], guarded: bool) -> str:
    """Why the first of the ranked points is first. Completes "trial 7 is picked because it ..."."""
    (score, chosen), *others = ranked
    if not others:
        return f"is the only point of the front{' that the guard lets through' if guarded else ''}"
    equals = [record for other, record in others if other == score]
    if not equals:
        best = policy.epsilon.best if policy.epsilon else ""
        points = f"{len(ranked)} points"
        return PICK_RULES[policy.rule].because.format(score=score, distance=abs(score), best=best, points=points)
    how = "the smaller model" if size(chosen) < size(equals[0]) else "the earlier trial"
    if chosen.number == equals[0].number:
        how = "the shorter training"
    return f"is {how} of {len(equals) + 1} points that the rule '{policy.rule}' puts first together"


def values(
    record: Point, objectives: Sequence[Objective], gain: Mapping[str, float], against: Mapping[str, Baseline]
) -> str:
    """Its objectives, each with its gain over the baseline, and where the numbers come from."""
    parts, split = [], rows_of([record])
    for objective in objectives:
        part = f"{objective.key(split)} {estimate(record, objective.name):.5g}"
        if objective.name in against:
            part += f" ({gain[objective.name] + 0.0:+.2g} against single-task)"
        parts.append(part)
    runs = len(replicated(record, objectives[0].key(CONFIRM)))
    basis = "one run in the search, not yet confirmed"
    if confirmed(record):
        basis = f"{f'means of {runs} replicates' if runs > 1 else 'one replicate'} on {NAMES[CONFIRM]}"
    return f"It reaches {', '.join(parts)} ({basis}; gains are positive where it is better)."


def guarded(policy: Policy, objectives: Sequence[Objective], judge: Judge, removed: int, points: int) -> str:
    """What the guard allowed and took away, and what it could not judge, and why."""
    guard = policy.guard
    unjudged = {each.name: judge.unjudged(each) for each in objectives}
    limits = {each.name: limit for each in objectives if not unjudged[each.name] and (limit := guard.limit(each))}
    sure = "" if guard.confidence is None else f" with {guard.confidence:.0%} confidence"
    judged = [f"{limit.loss:.3g} in {name}{sure}" for name, limit in limits.items() if not limit.in_errors]
    if counted := [name for name, limit in limits.items() if limit.in_errors]:
        judged.append(f"{guard.max_loss_in_standard_errors:g} standard errors in {listed(counted)}")
    sentences = []
    if judged:
        sentences.append(
            f"The guard, no loss against single-task beyond {', '.join(judged)}, "
            f"removed {removed} of the front's {points} points."
        )
    bounds = [f"{name} at most {bound:g}" for name, bound in guard.at_most.items()]
    bounds += [f"{name} at least {bound:g}" for name, bound in guard.at_least.items()]
    bounds += [f"{name} from {low:g} to {high:g}" for name, (low, high) in guard.within.items()]
    bounds += [] if guard.p_nondominated is None else [f"P(non-dominated) at least {guard.p_nondominated:g}"]
    subject_to = policy.epsilon.subject_to if policy.epsilon else {}
    sides = {each.name: "least" if each.sign > 0 else "most" for each in objectives}
    bounds += [f"{name} at {sides[name]} {bound:g}" for name, bound in subject_to.items()]
    if bounds:
        sentences.append(f"It keeps the guard's bounds: {', '.join(bounds)}.")
    for why in dict.fromkeys(filter(None, unjudged.values())):
        names = ", ".join(name for name, each in unjudged.items() if each == why)
        sentences.append(f"The guard could not judge {names}: {why}.")
    return " ".join(sentences)
