"""What a policy maximises, as the search for weights has it: U of a model's outcomes, and the least
that each must be.

With a current point U is the policy's rule, within its limits. Without one nobody knows what is
served. Under `knee` models are then compared at anchors: all outcomes equally important, then each
in turn `TILT` times as important as the others. Pages show such anchors under every rule: each
outcome in turn `TILT` times as important as the rule has it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.core.arrays import Floats
from bench.core.errors import UserError
from bench.core.objectives import adds_up, metric_of
from bench.deciding.policy import (
    LOSS,
    PICK_RULES,
    PickRule,
    Policy,
    Terms,
    share_of_current,
    weighted,
)
from bench.ledger.effect import Effect

TILT = 3.0


@dataclass(frozen=True)
class PolicyAim:
    """A policy's rule over M outcomes with its floors; see `bench.ledger.served.climb.Aim`.

    Attributes:
        name: what tells it from others; `title` for people.
        rule: of `PICK_RULES`; empty where weights are values of what happens.
        weights: (M,), of sum 1; of values: what all of an outcome is worth.
        shares: (M,), of the base's outcome that must be kept, 0 where nothing is asked.
        minimums: (M,), the same as numbers.
        chance: whether no outcome may be below that of a random order.
        left_out: what else the rule weighs, such as a cost, and U has no part of.
        best: the outcome that `epsilon` has best; else empty.
    """

    name: str
    rule: str
    weights: tuple[float, ...]
    shares: tuple[float, ...]
    minimums: tuple[float, ...]
    chance: bool
    title: str = ""
    left_out: tuple[str, ...] = ()
    best: str = ""

    def score(self, values: Floats, base: Floats) -> Floats:
        """U (...) of outcomes (..., M): of `knee` the mean logarithm of their ratios, else a
        fraction.
        """
        positive_base: Floats = np.maximum(base, 1e-9)
        gains = np.asarray(values / positive_base - 1)
        weights = np.array(self.weights)
        earned = self.earned(positive_base)
        if earned is not None:
            weights = earned / earned.sum()
        outcomes = len(positive_base)
        terms = Terms(weights, signs=np.ones(outcomes), linear=np.zeros(outcomes, dtype=bool))
        if self._rule is None or self._rule.relative:
            return weighted(gains, terms)
        return np.asarray(self._rule.score(gains, terms))

    @property
    def _rule(self) -> PickRule | None:
        return PICK_RULES[self.rule] if self.rule else None

    @property
    def is_logarithmic(self) -> bool:
        """Whether U is a mean of logarithms."""
        return self._rule is not None and self._rule.logarithmic

    def fraction(self, difference: Floats) -> Floats:
        """Differences of U as fractions, so that .01 is 1%: of a mean logarithm exp - 1."""
        if self.is_logarithmic:
            return np.expm1(difference)
        return np.asarray(difference)

    def share(self, part: Effect, whole: Effect) -> float:
        """Which share of an effect a part of it is, both as fractions: shares of all its parts sum
        to 1.
        """
        if self.is_logarithmic:  # parts multiply
            return math.log1p(part.value) / math.log1p(whole.value)
        return part.value / whole.value

    def effect(self, difference: Effect) -> Effect:
        """An effect on U as fractions."""
        numbers = np.array([difference.value, difference.low, difference.high])
        return Effect(*self.fraction(numbers).tolist())

    def earned(self, base: Floats) -> Floats | None:
        """(M,) of what each of a base's outcomes (M,) earns; None where weights are no values."""
        if self.rule:
            return None
        return np.array(self.weights) * base

    def floors(self, base: Floats, chance: Floats) -> Floats:
        """(M,), what each outcome must have at least."""
        floors = np.maximum(np.array(self.shares) * base, np.array(self.minimums))
        if self.chance:
            floors = np.maximum(floors, chance)
        return np.asarray(floors)


def aims_of(
    policy: Policy, outcomes: Sequence[str], rates: Mapping[str, float], today: bool
) -> tuple[PolicyAim, ...]:
    """The aims that weights are chosen for, the policy's own first.

    With a current point that is U within the policy's limits, and again without any loss: noise may
    break a limit. Then the anchors.

    Args:
        rates: mean label by task, on all impressions.
        today: whether somebody said what is served.

    Raises:
        UserError: values of what is not served, or does not add up.
    """
    weights = _weights(policy, outcomes, rates)
    floors = _floors(policy, outcomes, today)
    best = ""
    if policy.epsilon and policy.epsilon.best in outcomes:
        best = policy.epsilon.best
    template = PolicyAim(
        name="",
        rule="" if policy.values else policy.rule,
        weights=tuple(weights),
        shares=tuple(floors.shares),
        minimums=tuple(floors.minimums),
        chance=not today,
        left_out=_left_out(policy, outcomes),
        best=best,
    )

    def aim(title: str, weights: Sequence[float], shares: Sequence[float]) -> PolicyAim:
        name = f"{title} {policy.rule} {list(weights)} {list(shares)} {floors.minimums}"
        return replace(
            template, name=name, title=title, weights=tuple(weights), shares=tuple(shares)
        )

    has_anchors = policy.rule == "knee" and not today
    aims = [aim("all count alike" if has_anchors else "the policy", weights, floors.shares)]
    if today:
        lossless = [max(1.0, share) if share else 0.0 for share in floors.shares]
        aims.append(aim("no loss", weights, lossless))
    for place, outcome in enumerate(outcomes):
        if 0 < weights[place] < sum(weights):  # else nothing changes
            title = f"{outcome} counts {TILT:g} times"
            aims.append(aim(title, _tilted(weights, place), floors.shares))
    return tuple(aims)


def _tilted(weights: Sequence[float], place: int) -> list[float]:
    """Weights of sum 1 of which one counts `TILT` times."""
    tilted = np.array(weights)
    tilted[place] *= TILT
    return list((tilted / tilted.sum()).tolist())


def _left_out(policy: Policy, outcomes: Sequence[str]) -> tuple[str, ...]:
    """Metrics that the rule weighs and that are no outcomes."""
    if policy.values:
        return ()
    weights = policy.weighed(outcomes)
    return tuple(name for name, weight in weights.items() if weight and name not in outcomes)


def _weights(policy: Policy, outcomes: Sequence[str], rates: Mapping[str, float]) -> list[float]:
    """(M,), those of outcomes in the policy's rule; equal where it reads none of them."""
    if policy.values:
        return _values(policy, outcomes, rates)
    asked = policy.weighed(outcomes)
    weights = np.array([asked.get(name, 0.0) for name in outcomes])
    if weights.sum() <= 0:
        weights = np.ones(len(outcomes))
    return list((weights / weights.sum()).tolist())


def _values(policy: Policy, outcomes: Sequence[str], rates: Mapping[str, float]) -> list[float]:
    """(M,), what all of each outcome is worth, per impression."""
    served_tasks = {_task_of(name) for name in outcomes}
    for task in policy.values:
        if task not in served_tasks:
            raise UserError(
                f"values: expected a task whose outcome is served, found '{task}'; served are "
                f"{outcomes}"
            )
    values = []
    for name in outcomes:
        task = _task_of(name)
        value = policy.values.get(task, 0.0)
        if value and not adds_up(metric_of(name)):
            raise UserError(
                f"values: expected outcomes that add up, such as {task}.recall@10%, found "
                f"'{name}'; name such outcomes in the suite, or beside the values, as in "
                f"--at-least {task}.recall@10%=0"
            )
        values.append(value * rates.get(task, 0.0))
    if not sum(values) > 0:
        raise UserError(
            f"values: expected a task that happens and has a value above 0, found {policy.values}"
        )
    return values


def _task_of(outcome: str) -> str:
    return outcome.partition(".")[0]


@dataclass(frozen=True)
class Floors:
    """What a policy's limits ask of outcomes at least: (M,) shares of the base and (M,) numbers."""

    shares: list[float]
    minimums: list[float]


def _floors(policy: Policy, outcomes: Sequence[str], today: bool) -> Floors:
    shares = dict.fromkeys(outcomes, 0.0)
    minimums = dict.fromkeys(outcomes, 0.0)
    for bound in policy.bounds:
        name = bound.metric
        if name not in shares or bound.is_floor is False:
            continue
        share = share_of_current(bound.value)
        if share is None:
            minimums[name] = max(minimums[name], float(bound.value))
        else:
            shares[name] = max(shares[name], share)

    losses = policy.losses(outcomes) if today else {}
    for name, loss in losses.items():
        if name in shares:
            allowed = LOSS if loss is None else loss
            shares[name] = max(shares[name], 1 - allowed, 0.0)
    return Floors(list(shares.values()), list(minimums.values()))
