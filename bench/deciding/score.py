"""The score that a served model ranks by, as a policy writes it.

    [score]
    kind = "power"
    weights = { click = 1.0, "purchase.ctcvr" = 0.5 }

Names are those of metrics: `click`; of a task with a parent `purchase.cvr` (given a click) and
`purchase.ctcvr` (click and purchase).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, FiniteFloat, model_validator

from bench.core.errors import check_known
from bench.core.formula import quoted
from bench.core.plain import flatten
from bench.core.registry import Config
from bench.core.schema import Positive, Task
from bench.ledger.fusion import FusionKind, fused, in_formula

NamedPredictions = Mapping[str, NDArray[np.floating]]


def flat(value: Any) -> Any:
    """A table by metric; TOML nests an unquoted income.auc."""
    return flatten(value) if isinstance(value, Mapping) else value


class Score(Config):
    """The `[score]` table of a policy."""

    kind: FusionKind = "sum"
    """`sum`: of weight times prediction over rate. `power`: the logarithm of the product of
    predictions, each to the power of its weight. Predictions below 0, which a regression may give,
    count as 0."""
    weights: Annotated[dict[str, FiniteFloat], BeforeValidator(flat)] = Field(default_factory=dict)
    """By name of a prediction; none: 1 for the joint probability of each binary task."""
    rates: Annotated[dict[str, Positive], BeforeValidator(flat)] = Field(default_factory=dict)
    """Of a `sum`: by name, what its prediction is divided by, such as its base rate. One that is
    not named: 1.
    """
    on: Literal["calibrated", "raw"] = "calibrated"
    """Which probabilities are fused. Calibrating a task changes how a fused score orders rows, so a
    picked serving point, whose outcomes were measured on `raw` ones, ranks by those."""

    @model_validator(mode="after")
    def _rates_of_a_sum(self) -> Score:
        if self.rates and self.kind == "power":
            raise ValueError("expected no rates beside kind = 'power', where they change no order")
        return self

    @classmethod
    def fusion(
        cls,
        kind: FusionKind,
        weights: Mapping[str, float],
        rates: Mapping[str, float],
        tasks: Sequence[Task],
    ) -> Score:
        """What ranks as a serving point did when it was measured: its fusion of uncalibrated joint
        predictions.

        Args:
            weights, rates: by task, as `fused` takes them. A task without a weight takes no part.
        """
        joint_prediction = {task.name: prediction_names(task)[-1] for task in tasks}
        weight_of_name, rate_of_name = {}, {}
        for task, weight in weights.items():
            if weight:
                name = joint_prediction[task]
                weight_of_name[name] = weight
                if kind == "sum":
                    rate_of_name[name] = rates[task]
        return cls(kind=kind, weights=weight_of_name, rates=rate_of_name, on="raw")

    def of(self, tasks: Sequence[Task]) -> Score:
        """Itself with all its weights; raises UserError for a weight or a rate of what is not
        predicted.
        """
        predictions: list[str] = []
        joint_weights = {}
        for task in tasks:
            names = prediction_names(task)
            predictions += names
            if task.kind == "binary":
                joint_weights[names[-1]] = 1.0
        weights = self.weights or joint_weights
        for name in weights:
            check_known("prediction", name, predictions, "score.weights")
        for name in self.rates:
            check_known("prediction", name, predictions, "score.rates")
        return self.model_copy(update={"weights": weights})

    def apply(self, predictions: NamedPredictions) -> NDArray[np.float64]:
        """(N,), of predictions (N,) by name, which are those that `on` says."""
        rows = len(next(iter(predictions.values())))
        columns = [predictions[name] for name in self.weights]
        stacked = np.stack(columns, axis=1) if columns else np.zeros((rows, 0))
        return fused(self.kind, stacked, list(self.weights.values()), self._rates_of_weights)

    @property
    def _rates_of_weights(self) -> list[float]:
        return [self.rates.get(name, 1.0) for name in self.weights]

    def __str__(self) -> str:
        """The formula as a verdict has it; `p_buy` is the joint probability, `p_buy.cvr` that given
        the parent.
        """
        terms = {}
        for name, weight in self.weights.items():
            joint = name.removesuffix(".ctcvr")
            terms[quoted(f"p_{joint}")] = weight
        return in_formula(self.kind, terms, self._rates_of_weights)


def prediction_names(task: Task) -> tuple[str, ...]:
    """The predictions of a task: `click`; with a parent `purchase.cvr` (given it) and
    `purchase.ctcvr` (jointly).
    """
    if task.parent is None:
        return (task.name,)
    return f"{task.name}.cvr", f"{task.name}.ctcvr"
