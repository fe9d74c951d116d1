"""What a metric of a head is: a function of how often each row counts. A row of weight w stands for
w equal rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from bench.core.arrays import Floats
from bench.measure.spaces import Observed

Weighted = Callable[[Floats], float]
"""Weights of rows (N,) -> the metric; NaN where the rows do not define it."""
Column = Callable[[Floats, Floats], Floats]
"""What each row adds: of labels and predictions (N,)."""
LEAST_PROBABILITY = float(np.finfo(np.float32).eps)
"""Probabilities are this far from 0 and 1 under a logarithm."""


class Head(Protocol):
    """A metric of one task's predictions."""

    def prepare(self, rows: Observed) -> Weighted:
        """The metric of rows of which none is NaN, for any weights of them.

        Tenths of rows are parted by the weights that the rows have themselves.
        """


@dataclass(frozen=True)
class MeanMetric:
    """A metric that needs only sums over rows. Code that reads rows in pieces, or on resamples,
    keeps these sums alone.

    Attributes:
        columns: what is added up.
        value: the metric of the number of rows and of the sums, each a number or an array.
    """

    columns: tuple[Column, ...]
    value: Callable[..., Any]

    def prepare(self, rows: Observed) -> Weighted:
        """The metric for any weights of the rows."""
        columns = [column(rows.labels, rows.predictions) for column in self.columns]

        def measure(weights: Floats) -> float:
            sums = [column @ weights for column in columns]
            return float(self.of(weights.sum(), *sums))

        return measure

    def of(self, *sums: Any) -> Any:
        """`value`, not finite where the rows do not define it."""
        arrays = [np.asarray(total, np.float64) for total in sums]
        with np.errstate(all="ignore"):
            return self.value(*arrays)


@dataclass(frozen=True)
class Ordered:
    """A metric that needs its rows together.

    Attributes:
        make: what `prepare` does.
    """

    make: Callable[[Observed], Weighted]

    def prepare(self, rows: Observed) -> Weighted:
        """The metric for any weights of the rows."""
        return self.make(rows) if len(rows.labels) else _undefined


def _undefined(weights: Floats) -> float:
    return np.nan


def label(labels: Floats, predictions: Floats) -> Floats:
    """The label."""
    return labels


def prediction(labels: Floats, predictions: Floats) -> Floats:
    """The prediction."""
    return predictions


def log_loss(labels: Floats, predictions: Floats) -> Floats:
    """The log loss of a probability."""
    of_label = np.where(labels != 0, predictions, 1 - predictions)
    return np.asarray(-np.log(np.clip(of_label, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)))


def squared(labels: Floats, predictions: Floats) -> Floats:
    """The squared error."""
    return (predictions - labels) ** 2


def absolute(labels: Floats, predictions: Floats) -> Floats:
    """The absolute error."""
    return np.abs(predictions - labels)
