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
from dataclasses import dataclass

import numpy as np

from bench.core.arrays import Floats
from bench.core.errors import UserError
from bench.core.objectives import adds_up, metric_of
from bench.deciding.policy import LOSS, PICK_RULES, Policy, Terms, share_of_current, weighted
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
        least: (M,), the same as numbers.
        chance: whether no outcome may be below that of a random order.
        left_out: what else the rule weighs, such as a cost, and U has no part of.
        best: the outcome that `epsilon` has best; else empty.
    """

    name: str
    rule: str
    weights: tuple[float, ...]
    shares: tuple[float, ...]
    least: tuple[float, ...]
    chance: bool
    title: str = ""
    left_out: tuple[str, ...] = ()
    best: str = ""

    def score(self, values: Floats, base: Floats) -> Floats:
        """U (...) of outcomes (..., M): of `knee` the mean logarithm of their ratios, else a
        fraction.
        """
        known: Floats = np.maximum(base, 1e-9)
        gains, weights = np.asarray(values / known - 1), np.array(self.weights)
        if (earned := self.earned(known)) is not None:
            weights = earned / earned.sum()
        terms = Terms(weights, np.ones(len(known)), np.zeros(len(known), dtype=bool))
        of = (
            weighted
            if not self.rule or PICK_RULES[self.rule].relative
            else PICK_RULES[self.rule].score
        )
        return np.asarray(of(gains, terms))

    def fraction(self, difference: Floats) -> Floats:
        """Differences of U as fractions, so that .01 is 1%: of a mean logarithm exp less 1."""
        logarithmic = bool(self.rule) and PICK_RULES[self.rule].logarithmic
        return np.expm1(difference) if logarithmic else np.asarray(difference)

    def share(self, part: Effect, whole: Effect) -> float:
        """Which share of an effect a part of it is, both as fractions: shares of all its parts sum
        to 1.
        """
        logarithmic = bool(self.rule) and PICK_RULES[self.rule].logarithmic
        if logarithmic:  # parts multiply
            return math.log1p(part.value) / math.log1p(whole.value)
        return part.value / whole.value

    def effect(self, difference: Effect) -> Effect:
        """An effect on U as fractions."""
        return Effect(
            *self.fraction(np.array([difference.value, difference.low, difference.high])).tolist()
        )

    def earned(self, base: Floats) -> Floats | None:
        """(M,) of what each of a base's outcomes (M,) earns; None where weights are no values."""
        return None if self.rule else np.array(self.weights) * base

    def floors(self, base: Floats, chance: Floats) -> Floats:
        """(M,), what each outcome must have at least."""
        asked = np.maximum(np.array(self.shares) * base, np.array(self.least))
        return np.asarray(np.maximum(asked, chance)) if self.chance else asked


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
    rule, weights = policy.rule, _weights(policy, outcomes, rates)
    shares, least = _floors(policy, outcomes, today)
    weighed = {} if policy.values else policy.weighed(outcomes)
    left_out = tuple(name for name, weight in weighed.items() if weight and name not in outcomes)

    def aim(name: str, of: Sequence[float], keep: Sequence[float]) -> PolicyAim:
        text = f"{name} {rule} {list(of)} {list(keep)} {least}"
        scored_by = "" if policy.values else rule
        best = policy.epsilon.best if policy.epsilon and policy.epsilon.best in outcomes else ""
        return PolicyAim(
            text, scored_by, tuple(of), tuple(keep), tuple(least), not today, name, left_out, best
        )

    lossless = [max(1.0, share) if share else 0.0 for share in shares]
    first = "all count alike" if rule == "knee" and not today else "the policy"
    aims = [aim(first, weights, shares), *([aim("no loss", weights, lossless)] if today else [])]
    tilted = np.array(weights) * (1 + (TILT - 1) * np.eye(len(outcomes)))
    for name, each, own in zip(outcomes, tilted, weights, strict=True):
        if 0 < own < sum(weights):  # else nothing changes
            aims.append(aim(f"{name} counts {TILT:g} times", (each / each.sum()).tolist(), shares))
    return tuple(aims)


def _weights(policy: Policy, outcomes: Sequence[str], rates: Mapping[str, float]) -> list[float]:
    """(M,), those of outcomes in the policy's rule; equal where it reads none of them."""
    if policy.values:
        return _values(policy, outcomes, rates)
    asked = policy.weighed(outcomes)
    weights = np.array([asked.get(name, 0.0) for name in outcomes])
    weights = weights if weights.sum() > 0 else np.ones(len(outcomes))
    return [float(each) for each in weights / weights.sum()]


def _values(policy: Policy, outcomes: Sequence[str], rates: Mapping[str, float]) -> list[float]:
    """(M,), what all of each outcome is worth, per impression."""
    values = []
    for task in policy.values:
        own = [name for name in outcomes if name.partition(".")[0] == task]
        if not own:
            raise UserError(
                f"values: expected a task whose outcome is served, found '{task}'; served are "
                f"{outcomes}"
            )
    for name in outcomes:
        task, value = name.partition(".")[0], policy.values.get(name.partition(".")[0], 0.0)
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


def _floors(
    policy: Policy, outcomes: Sequence[str], today: bool
) -> tuple[list[float], list[float]]:
    """(M,) shares of the base and (M,) numbers that the policy's limits ask for at least."""
    shares, least = dict.fromkeys(outcomes, 0.0), dict.fromkeys(outcomes, 0.0)
    for _, name, floor, bound in policy.bounds:
        if name in shares and floor is not False:
            share = share_of_current(bound)
            of, value = (shares, share) if share is not None else (least, float(bound))
            of[name] = max(of[name], value)
    for name, loss in policy.losses(outcomes).items() if today else ():
        if name in shares:
            shares[name] = max(shares[name], 1 - (LOSS if loss is None else loss), 0.0)
    return list(shares.values()), list(least.values())
