"""What a point is worth, from what a click or a purchase is worth: how many of each the list that is shown holds.

The model, which is no forecast. Of all candidates a share is shown, the best by the task's own score. Scores of
positives and negatives are two normal distributions of one spread (the binormal model of ROC curves; Green & Swets
1966), as far apart as the AUC says: by d = sqrt(2) * probit(AUC). With the base rate r the threshold t solves
share = r Phi(d - t) + (1 - r) Phi(-t), and of 1,000 impressions shown 1,000 r Phi(d - t) / share are positives.

Each task is taken as though the list were ranked for it alone. One list cannot be so for all, so that sums over tasks
are too large; they compare points, whose lists all share that fault.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from bench.dotted import flatten
from bench.errors import UserError, unknown
from bench.objectives import Objective
from bench.records import Point
from bench.rows import SEARCH

Floats = NDArray[np.float64]
_STEPS = 80  # of bisection: beyond a float's last bit


class Revenue(BaseModel):
    """The `[revenue]` table of a policy."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    value: dict[str, float] = Field(min_length=1)
    """What one positive is worth, by objective: an AUC on all impressions (`click.auc`, `buy.ctcvr.auc`)."""
    rate: dict[str, float] = {}
    """Base rate among candidates, by objective; else validation's, from log loss and its ratio to the entropy."""
    share: float = Field(0.1, gt=0, lt=1)
    """Of candidates, what is shown."""

    @field_validator("value", "rate", mode="before")
    @classmethod
    def _dotted(cls, value: Any) -> Any:
        return flatten(value) if isinstance(value, Mapping) else value

    @field_validator("rate")
    @classmethod
    def _shares(cls, rates: dict[str, float]) -> dict[str, float]:
        for name, rate in rates.items():
            if not 0 < rate < 1:
                raise ValueError(f"expected a base rate between 0 and 1 of '{name}', found {rate}")
        return rates

    def check(self, objectives: Sequence[Objective]) -> None:
        """Raises a UserError where a value or a rate is of what is no objective, or no AUC on all impressions."""
        known = [each.name for each in objectives if each.name.endswith(".auc") and ".cvr." not in each.name]
        for table in ("value", "rate"):
            for name in getattr(self, table):
                if name not in known:
                    raise UserError(f"revenue.{table}: {unknown('AUC on all impressions', name, known)}")

    def worth(
        self, objectives: Sequence[Objective], points: Sequence[Point]
    ) -> Callable[[NDArray[np.float64]], Floats]:
        """The function from values (N, M) to what they are worth for 1,000 impressions shown, (N,).

        Raises:
            UserError: a base rate is neither given nor in the points' metrics.
        """
        columns = {name: [each.name for each in objectives].index(name) for name in self.value}
        rates = {name: self.rate.get(name) or _rate(points, name) for name in self.value}

        def worth(values: Floats) -> Floats:
            parts = [
                self.value[name] * 1000 * precision(values[:, column], rates[name], self.share)
                for name, column in columns.items()
            ]
            return np.asarray(np.sum(parts, axis=0))

        return worth


def precision(auc: Floats, rate: float, share: float) -> Floats:
    """Of what is shown, the share of positives: (N,) for AUCs (N,), see the module."""
    from scipy.special import ndtr, ndtri

    apart = math.sqrt(2) * ndtri(np.clip(auc, 1e-9, 1 - 1e-9))
    low, high = np.full_like(apart, -50.0), np.full_like(apart, 50.0)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        too_many = rate * ndtr(apart - middle) + (1 - rate) * ndtr(-middle) > share
        low, high = np.where(too_many, middle, low), np.where(too_many, high, middle)
    return np.asarray(rate * ndtr(apart - (low + high) / 2) / share)


def _rate(points: Sequence[Point], name: str) -> float:
    """Validation's base rate, taken to be at most one half: normalised entropy is log loss over its entropy."""
    space = name.removesuffix(".auc")
    for point in points:
        loss, ratio = (point.metrics.get(f"{SEARCH}/{space}.{metric}") for metric in ("logloss", "ne"))
        if loss and ratio:
            return _of_entropy(loss / ratio)
    raise UserError(
        f"revenue: expected the base rate of '{name}', found no log loss in the run to take it from; add "
        f"revenue.rate '{name}'"
    )


def _of_entropy(entropy: float) -> float:
    """The rate of at most one half whose entropy, in nats, that is."""
    low, high = 0.0, 0.5
    for _ in range(_STEPS):
        middle = (low + high) / 2
        below = middle > 0 and -middle * math.log(middle) - (1 - middle) * math.log1p(-middle) < entropy
        low, high = (middle, high) if below else (low, middle)
    return (low + high) / 2
