"""One number to rank by, from every task's predictions: a weighted sum or a product of powers.

    [score]
    kind = "power"
    weights = { click = 1.0, "purchase.ctcvr" = 0.5 }

Names are those of metrics: `click`; of a task with a parent `purchase.cvr` (given a click) and `purchase.ctcvr` (click
and purchase).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, field_validator

from bench.dotted import flatten
from bench.errors import UserError, unknown
from bench.schema import Task

Predictions = Mapping[str, NDArray[np.floating[Any]]]


class Score(BaseModel):
    """The `[score]` table of a policy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["sum", "power"] = "sum"
    """`sum`: of weight times prediction. `power`: product of predictions, each to the power of its weight."""
    weights: dict[str, float] = {}
    """By name of a prediction; none: 1 for the joint probability of each binary task."""

    @field_validator("weights", mode="before")
    @classmethod
    def _dotted(cls, value: Any) -> Any:
        return flatten(value) if isinstance(value, Mapping) else value  # TOML nests an unquoted purchase.ctcvr

    @field_validator("weights")
    @classmethod
    def _finite(cls, weights: dict[str, float]) -> dict[str, float]:
        for name, weight in weights.items():
            if not math.isfinite(weight):
                raise ValueError(f"expected a finite weight of '{name}', found {weight}")
        return weights

    def of(self, tasks: Sequence[Task]) -> Score:
        """Itself with all its weights.

        Raises:
            UserError: a weight of what is not predicted; a power of a regression, which may be negative.
        """
        known = {name: task for task in tasks for name in prediction_names(task)}
        weights = self.weights or {prediction_names(task)[-1]: 1.0 for task in tasks if task.kind == "binary"}
        for name in weights:
            if name not in known:
                raise UserError(f"score.weights: {unknown('prediction', name, known)}")
            if self.kind == "power" and known[name].kind == "regression":
                raise UserError(f"score.weights: '{name}' is a regression, which may be negative; use kind = 'sum'")
        return self.model_copy(update={"weights": weights})

    def apply(self, predictions: Predictions) -> NDArray[np.float64]:
        """(N,). A negative power of a probability of 0 is infinite."""
        values = [(np.asarray(predictions[name], np.float64), weight) for name, weight in self.weights.items()]
        rows = len(next(iter(predictions.values())))
        if self.kind == "sum":
            return sum((weight * value for value, weight in values), np.zeros(rows))
        with np.errstate(divide="ignore"):
            return math.prod((value**weight for value, weight in values), start=np.ones(rows))

    def __str__(self) -> str:
        if self.kind == "sum":
            return " + ".join(f"{weight:g} {name}" for name, weight in self.weights.items())
        return " * ".join(f"{name}^{weight:g}" for name, weight in self.weights.items())


def prediction_names(task: Task) -> tuple[str, ...]:
    """What is predicted of a task: `click`; with a parent `purchase.cvr` and `purchase.ctcvr`, given it and with it."""
    if task.parent is None or task.kind == "regression":
        return (task.name,)
    return (f"{task.name}.cvr", f"{task.name}.ctcvr")
