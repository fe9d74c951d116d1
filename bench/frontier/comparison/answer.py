"""Does any gradient method lie beyond the front of tuned static weights? One of three answers, or why there is none.

The question is Kurin et al.'s and Xin et al.'s (both NeurIPS 2022): whether manipulating gradients gains anything that
well chosen static weights do not. Models that share nothing have nothing to weigh, and are left out on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.errors import listed
from bench.frontier.comparison.beyond import Beyond, beyond
from bench.frontier.comparison.families import Member
from bench.frontier.comparison.units import common_units
from bench.frontier.comparison.verdict import Word
from bench.frontier.intervals import LEVEL
from bench.frontier.samples import Sample
from bench.objectives import Objective, in_thousandths

MARGIN = 0.5
"""In thousandths, where all objectives are read so."""
MARGIN_OF_WAY = 0.2
"""Else in percent of the way from the reference to the best: that of .5e-3 in an AUC of .75."""
LEAST_WEIGHTS = 7


@dataclass(frozen=True)
class Answer:
    """The answer, and the sentence that gives it.

    Attributes:
        weights: how many different static weights were confirmed with two replicates or more.
    """

    verdict: Word
    sentence: str
    weights: int = 0

    def to_json(self) -> dict[str, str | int]:
        """The answer as every document has it."""
        return {"verdict": self.verdict, "sentence": self.sentence, "static_weights": self.weights}


def answer(
    members: Sequence[Member], objectives: Sequence[Objective], reference: Mapping[str, float], split: str, run: str
) -> Answer:
    """Answers it for points on one data set, of which those with two replicates or more on `split` count.

    Args:
        run: its name, for the command that adds static weights.
    """
    measured = sorted({objective.name.partition(".")[0] for objective in objectives if objective.is_metric})
    if len(measured) == 1:
        return _silent(f"{measured[0]} is the only task measured; one task needs no balancing.")
    static, gradient = _repeated(members, objectives, split)
    weights = len({member.weights for member, _ in static})
    if not gradient:
        return _silent("no gradient method has a confirmed point with two replicates.", weights)
    if weights < LEAST_WEIGHTS:
        have = f"{weights} static weight{'' if weights == 1 else 's'}, at least {LEAST_WEIGHTS} are needed"
        return _silent(f"{have}; `seesaw confirm {run} --static {LEAST_WEIGHTS}` adds them.", weights)
    means = np.array([sample.mean for _, sample in (*static, *gradient)])
    units, unit = common_units(objectives, reference, means)
    margin = MARGIN if all(in_thousandths(objective.name) for objective in objectives) else MARGIN_OF_WAY
    scale = np.array([objective.sign for objective in objectives]) / units
    found = beyond([sample for _, sample in static], [sample for _, sample in gradient], scale, margin)
    assert found is not None  # every point has two replicates
    methods = [member.method for member, _ in gradient]
    return Answer(found.verdict, _sentence(found, methods, weights, unit), weights)


def _silent(reason: str, weights: int = 0) -> Answer:
    return Answer("cannot say", f"This run cannot say: {reason}", weights)


def _repeated(
    members: Sequence[Member], objectives: Sequence[Objective], split: str
) -> tuple[list[tuple[Member, Sample]], list[tuple[Member, Sample]]]:
    """Static and gradient points that have two replicates or more, with their samples."""
    found = [(member, sample) for member in members if (sample := member.sample(objectives, split)) is not None]
    found = [(member, sample) for member, sample in found if len(sample) > 1]
    return [one for one in found if one[0].weights is not None], [one for one in found if one[0].gradient]


def _sentence(found: Beyond, methods: Sequence[str], weights: int, unit: str) -> str:
    front = f"the front of {weights} static weights"
    margin = f"the margin of {found.margin:g} {unit}"
    if found.verdict == "yes":
        best = int(np.where(found.sure, found.low, -np.inf).argmax())
        names = sorted({method for method, sure in zip(methods, found.sure, strict=True) if sure})
        value = _value(found.value[best], found.low[best], found.high[best])
        verb = "lies" if len(names) == 1 else "lie"
        return f"Yes: {listed(names)} {verb} beyond {front} by more than {margin}: by {value}."
    value = _value(found.value.max(), found.low.max(), found.high.max())
    if found.verdict == "no":
        return f"No: no gradient method lies beyond {front} by more than {margin}; the farthest lies {value} beyond it."
    yes, no = found.chances
    text = (
        f"Cannot tell: the farthest gradient point lies {value} beyond {front}, the margin is {found.margin:g} {unit}. "
        f"With these replicates, a run answers yes in {yes:.0%} of cases if the gradient front lies two margins "
        f"beyond, and no in {no:.0%} if the fronts are equal"
    )
    if found.low.max() > found.margin:
        return f"{text}. No gradient point is certainly better than a static one in every task: add static weights."
    if found.needed is None:
        return f"{text}; more replicates alone will not settle it."
    return f"{text}; about {found.needed} replicates of each point would bring both to 80%."


def _value(value: float, low: float, high: float) -> str:
    return f"{value:+.2f} ({LEVEL:.0%} CI {low:+.2f} to {high:+.2f})"
