"""What no pick may cost: a loss against a task's single-task baseline, and bounds on any metric or cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from bench.dotted import flatten
from bench.errors import UserError, unknown
from bench.objectives import Objective
from bench.records import Point
from bench.rows import SEARCH


@dataclass(frozen=True)
class Limit:
    """A loss against single-task that is allowed: in the metric's own unit, or counted in standard errors."""

    loss: float
    in_errors: bool


class Guard(BaseModel):
    """The `[guard]` table of a policy. Metrics are named without split; a calibration's band is one on `click.pcoc`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    max_loss_in_standard_errors: float = Field(2.0, ge=0)
    """Allowed loss, in standard errors of the paired difference to the single-task model, so that what noise alone may
    do excludes no point. Nothing is judged where no point has two replicates, which tell the noise. `inf` allows
    anything. Costs, and objectives that `max_loss_vs_single_task` bounds, are left out."""
    max_loss_vs_single_task: float | dict[str, float] | None = None
    """Allowed loss in the metric's own unit, in place of standard errors: one number for all tasks, or a table by
    objective. Below 0 it asks for a gain; `inf` allows anything. Costs are guarded only where named."""
    confidence: float | None = Field(None, gt=0.5, lt=1)
    """With which the loss must be within `max_loss_vs_single_task`: a one-sided bound by Student's t, from the
    replicates of both sides, their noise pooled over all confirmed points. None compares the means alone."""
    at_most: dict[str, float] = {}
    """Bounds from above on metrics and costs, objectives or not, as in {"cost/parameters" = 2e6}."""
    at_least: dict[str, float] = {}
    """Bounds from below."""
    within: dict[str, tuple[float, float]] = {}
    """Bands, as in {"click.pcoc" = [0.9, 1.1]}."""
    p_nondominated: float | None = Field(None, ge=0, le=1)
    """Least P(non-dominated)."""

    @field_validator("max_loss_vs_single_task", mode="before")
    @classmethod
    def _numbers(cls, value: Any) -> Any:
        if value is None:
            return None
        table = flatten(value) if isinstance(value, Mapping) else {"": value}  # TOML nests an unquoted income.auc
        for number in table.values():
            if isinstance(number, bool) or not isinstance(number, int | float) or math.isnan(number):
                raise ValueError(f"expected a number, or a table from objective to number, found {number!r}")
        return table if isinstance(value, Mapping) else value

    @field_validator("at_most", "at_least", "within", mode="before")
    @classmethod
    def _dotted(cls, value: Any) -> Any:
        return flatten(value) if isinstance(value, Mapping) else value

    @field_validator("within")
    @classmethod
    def _bands(cls, bands: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        for name, (low, high) in bands.items():
            if not low <= high:
                raise ValueError(f"expected a band from low to high for '{name}', found [{low:g}, {high:g}]")
        return bands

    @model_validator(mode="after")
    def _one_unit(self) -> Guard:
        given = self.max_loss_vs_single_task
        if given is None and self.confidence is not None:
            raise ValueError("confidence: expected max_loss_vs_single_task beside it, which it is about, found none")
        if isinstance(given, float | int) and "max_loss_in_standard_errors" in self.model_fields_set:
            raise ValueError(
                "max_loss_in_standard_errors: expected it alone, or a table max_loss_vs_single_task beside it, "
                f"found max_loss_vs_single_task = {given:g} for all tasks"
            )
        return self

    def limit(self, objective: Objective) -> Limit | None:
        """The loss allowed in an objective; None where it is not guarded."""
        given = self.max_loss_vs_single_task
        own = given.get(objective.name) if isinstance(given, dict) else given if objective.is_metric else None
        found = Limit(self.max_loss_in_standard_errors, True) if own is None else Limit(own, False)
        unbounded = found.loss == math.inf or (own is None and not objective.is_metric)
        return None if unbounded else found

    def check(self, objectives: Sequence[Objective], points: Iterable[Point] = ()) -> None:
        """Raises a UserError where the guard names what is no objective, or bounds what no point has a value of."""
        names = [objective.name for objective in objectives]
        if isinstance(self.max_loss_vs_single_task, dict):
            for name in self.max_loss_vs_single_task:
                if name not in names:
                    raise UserError(f"guard.max_loss_vs_single_task: {unknown('objective', name, names)}")
        keys = {key for each in points for key in each.metrics if key.startswith((f"{SEARCH}/", "cost/"))}
        known = {key.removeprefix(f"{SEARCH}/") for key in keys}
        for name in (*self.at_most, *self.at_least, *self.within):
            if known and name not in known:
                raise UserError(f"guard: {unknown('metric', name, known)}")
