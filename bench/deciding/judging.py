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
from bench.deciding.policy import LOSS, PICK_RULES, Policy, Terms, share_of_current
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
        self.limits: list[Limit] = [*self._bounds(), *self._losses()]
        self.segments = self._segments()
        self._apply()
        if not self.passing.any() and (
            below := [each for each in self.limits if isinstance(each, Chance)]
        ):
            self.limits = [each for each in self.limits if not isinstance(each, Chance)]
            self.unjudged |= {
                each.name: "no choice reaches a random order in every outcome" for each in below
            }
            self._apply()
        self.names = list(dict.fromkeys(limit.name for limit in self.limits))
        by_default = "confidence" not in policy.guard.model_fields_set
        self.unsure = (
            by_default and any(each.confidence for each in self.limits) and not self.passing.any()
        )
        if self.unsure:
            self.limits = [replace(limit, confidence=None) for limit in self.limits]
            self._apply()
        self.scored, self.terms = self._rule()

    def _apply(self) -> None:
        of = [each.passing for each in self.limits] + [each.passing for each in self.segments]
        self.passing = np.logical_and.reduce([np.ones(len(self.choices), dtype=bool), *of])
        drawn = [each.drawn for each in self.limits if each.confidence is not None]
        self.sure = (
            np.logical_and.reduce(drawn).mean(axis=0) if drawn else np.ones(len(self.choices))
        )
        self.passing &= self.sure >= self.policy.guard.confidence
        means = [each.kept(each.means) for each in self.limits] + [
            each.passing for each in self.segments
        ]
        self.noise = np.logical_and.reduce([~self.passing, *means])

    def scores(self, values: Floats) -> Floats:
        """The rule's scores (..., rows) of values (..., rows, scored); minus infinity where a value
        is missing.
        """
        found = PICK_RULES[self.policy.rule].score(
            self.choices.gains(self.scored, values), self.terms
        )
        return np.where(np.isfinite(found), found, -np.inf)

    def keeps(self, values: Floats, tolerance: float = 0.0) -> NDArray[np.bool_]:
        """Which rows keep all limits: (..., rows), of values (..., rows, names); see
        `Limit.kept`.
        """
        found = np.ones(values.shape[:-1], dtype=bool)
        for limit in self.limits:
            found &= limit.kept(values[..., self.names.index(limit.name)], tolerance)
        return found

    def broken(self, row: int) -> list[Breach]:
        """What a row does not keep."""
        found = [limit.breach(row) for limit in self.limits if not limit.passing[row]]
        if not found and self.sure[row] < (asked := self.policy.guard.confidence):
            sure = math.floor(100 * float(self.sure[row])) / 100
            text = (
                f"it keeps all shares of current's values with {sure:.0%} confidence, where "
                f"{asked:.0%} is asked"
            )
            found.append(
                Breach(text, asked - sure, Remedy("guard.confidence", None, max(sure, 0.5)))
            )
        return found + [breach for each in self.segments for breach in each.breaches(row)]

    def _rule(self) -> tuple[list[str], Terms]:
        policy, choices = self.policy, self.choices
        weights = policy.weighed(choices.objectives)
        if policy.values:
            if choices.earns is None:
                raise UserError(
                    "values: expected a served front, whose outcomes say what happens; found none"
                )
            weights = dict(zip(choices.objectives, choices.earns.tolist(), strict=True))
        for name in weights:
            choices.check(
                name,
                policy.where("epsilon.best", name) if policy.epsilon else "weights",
                directed=True,
            )
        names = [name for name, weight in weights.items() if weight > 0]
        of = np.array([weights[name] for name in names])
        signs = np.array([choices.sign(name) for name in names])
        return names, Terms(
            of / of.sum(), signs, np.array([choices.in_thousandths(name) for name in names])
        )

    def _bounds(self) -> Iterator[Bound]:
        choices = self.choices
        for setting, name, floor, value in self.policy.bounds:
            where = self.policy.where(setting, name)
            choices.check(name, where, directed=floor is None)
            share = share_of_current(value)
            if share is not None and (now := self._current(name, where)) <= 0:
                raise UserError(
                    f"{where}: expected a number for '{name}', as current's value {now:.6g} is not "
                    f"above 0, found '{value}'"
                )
            sign = choices.sign(name) if floor is None else 1 if floor else -1
            yield Bound(
                choices=choices,
                name=name,
                sign=sign,
                setting=setting,
                bound=float(value) if share is None else share,
                relative=share is not None,
                confidence=None if share is None else self._confidence(name),
                written=value,
            )

    def _losses(self) -> Iterator[Limit]:
        """Of what the policy names, and by default of the objectives that it does not bound
        otherwise.
        """
        guard, choices, setting = self.policy.guard, self.choices, "guard.max_loss_vs_current"
        keyed = not isinstance(guard.max_loss_vs_current, float)
        for name in guard.losses:
            choices.check(name, setting, directed=True)
        losses = self.policy.losses(
            each for each in choices.objectives if not each.startswith("cost/")
        )
        if choices.served and not choices.today:
            if any(loss is not None and loss < math.inf for loss in losses.values()):
                self._current("", setting)
            own = {name for _, name, floor, *_ in self.policy.bounds if floor is not False}
            for name, value in choices.chance.items():
                if name not in own:
                    yield Chance(
                        choices=choices, name=name, sign=1.0, setting="guard.at_least", bound=value
                    )
            return
        count = guard.max_loss_in_standard_errors
        for name, loss in losses.items():
            sign = choices.sign(name)
            if loss is None and choices.current is None:
                self.unjudged[name] = "there is no current point"
            elif loss is None and not choices.served:
                where = "guard.max_loss_in_standard_errors"
                if count < math.inf and len(choices.draws):
                    yield Noise(
                        choices=choices,
                        name=name,
                        sign=sign,
                        setting=where,
                        keyed=False,
                        count=count,
                    )
                elif count < math.inf:
                    self.unjudged[name] = "no point has two replicates, which tell the noise"
            elif (allowed := LOSS if loss is None else loss) < math.inf:
                self._current(name, setting)
                yield AllowedLoss(
                    choices=choices,
                    name=name,
                    sign=sign,
                    setting=setting,
                    keyed=keyed,
                    bound=1 - sign * allowed,
                    confidence=self._confidence(name),
                )

    def _segments(self) -> list[Everywhere]:
        choices, of = self.choices, self.policy.guard.segments
        if of is None:
            return []
        slices = [] if choices.ledger is None else choices.ledger.slices(CONFIRM)
        if choices.ledger is None or not slices:
            raise UserError(
                "guard.segments: expected outcomes by segment, found none; they need [segments] "
                "on the data set's card and confirmed points with kept predictions"
            )
        self._current(choices.objectives[0], "guard.segments")
        assert choices.current is not None
        given = (
            of.max_loss
            if isinstance(of.max_loss, dict)
            else dict.fromkeys(choices.objectives, of.max_loss)
        )
        for name in given:
            choices.check(name, "guard.segments.max_loss")
        kinds = {slice: slice.partition("=")[0] for slice in slices}
        for name in of.of:
            check_known("segment", name, dict.fromkeys(kinds.values()), "guard.segments.of")
        slices = [slice for slice, kind in kinds.items() if kind in of.of or not of.of]
        allowed = {name: given[name] for name in choices.ledger.names if name in given}
        return [Everywhere(of, choices.ledger, choices.current, slices, allowed)]

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
        if name in choices.objectives and len(choices.draws) and not name.startswith("cost/"):
            return guard.confidence
        if "confidence" in guard.model_fields_set and not name.startswith("cost/"):
            raise UserError(
                f"guard.confidence: expected posterior draws of '{name}', found none; confirm with "
                "confirm.replicates = 2 or more"
            )
        return None
