"""What no pick may cost: a loss against a task's single-task baseline, and bounds on any metric or cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from bench.dotted import flatten
from bench.errors import UserError, unknown
from bench.frontier.estimates import estimate
from bench.frontier.gains import Baseline
from bench.frontier.points import called
from bench.objectives import Objective
from bench.records import TrialRecord

DEFAULT_LOSS = 0.002
TOLERANCE = 1e-12
"""A loss this much above the allowed one is rounding: means of the same numbers differ in the last bit."""


class Guard(BaseModel):
    """The `[guard]` table of a policy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_loss_vs_single_task: float | dict[str, float] = DEFAULT_LOSS
    """Allowed loss in the metric's own unit: one number for all tasks, or a table by objective (the default for those
    it leaves out). Below 0 it asks for a gain; `inf` allows anything. Costs are guarded only where named."""
    at_most: dict[str, float] = {}
    """Bounds from above on metrics (without split) and costs, objectives or not, as in {"cost/parameters" = 2e6}."""
    at_least: dict[str, float] = {}
    """Bounds from below."""

    @field_validator("max_loss_vs_single_task", mode="before")
    @classmethod
    def _numbers(cls, value: Any) -> Any:
        table = flatten(value) if isinstance(value, Mapping) else {"": value}  # TOML nests an unquoted income.auc
        for number in table.values():
            if isinstance(number, bool) or not isinstance(number, int | float) or math.isnan(number):
                raise ValueError(f"expected a number, or a table from objective to number, found {number!r}")
        return table if isinstance(value, Mapping) else value

    @field_validator("at_most", "at_least", mode="before")
    @classmethod
    def _dotted(cls, value: Any) -> Any:
        return flatten(value) if isinstance(value, Mapping) else value

    def breaches(self, point: TrialRecord) -> list[Breach]:
        """Which bounds a point does not keep, by its validation estimate; one that was not measured is not kept."""
        found = []
        for bounds, sign in ((self.at_most, 1.0), (self.at_least, -1.0)):
            for name, bound in bounds.items():
                value = estimate(point, name if name.startswith("cost/") else f"valid/{name}")
                if not sign * value <= sign * bound:
                    found.append(Breach(name, value, bound, "at_most" if sign > 0 else "at_least"))
        return found

    def check_measured(self, points: Iterable[TrialRecord]) -> None:
        """Raises a UserError where a bound names what no point has a value of."""
        known = {key.removeprefix("valid/") for each in points for key in each.metrics if not key.startswith("test/")}
        for name in (*self.at_most, *self.at_least):
            if known and name not in known:
                raise UserError(f"guard: {unknown('metric', name, known)}")

    def allowed(self, objective: Objective) -> float | None:
        """The loss allowed in an objective; None where it is not guarded."""
        given = self.max_loss_vs_single_task
        if isinstance(given, dict) and objective.name in given:
            return given[objective.name]
        if not objective.is_metric:
            return None
        return DEFAULT_LOSS if isinstance(given, dict) else given

    def check(self, objectives: Sequence[Objective]) -> None:
        """Raises a UserError where the guard names what is no objective."""
        known = [objective.name for objective in objectives]
        if isinstance(self.max_loss_vs_single_task, dict):
            for name in self.max_loss_vs_single_task:
                if name not in known:
                    raise UserError(f"guard.max_loss_vs_single_task: {unknown('objective', name, known)}")


@dataclass(frozen=True)
class Breach:
    """A bound that a point does not keep; `side` is `at_most` or `at_least`."""

    name: str
    value: float
    bound: float
    side: str

    @property
    def excess(self) -> float:
        """How far beyond the bound, relative to it; infinite where nothing was measured."""
        gap = abs(self.value - self.bound) / (abs(self.bound) or 1.0)
        return math.inf if math.isnan(gap) else gap

    @property
    def remedy(self) -> str:
        """What would let the point through."""
        return f"set guard.{self.side} '{self.name}' to {self.value:.6g}"

    def __str__(self) -> str:
        return f"its {self.name} is {self.value:.6g}, where {self.side.replace('_', ' ')} {self.bound:.6g} is allowed"


@dataclass(frozen=True)
class Violation:
    """One objective in which a trial loses more than is allowed."""

    objective: str
    loss: float
    allowed: float
    baseline: Baseline

    @property
    def excess(self) -> float:
        """How far beyond the allowed loss, relative to the baseline's value: comparable across units."""
        return (self.loss - self.allowed) / (abs(self.baseline.value) or 1.0)

    def __str__(self) -> str:
        baseline = called(self.baseline.trial, self.baseline.until)
        return (
            f"it is {self.loss:.3g} worse in {self.objective} than single-task {baseline} "
            f"({self.baseline.value:.5g}), where {self.allowed:.3g} is allowed"
        )


def violations(
    guard: Guard, gain: Mapping[str, float], objectives: Sequence[Objective], against: Mapping[str, Baseline]
) -> list[Violation]:
    """Where a trial with these gains breaks the guard. An objective without a baseline cannot be guarded."""
    found = []
    for objective in objectives:
        allowed = guard.allowed(objective)
        if allowed is not None and objective.name in against and -gain[objective.name] > allowed + TOLERANCE:
            found.append(Violation(objective.name, -gain[objective.name], allowed, against[objective.name]))
    return found


def relax(broken: Mapping[str, Sequence[Violation | Breach]]) -> UserError:
    """The error where the guard lets no point through: the smallest change that lets the nearest one through.

    Args:
        broken: violations by the name of the trial, none of them empty.
    """
    name, nearest = min(broken.items(), key=lambda item: max(violation.excess for violation in item[1]))
    losses = [each for each in nearest if isinstance(each, Violation)]
    needed = " and ".join(f"'{each.objective}' to {round_up(each.loss)}" for each in losses)
    steps = [f"raise guard.max_loss_vs_single_task for {needed}"] if losses else []
    steps += [each.remedy for each in nearest if isinstance(each, Breach)]
    return UserError(
        f"the guard lets no point of the front through; the nearest is {name}: {', and '.join(map(str, nearest))}; "
        f"to let it through, {' and '.join(steps)}"
    )


def round_up(value: float) -> str:
    """Three significant digits, never below the value."""
    if value == 0:
        return "0"
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 2)
    return f"{math.ceil(value / step) * step:.3g}"
