"""What no pick may cost: a loss against a task's single-task baseline, and bounds on any metric or cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from bench.dotted import flatten
from bench.errors import UserError, unknown
from bench.objectives import Objective
from bench.records import TrialRecord

DEFAULT_LOSS = 0.002


class Guard(BaseModel):
    """The `[guard]` table of a policy. Metrics are named without split; a calibration's band is one on `click.pcoc`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    max_loss_vs_single_task: float | dict[str, float] = DEFAULT_LOSS
    """Allowed loss in the metric's own unit: one number for all tasks, or a table by objective (the default for those
    it leaves out). Below 0 it asks for a gain; `inf` allows anything. Costs are guarded only where named."""
    confidence: float | None = Field(None, gt=0.5, lt=1)
    """With which the loss must be within what is allowed: a one-sided bound by Student's t, from the replicates of
    both sides, their noise pooled over all confirmed points. None compares the means alone."""
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

    def allowed(self, objective: Objective) -> float | None:
        """The loss allowed in an objective; None where it is not guarded."""
        given = self.max_loss_vs_single_task
        if isinstance(given, dict) and objective.name in given:
            return given[objective.name]
        if not objective.is_metric:
            return None
        return DEFAULT_LOSS if isinstance(given, dict) else given

    def check(self, objectives: Sequence[Objective], points: Iterable[TrialRecord] = ()) -> None:
        """Raises a UserError where the guard names what is no objective, or bounds what no point has a value of."""
        names = [objective.name for objective in objectives]
        if isinstance(self.max_loss_vs_single_task, dict):
            for name in self.max_loss_vs_single_task:
                if name not in names:
                    raise UserError(f"guard.max_loss_vs_single_task: {unknown('objective', name, names)}")
        known = {key.removeprefix("valid/") for each in points for key in each.metrics if not key.startswith("test/")}
        for name in (*self.at_most, *self.at_least, *self.within):
            if known and name not in known:
                raise UserError(f"guard: {unknown('metric', name, known)}")
