"""A policy applied to choices: which keep its guard and bounds, what the others break, and its
rule's scores.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.errors import UserError, check_known
from bench.core.rows import CONFIRM
from bench.deciding.choices import Choices
from bench.deciding.limits import AllowedLoss, Bound, Chance, Everywhere, Limit, Noise
from bench.deciding.policy import (
    LOSS,
    PICK_RULES,
    Policy,
    Terms,
    WrittenBound,
    share_of_current,
)
from bench.deciding.remedies import Breach, Remedy


class Judge:
    """A policy applied to choices: those that keep its limits, the limits that the others break,
    and its rule's scores.

    Attributes:
        limits: all on metrics, which are `names`; and in `segments` that on all segments, if there
            is one.
        passing: (rows,), which pass the guard: what is limited by a share of current all together
            with its confidence.
        noise: (rows,), which would pass by their means, and fail by noise alone.
        unsure: whether none does so with the default confidence, so that means decide.
        unjudged: by objective why the guard cannot judge its loss.
        scored: the metrics that the rule scores, and `terms` how it weighs them.

    Raises:
        UserError: the policy names an unknown metric, or asks what is not known (a current point,
            its value, noise, or outcomes by segment).
    """

    def __init__(self, policy: Policy, choices: Choices) -> None:
        self.policy, self.choices = policy, choices
        self.unjudged: dict[str, str] = {}
        self.limits: list[Limit] = [*map(self._bound, policy.bounds), *self._losses()]
        self.segments = self._segments()
        self._apply()
        if not self.passing.any():
            self._drop_chance()
        self.names = list(dict.fromkeys(limit.name for limit in self.limits))
        self.unsure = self._decide_by_means()
        self.scored, self.terms = self._rule()

    def _apply(self) -> None:
        """Sets which choices pass all limits."""
        drawn = [limit.drawn for limit in self.limits if limit.confidence is not None]
        self.sure = np.ones(len(self.choices))
        if drawn:
            self.sure = np.logical_and.reduce(drawn).mean(axis=0)

        self.passing: NDArray[np.bool_] = np.asarray(self.sure >= self.policy.guard.confidence)
        by_means = np.ones(len(self.choices), dtype=bool)
        for limit in self.limits:
            self.passing &= limit.passing
            by_means &= limit.kept(limit.means)
        for segments in self.segments:
            self.passing &= segments.passing
            by_means &= segments.passing
        self.noise: NDArray[np.bool_] = np.logical_and(by_means, ~self.passing)

    def _drop_chance(self) -> None:
        """Without the limits by a random order, where no choice reaches it in every outcome."""
        refusing = [limit for limit in self.limits if isinstance(limit, Chance)]
        if not refusing:
            return
        self.limits = [limit for limit in self.limits if not isinstance(limit, Chance)]
        for limit in refusing:
            self.unjudged[limit.name] = "no choice reaches a random order in every outcome"
        self._apply()

    def _decide_by_means(self) -> bool:
        """Lets means decide where no choice passes with the default confidence; whether they do."""
        by_default = "confidence" not in self.policy.guard.model_fields_set
        has_confidence = any(limit.confidence for limit in self.limits)
        if not by_default or not has_confidence or self.passing.any():
            return False
        self.limits = [replace(limit, confidence=None) for limit in self.limits]
        self._apply()
        return True

    def scores(self, values: Floats) -> Floats:
        """The rule's scores (..., rows) of values (..., rows, scored); minus infinity where a value
        is missing.
        """
        rule = PICK_RULES[self.policy.rule]
        scores = rule.score(self.choices.gains(self.scored, values), self.terms)
        return np.where(np.isfinite(scores), scores, -np.inf)

    def keeps(self, values: Floats, tolerance: float = 0.0) -> NDArray[np.bool_]:
        """Which rows keep all limits: (..., rows), of values (..., rows, names); see
        `Limit.kept`.
        """
        keeping = np.ones(values.shape[:-1], dtype=bool)
        for limit in self.limits:
            keeping &= limit.kept(values[..., self.names.index(limit.name)], tolerance)
        return keeping

    def broken(self, row: int) -> list[Breach]:
        """What a row does not keep."""
        breaches = [limit.breach(row) for limit in self.limits if not limit.passing[row]]
        if not breaches and self.sure[row] < self.policy.guard.confidence:
            breaches.append(self._breach_of_confidence(row))
        for segments in self.segments:
            breaches += segments.breaches(row)
        return breaches

    def _breach_of_confidence(self, row: int) -> Breach:
        """Of a row that keeps each limit with the confidence asked, but not all together."""
        asked = self.policy.guard.confidence
        sure = math.floor(100 * float(self.sure[row])) / 100
        text = (
            f"it keeps all shares of current's values with {sure:.0%} confidence, where "
            f"{asked:.0%} is asked"
        )
        return Breach(text, asked - sure, Remedy("guard.confidence", None, max(sure, 0.5)))

    def _rule(self) -> tuple[list[str], Terms]:
        """The metrics that the rule scores, and how it weighs them."""
        policy, choices = self.policy, self.choices
        weights = policy.weighed(choices.names)
        if policy.values:
            if choices.earns is None:
                raise UserError(
                    "values: expected a served front, whose outcomes say what happens; found none"
                )
            weights = dict(zip(choices.names, choices.earns.tolist(), strict=True))
        for name in weights:
            where = policy.where("epsilon.best", name) if policy.epsilon else "weights"
            choices.check(name, where, directed=True)

        scored = [name for name, weight in weights.items() if weight > 0]
        positive = np.array([weights[name] for name in scored])
        terms = Terms(
            weights=positive / positive.sum(),
            signs=np.array(list(map(choices.sign, scored))),
            linear=np.array(list(map(choices.in_thousandths, scored))),
        )
        return scored, terms

    def _bound(self, written: WrittenBound) -> Bound:
        choices, name = self.choices, written.metric
        where = self.policy.where(written.setting, name)
        choices.check(name, where, directed=written.is_floor is None)
        sign = choices.sign(name)
        if written.is_floor is not None:
            sign = 1.0 if written.is_floor else -1.0

        number, confidence = share_of_current(written.value), None
        is_share = number is not None
        if number is None:
            number = float(written.value)
        else:
            self._check_share(written, where)
            confidence = self._confidence(name)
        return Bound(
            choices=choices,
            name=name,
            sign=sign,
            setting=written.setting,
            bound=number,
            relative=is_share,
            confidence=confidence,
            written=written.value,
        )

    def _check_share(self, written: WrittenBound, where: str) -> None:
        """Raises a UserError where current has no share that could be kept."""
        now = self._current(written.metric, where)
        if now <= 0:
            raise UserError(
                f"{where}: expected a number for '{written.metric}', as current's value {now:.6g} "
                f"is not above 0, found '{written.value}'"
            )

    def _losses(self) -> Iterator[Limit]:
        """Of what the policy names, and by default of the objectives that it does not bound
        otherwise.
        """
        choices, setting = self.choices, "guard.max_loss_vs_current"
        for name in self.policy.guard.losses:
            choices.check(name, setting, directed=True)
        objectives = [name for name in choices.names if not name.startswith("cost/")]
        losses = self.policy.losses(objectives)
        if choices.served and not choices.today:
            asked = [loss for loss in losses.values() if loss is not None]
            if any(loss < math.inf for loss in asked):
                self._current("", setting)
            yield from self._chances()
            return

        for name, loss in losses.items():
            if loss is not None:
                if loss < math.inf:
                    yield self._allowed_loss(name, loss, setting)
            elif choices.current is None:
                self.unjudged[name] = "there is no current point"
            elif choices.served:
                yield self._allowed_loss(name, LOSS, setting)
            else:
                yield from self._noise(name)

    def _chances(self) -> Iterator[Chance]:
        """That of a random order, of outcomes that have no bound from below by the policy."""
        bounds = self.policy.bounds
        bounded = {bound.metric for bound in bounds if bound.is_floor is not False}
        for name, value in self.choices.chance.items():
            if name not in bounded:
                yield Chance(
                    choices=self.choices,
                    name=name,
                    sign=1.0,
                    setting="guard.at_least",
                    bound=value,
                )

    def _noise(self, name: str) -> Iterator[Noise]:
        """What noise allows an objective of the heads to lose."""
        count = self.policy.guard.max_loss_in_standard_errors
        if count == math.inf:
            return
        if not len(self.choices.drawn):
            self.unjudged[name] = "no point has two replicates, which tell the noise"
            return
        yield Noise(
            choices=self.choices,
            name=name,
            sign=self.choices.sign(name),
            setting="guard.max_loss_in_standard_errors",
            keyed=False,
            count=count,
        )

    def _allowed_loss(self, name: str, allowed: float, setting: str) -> AllowedLoss:
        self._current(name, setting)
        sign = self.choices.sign(name)
        return AllowedLoss(
            choices=self.choices,
            name=name,
            sign=sign,
            setting=setting,
            keyed=not isinstance(self.policy.guard.max_loss_vs_current, float),
            bound=1 - sign * allowed,
            confidence=self._confidence(name),
        )

    def _segments(self) -> list[Everywhere]:
        choices, guard = self.choices, self.policy.guard.segments
        if guard is None:
            return []
        slices = choices.slices(CONFIRM)
        if not slices:
            raise UserError(
                "guard.segments: expected outcomes by segment, found none; they need [segments] "
                "on the data set's card and confirmed points with kept predictions"
            )
        self._current(choices.names[0], "guard.segments")
        losses = guard.max_loss
        if not isinstance(losses, dict):
            losses = dict.fromkeys(choices.names, losses)
        for name in losses:
            choices.check(name, "guard.segments.max_loss")

        kind_of = {slice: slice.partition("=")[0] for slice in slices}
        kinds = dict.fromkeys(kind_of.values())
        for kind in guard.of:
            check_known("segment", kind, kinds, "guard.segments.of")
        guarded = [slice for slice in slices if not guard.of or kind_of[slice] in guard.of]
        allowed = {name: losses[name] for name in choices.names if name in losses}
        return [Everywhere(guard, choices, guarded, allowed)]

    def _current(self, name: str, where: str) -> float:
        if self.choices.current is None or (self.choices.served and not self.choices.today):
            raise UserError(
                f"{where}: expected a current point to compare with, found none: nobody said what "
                "is served today; name it (--current of a run, --score or --weights of a log), or "
                "bound the outcome by a number"
            )
        value = float(self.choices.values([name])[self.choices.current, 0])
        if math.isnan(value):
            raise UserError(
                f"{where}: expected a value of '{name}' for the current point, found none"
            )
        return value

    def _confidence(self, name: str) -> float | None:
        """The share of draws in which a limit on what current has must be kept; None of what is not
        drawn.
        """
        guard, choices = self.policy.guard, self.choices
        if name in choices.names and len(choices.drawn) and not name.startswith("cost/"):
            return guard.confidence
        if "confidence" in guard.model_fields_set and not name.startswith("cost/"):
            raise UserError(
                f"guard.confidence: expected posterior draws of '{name}', found none; confirm with "
                "confirm.replicates = 2 or more"
            )
        return None
