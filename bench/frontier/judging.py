"""A policy applied to choices: which keep its guard and bounds, what the others break, and its rule's scores."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from bench.errors import UserError, unknown
from bench.frontier.choices import THOUSANDTHS, Choices
from bench.frontier.policy import LEAST_SHARE, LOSS, PICK_RULES, Policy, Terms, share_of_current
from bench.frontier.remedies import Breach, Remedy, loosened, round_up
from bench.results.effect import LEVEL
from bench.results.statistics import error_of
from bench.rows import CONFIRM

Floats = NDArray[np.float64]
ROUNDING = 1e-12
"""Relative: means of the same numbers differ in the last bit."""


@dataclass(frozen=True)
class Limit:
    """One bound on one metric, from below (`floor`) or above.

    Attributes:
        bound: a number, or a multiple of current's value where `relative`.
        written: as the policy has it, of bounds that are written.
        setting: of the policy.
        other: the bound on the other side, where one setting holds both.
        errors: (rows,) standard errors of the difference from current, where `count` of them may be lost.
        sure: (rows,), the share of current's value that each row keeps with the policy's confidence; None where the
            mean decides.
        key: whether the setting is a table by metric.
    """

    name: str
    floor: bool
    bound: float
    relative: bool
    setting: str
    written: float | str | None = None
    other: float | str | None = None
    errors: Floats | None = None
    count: float = 0.0
    sure: Floats | None = None
    key: bool = True


class Judge:
    """A policy applied to choices: those that keep its limits, the limits that the others break, and its rule's scores.

    Attributes:
        limits: all bounds on metrics; `names` are the metrics.
        pickable: (rows,), which may be picked: those that can be deployed, if the policy asks for that.
        passing: (rows,), which pass the guard.
        allowed: (rows,), which pass it and may be picked.
        unsure: whether none does so with the default confidence, so that means decide.
        unjudged: by objective why the guard cannot judge its loss.
        untold: segments in which too few rows are positive for the guard to judge an outcome.
        scored: the metrics that the rule scores, and `terms` how it weighs them.

    Raises:
        UserError: the policy names an unknown metric, or asks what is not known (a current point, its value, noise, or
            outcomes by segment).
    """

    def __init__(self, policy: Policy, choices: Choices) -> None:
        self.policy, self.choices = policy, choices
        self.unjudged: dict[str, str] = {}
        self.untold: tuple[str, ...] = ()
        self.limits = [*self._written(), *self._losses()]
        self.names = list(dict.fromkeys(limit.name for limit in self.limits))
        self._segments = self._by_segment()
        self._values = choices.values(self.names)
        self.pickable = choices.deployable if policy.deployable else np.ones(len(choices), dtype=bool)
        fixed = self._fixed()
        self.passing = fixed & self.keeps(self._values, surely=True)
        by_default = "confidence" not in policy.guard.model_fields_set and any(
            each.sure is not None for each in self.limits
        )
        self.unsure = by_default and not (self.passing & self.pickable).any()
        if self.unsure:
            self.limits = [replace(limit, sure=None) for limit in self.limits]
            self.passing = fixed & self.keeps(self._values, surely=True)
        self.allowed = self.passing & self.pickable
        self.scored, self.terms = self._rule()

    def scores(self, values: Floats) -> Floats:
        """The rule's scores (..., rows) of values (..., rows, scored); minus infinity where a value is missing."""
        found = PICK_RULES[self.policy.rule].score(self.choices.gains(self.scored, values), self.terms)
        return np.where(np.isfinite(found), found, -np.inf)

    def _rule(self) -> tuple[list[str], Terms]:
        policy, choices = self.policy, self.choices
        weights = policy.weighed(choices.objectives)
        for name in weights:
            choices.check(name, policy.where("epsilon.best", name) if policy.epsilon else "weights", directed=True)
        names = [name for name, weight in weights.items() if weight > 0]
        of = np.array([weights[name] for name in names])
        signs = np.array([choices.sign(name) for name in names])
        return names, Terms(of / of.sum(), signs, np.array([choices.in_thousandths(name) for name in names]))

    def _written(self) -> list[Limit]:
        guard, epsilon, found = self.policy.guard, self.policy.epsilon, []

        def add(name: str, value: float | str, floor: bool, where: str, other: float | str | None = None) -> None:
            said = self.policy.where(where, name)
            self.choices.check(name, said)
            share = share_of_current(value)
            if share is not None and (now := self._current(name, said)) <= 0:
                raise UserError(
                    f"{said}: expected a number for '{name}', as current's value {now:.6g} is not above 0, "
                    f"found '{value}'"
                )
            bound = float(value) if share is None else share
            found.append(self._sure(Limit(name, floor, bound, share is not None, where, value, other)))

        for name, value in guard.at_most.items():
            add(name, value, False, "guard.at_most")
        for name, value in guard.at_least.items():
            add(name, value, True, "guard.at_least")
        for name, (low, high) in guard.within.items():
            add(name, low, True, "guard.within", high)
            add(name, high, False, "guard.within", low)
        for name, value in (epsilon.subject_to if epsilon else {}).items():
            self.choices.check(name, "epsilon.subject_to", directed=True)
            add(name, value, self.choices.sign(name) > 0, "epsilon.subject_to")
        return found

    def _current(self, name: str, where: str) -> float:
        if self.choices.current is None:
            raise UserError(
                f"{where}: expected a current point to compare with, found none; confirm single-task models with "
                "confirm.replicates = 2 or more, or give one by --current"
            )
        value = float(self.choices.values([name])[self.choices.current, 0])
        if math.isnan(value):
            raise UserError(f"{where}: expected a value of '{name}' for the current point, found none")
        return value

    def _losses(self) -> list[Limit]:
        """Of what the policy names, and by default of the objectives that it does not bound otherwise."""
        guard, choices, epsilon, found = self.policy.guard, self.choices, self.policy.epsilon, []
        asked = {*guard.at_least, *guard.at_most, *guard.within}
        asked |= {epsilon.best, *epsilon.subject_to} if epsilon else set()
        given, setting = guard.max_loss_vs_current, "guard.max_loss_vs_current"
        named = list(given) if isinstance(given, dict) else []
        for name in named:
            choices.check(name, setting, directed=True)
        metrics = [name for name in choices.objectives if not name.startswith("cost/")]
        for name in dict.fromkeys([*named, *metrics]):
            loss, sign = given.get(name) if isinstance(given, dict) else given, choices.sign(name)
            if loss is None and name in asked:
                continue
            if loss is None and choices.current is None:
                self.unjudged[name] = "there is no current point"
            elif loss is None and not choices.served:
                found += self._in_errors(name, guard.max_loss_in_standard_errors)
            elif (allowed := LOSS if loss is None else loss) < math.inf:
                self._current(name, setting)
                limit = Limit(name, sign > 0, 1 - sign * allowed, True, setting, key=not isinstance(given, float))
                found.append(self._sure(limit))
        return found

    def _in_errors(self, name: str, count: float) -> list[Limit]:
        choices, row = self.choices, self.choices.current
        if count == math.inf or row is None:
            return []
        if name not in choices.drawn or not len(choices.draws):
            self.unjudged[name] = "no point has two replicates, which tell the noise"
            return []
        drawn = choices.posterior([name])[:, :, 0]
        errors = error_of(drawn - drawn[:, [row]])
        where = "guard.max_loss_in_standard_errors"
        return [Limit(name, choices.sign(name) > 0, 1.0, True, where, errors=errors, count=count, key=False)]

    def _sure(self, limit: Limit) -> Limit:
        """The limit, with what each row keeps with the policy's confidence."""
        guard = self.policy.guard
        if self.choices.current is None or not limit.relative or limit.name.startswith("cost/"):
            return limit
        if limit.name not in self.choices.drawn or not len(self.choices.draws):
            if "confidence" in guard.model_fields_set:
                raise UserError(
                    f"guard.confidence: expected posterior draws of '{limit.name}', found none; confirm with "
                    "confirm.replicates = 2 or more"
                )
            return limit
        return replace(limit, sure=self.choices.sure_shares(limit.name, guard.confidence, limit.floor))

    def threshold(self, limit: Limit, values: Floats) -> Floats:
        """What each row's value of the limit's metric must reach, or not exceed: (..., rows), of values (..., rows)."""
        base = np.full(values.shape, limit.bound)
        if limit.relative:
            assert self.choices.current is not None
            now = np.broadcast_to(values[..., [self.choices.current]], values.shape)
            base = now + (limit.bound - 1) * np.abs(now)  # a loss is a fraction of its size, also of one below 0
        sign = 1 if limit.floor else -1
        slack = 0.0 if limit.errors is None else limit.count * limit.errors
        return np.asarray(base - sign * slack)

    def keeps(self, values: Floats, tolerance: float = 0.0, surely: bool = False) -> NDArray[np.bool_]:
        """Which rows keep all bounds on metrics: (..., rows), of values (..., rows, names).

        Args:
            tolerance: that much of |threshold| is forgiven; of a head's metric in thousandths, of .1.
            surely: whether the bounds must be kept with the policy's confidence.
        """
        found = np.ones(values.shape[:-1], dtype=bool)
        for limit in self.limits:
            found &= self._kept(limit, values[..., self.names.index(limit.name)], tolerance, surely)
        return found

    def _kept(self, limit: Limit, column: Floats, tolerance: float, surely: bool) -> NDArray[np.bool_]:
        at = self.threshold(limit, column)
        if surely and limit.sure is not None:
            column, at = limit.sure, np.full_like(limit.sure, limit.bound)
        unit = THOUSANDTHS if self.choices.in_thousandths(limit.name) else np.abs(at)
        slack = tolerance * unit + ROUNDING * np.abs(at)
        return np.asarray(column >= at - slack if limit.floor else column <= at + slack)

    def _fixed(self) -> NDArray[np.bool_]:
        """Which rows keep what posterior draws say nothing about: P(non-dominated), and segments."""
        found, least = np.ones(len(self.choices), dtype=bool), self.policy.guard.p_nondominated
        if least is not None:
            found &= self.choices.table["p_nondominated"].to_numpy(dtype=float) >= least
        for row in self._segments:
            found[row] = False
        return found

    def broken(self, row: int) -> list[Breach]:
        """What a row does not keep."""
        columns = [(limit, self._values[:, self.names.index(limit.name)]) for limit in self.limits]
        found = [self._breach(limit, column, row) for limit, column in columns
                 if not self._kept(limit, column, 0.0, surely=True)[row]]  # fmt: skip
        least, chance = self.policy.guard.p_nondominated, float(self.choices.table["p_nondominated"].iloc[row])
        if least is not None and not chance >= least:
            to = None if math.isnan(chance) else math.floor(chance * 1e6) / 1e6
            text = f"its P(non-dominated) {_value(chance)}, where at least {least:g} is allowed"
            found.append(Breach(text, _excess(chance, least), Remedy("guard.p_nondominated", None, to)))
        return [*found, *self._segments.get(row, [])]

    def _breach(self, limit: Limit, column: Floats, row: int) -> Breach:
        if limit.written is not None:
            return self._beyond_bound(limit, column, row)
        if limit.errors is not None:
            return self._beyond_noise(limit, column, row)
        return self._beyond_loss(limit, column, row)

    def _beyond_bound(self, limit: Limit, column: Floats, row: int) -> Breach:
        """A bound that the policy writes, such as "98% of current"."""
        value, at = float(column[row]), float(self.threshold(limit, column)[row])
        name, sure = limit.name if limit.key else None, limit.sure
        side, today = "least" if limit.floor else "most", f" ({limit.written})" if limit.relative else ""
        text = f"its {limit.name} {_value(value)}, where at {side} {at:.6g}{today} is allowed"
        if math.isnan(value):
            return Breach(text, math.inf, Remedy(limit.setting, name, None))
        base = column[self.choices.current] if self.choices.current is not None else math.nan
        if sure is not None:
            value, at, base = float(sure[row]), limit.bound, 1.0
            text = f"its {limit.name} is at {side} {_percent(value)} of current{self._confidence}, where at {side} "
            text += f"{limit.written} is allowed"
        assert limit.written is not None
        other = limit.relative and value < LEAST_SHARE * abs(base)  # no share of current: a number
        to = loosened(0.0 if other else limit.written, float(column[row]) if other else value, base, limit.floor)
        if limit.other is None:
            return Breach(text, _excess(value, at), Remedy(limit.setting, name, to))
        both = (to, limit.other) if limit.floor else (limit.other, to)
        return Breach(text, _excess(value, at), Remedy(limit.setting, name, both))

    def _beyond_noise(self, limit: Limit, column: Floats, row: int) -> Breach:
        """A loss in standard errors of the difference."""
        assert limit.errors is not None
        at, base, lost = float(self.threshold(limit, column)[row]), *self._lost(limit, column, row)
        error = float(limit.errors[row])
        count = lost / error if error else math.inf
        text = (
            f"it is {lost:.3g} worse in {limit.name} than current ({base:.5g}), {count:.3g} standard errors of "
            f"that difference, where {limit.count:g} are allowed"
        )
        remedy = Remedy(limit.setting, limit.name if limit.key else None, float(round_up(count)))
        return Breach(text, _excess(float(column[row]), at), remedy)

    def _beyond_loss(self, limit: Limit, column: Floats, row: int) -> Breach:
        """A loss as a share of the current point's value."""
        base, lost = self._lost(limit, column, row)
        sign = 1 if limit.floor else -1
        relative = lost / abs(base) if base else math.inf
        loss = relative if limit.sure is None else sign * (1 - float(limit.sure[row]))
        allowed = sign * (1 - limit.bound)
        verb, known = ("loses", "") if limit.sure is None else ("may lose", self._confidence)
        text = f"it {verb} {loss:.2%} of current's {limit.name}{known}, where {_percent(allowed)} is allowed"
        needed = math.inf if loss > 1 and not limit.key else float(round_up(loss))
        return Breach(text, loss - allowed, Remedy(limit.setting, limit.name if limit.key else None, needed))

    def _lost(self, limit: Limit, column: Floats, row: int) -> tuple[float, float]:
        """The current point's value, and by how much a row is worse."""
        base = float(column[self.choices.current])
        return base, (1 if limit.floor else -1) * (base - float(column[row]))

    @property
    def _confidence(self) -> str:
        return f" with {self.policy.guard.confidence:.0%} confidence"

    def _by_segment(self) -> dict[int, list[Breach]]:
        """By row what it loses in segments, beyond what noise allows for."""
        guard, found = self.policy.guard.segments, dict[int, list[Breach]]()
        if guard is None:
            return found
        ledger, current = self.choices.ledger, self.choices.current
        slices = [] if ledger is None else ledger.slices(CONFIRM)
        if ledger is None or not slices or current is None:
            raise UserError(
                "guard.segments: expected outcomes by segment, found none; they need [segments] on the data set's card "
                "and confirmed points with kept predictions"
            )
        given = guard.max_loss
        of = given if isinstance(given, dict) else dict.fromkeys(self.choices.objectives, given)
        for name in of:
            self.choices.check(name, "guard.segments.max_loss")
        kinds = [slice.partition("=")[0] for slice in slices]
        for name in guard.of:
            if name not in kinds:
                raise UserError(f"guard.segments.of: {unknown('segment', name, dict.fromkeys(kinds))}")
        slices = [slice for slice, kind in zip(slices, kinds, strict=True) if kind in guard.of or not guard.of]
        names = [name for name in ledger.names if name in of]
        columns = [ledger.names.index(name) for name in names]
        gain, low, high = (
            np.stack([ledger.at(CONFIRM, f"gain{end}", slice)[:, columns] for slice in slices], axis=1)
            for end in ("", "_low", "_high")
        )  # (rows, slices, outcomes)
        blind = np.isfinite(np.delete(gain, current, axis=0)).sum(axis=0) == 0  # (slices, outcomes)
        self.untold = tuple(slice for slice, each in zip(slices, blind, strict=True) if each.any())
        tests = np.isfinite(gain + low + high).sum(axis=(1, 2), keepdims=True)
        error = (high - low) / (2 * ndtri(0.5 + LEVEL / 2))
        least = -(gain + ndtri(1 - (1 - guard.confidence) / np.maximum(tests, 1)) * error)  # the loss is larger
        beyond = np.nan_to_num(least, nan=-np.inf) > np.array([of[name] for name in names]) + ROUNDING
        beyond[current] = False
        for row, place, at in np.argwhere(beyond).tolist():
            name, loss = names[at], float(least[row, place, at])
            text = (
                f"it loses {-gain[row, place, at]:.2%} of current's {name} in the segment {slices[place]} (at least "
                f"{loss:.2%} with {guard.confidence:.0%} confidence), where {_percent(of[name])} is allowed"
            )
            remedy = Remedy("guard.segments.max_loss", name if isinstance(given, dict) else None, float(round_up(loss)))
            found.setdefault(row, []).append(Breach(text, loss - of[name], remedy))
        return found


def _value(value: float) -> str:
    return "was not measured" if math.isnan(value) else f"is {value:.6g}"


def _excess(value: float, bound: float) -> float:
    return math.inf if math.isnan(value) else abs(value - bound) / (abs(bound) or 1.0)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.3g}%"
