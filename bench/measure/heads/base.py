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
    """A metric that needs only sums over rows. Those who read rows in pieces, or on resamples, keep
    these sums alone.

    Attributes:
        columns: what is added up.
        value: the metric of the number of rows and of the sums, each a number or an array.
    """

    columns: tuple[Column, ...]
    value: Callable[..., Any]

    def prepare(self, rows: Observed) -> Weighted:
        """See `Head`."""
        added = [column(rows.labels, rows.predictions) for column in self.columns]
        return lambda weights: float(self.of(weights.sum(), *(each @ weights for each in added)))

    def of(self, *sums: Any) -> Any:
        """`value`, not finite where the rows do not define it."""
        with np.errstate(all="ignore"):
            return self.value(*(np.asarray(each, np.float64) for each in sums))


@dataclass(frozen=True)
class Ordered:
    """A metric that needs its rows together.

    Attributes:
        make: what `prepare` does.
    """

    make: Callable[[Observed], Weighted]

    def prepare(self, rows: Observed) -> Weighted:
        """See `Head`."""
        return self.make(rows) if len(rows.labels) else lambda weights: np.nan


def label(labels: Floats, predictions: Floats) -> Floats:
    """The label."""
    return labels


def prediction(labels: Floats, predictions: Floats) -> Floats:
    """The prediction."""
    return predictions


def log_loss(labels: Floats, predictions: Floats) -> Floats:
    """The log loss of a probability."""
    told = np.where(labels != 0, predictions, 1 - predictions)
    return np.asarray(-np.log(np.clip(told, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)))


def squared(labels: Floats, predictions: Floats) -> Floats:
    """The squared error."""
    return (predictions - labels) ** 2


def absolute(labels: Floats, predictions: Floats) -> Floats:
    """The absolute error."""
    return np.abs(predictions - labels)
