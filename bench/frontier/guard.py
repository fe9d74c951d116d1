"""What no pick may cost: the loss a task may take against its single-task baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from bench.dotted import flatten
from bench.errors import UserError, unknown
from bench.frontier.gains import Baseline
from bench.frontier.points import called
from bench.objectives import Objective

DEFAULT_LOSS = 0.002
TOLERANCE = 1e-12
"""A loss this much above the allowed one is rounding: means of the same numbers differ in the last bit."""


class Guard(BaseModel):
    """The `[guard]` table of a policy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_loss_vs_single_task: float | dict[str, float] = DEFAULT_LOSS
    """Allowed loss in the metric's own unit: one number for all tasks, or a table by objective (the default for those
    it leaves out). Below 0 it asks for a gain; `inf` allows anything. Costs are guarded only where named."""

    @field_validator("max_loss_vs_single_task", mode="before")
    @classmethod
    def _numbers(cls, value: Any) -> Any:
        table = flatten(value) if isinstance(value, Mapping) else {"": value}  # TOML nests an unquoted income.auc
        for number in table.values():
            if isinstance(number, bool) or not isinstance(number, int | float) or math.isnan(number):
                raise ValueError(f"expected a number, or a table from objective to number, found {number!r}")
        return table if isinstance(value, Mapping) else value

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


def relax(broken: Mapping[str, Sequence[Violation]]) -> UserError:
    """The error where the guard lets no point through: the smallest change that lets the nearest one through.

    Args:
        broken: violations by the name of the trial, none of them empty.
    """
    name, nearest = min(broken.items(), key=lambda item: max(violation.excess for violation in item[1]))
    needed = " and ".join(f"'{each.objective}' to {round_up(each.loss)}" for each in nearest)
    return UserError(
        f"the guard lets no point of the front through; the nearest is {name}: {', and '.join(map(str, nearest))}; "
        f"to let it through, raise guard.max_loss_vs_single_task for {needed}"
    )


def round_up(value: float) -> str:
    """Three significant digits, never below the value."""
    if value == 0:
        return "0"
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 2)
    return f"{math.ceil(value / step) * step:.3g}"
