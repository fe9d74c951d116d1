"""Does any gradient method leave the front of tuned static weights? One sentence, with its intervals.

The question is Kurin et al.'s and Xin et al.'s (both NeurIPS 2022): whether manipulating gradients gains anything that
well chosen static weights do not. Models that share nothing have nothing to weigh, and are left out on both sides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.errors import listed
from bench.frontier.comparison.comparison import FrontTest, compare
from bench.frontier.comparison.differences import LEVEL, Estimate
from bench.frontier.comparison.families import Member
from bench.frontier.gains import BASELINE
from bench.objectives import Objective

MARGIN = 0.5
STATIC, GRADIENT = "static weights", "gradient methods"


@dataclass(frozen=True)
class Answer:
    """The answer: `yes`, `no` or `cannot tell`, the sentence, and what it rests on, where that could be compared."""

    verdict: Literal["yes", "no", "cannot tell"]
    sentence: str
    test: FrontTest | None = None


def answer(
    members: Iterable[Member],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    split: str,
    seed: int,
    gradient: Collection[str],
) -> Answer:
    """Answers it for confirmed points on one data set; `gradient` are the balancing kinds that work on gradients."""
    shared = [member for member in members if member.point.sharing != BASELINE]
    sides = {
        GRADIENT: [member for member in shared if member.point.balancing in gradient],
        STATIC: [member for member in shared if member.point.balancing == "static"],
    }
    measured = sorted({objective.name.partition(".")[0] for objective in objectives if objective.is_metric})
    if len(measured) == 1 and not sides[GRADIENT]:
        return Answer(
            "cannot tell", f"Cannot tell: {measured[0]} is the only task measured; one task needs no balancing."
        )
    missing = [name for name, side in sides.items() if not side]
    if missing:
        return Answer("cannot tell", f"Cannot tell: no confirmed point that shares a model has {' or '.join(missing)}.")
    found = compare(sides, objectives, reference, split, seed)
    test = found.fronts[0]
    volume = f"hypervolume of gradient methods minus that of static weights {told(test.difference, '+.5f')}"
    epsilon = f"{told(test.beyond.estimate, '+.2f')} ({found.unit})"
    if test.beyond.estimate.sign > 0:
        who = sorted({sides[GRADIENT][row].point.balancing for row in test.beyond.leaving})
        text = f"Yes: {listed(who)} {'leaves' if len(who) == 1 else 'leave'} the front of static weights, which would "
        return Answer("yes", text + f"have to rise by {epsilon} in every objective to cover it; {volume}.", test)
    if test.beyond.estimate.sign < 0:
        ahead = f"{told(test.beyond.estimate.negative, '+.2f')} ({found.unit})"
        return Answer(
            "no", f"No: static weights are ahead of all gradient methods by {ahead} in every objective; {volume}.", test
        )
    text = f"Cannot tell: to cover all gradient methods, the front of static weights would have to rise by {epsilon} "
    return Answer("cannot tell", text + f"in every objective; {volume}{_more(test)}.", test)


def told(estimate: Estimate, form: str) -> str:
    """A value with its interval."""
    if estimate.interval is None:
        return f"{estimate.value:{form}} (without interval: no point has two replicates)"
    low, high = estimate.interval
    return f"{estimate.value:{form}}, {LEVEL:.0%} CI {low:{form}} to {high:{form}}"


def _more(test: FrontTest) -> str:
    needed = test.beyond.needed
    return "" if needed is None else f"; about {needed} seeds of each point would tell, were it so"
