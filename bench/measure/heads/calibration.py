"""Whether predictions are right on average: over all rows, and over parts of equal weight by
prediction.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.schema import Schema
from bench.measure.heads.base import MeanMetric, Ordered, Weighted, label, prediction
from bench.measure.spaces import Observed, Predicted, sample_spaces

ECE_BINS = 15
TENTHS = 10


class Deciles:
    """Tenths of equal weight; rows of equal predictions share one, so there may be fewer.

    Args:
        labels, predictions: (N,), at least one and none NaN.
        weights: (N,), by which rows are parted; None for equal ones.
        parts: other than tenths.
    """

    def __init__(
        self,
        labels: NDArray[Any],
        predictions: NDArray[Any],
        weights: NDArray[Any] | None = None,
        parts: int = TENTHS,
    ) -> None:
        if weights is None:
            weights = np.ones(len(labels))
        self._order = np.argsort(predictions, kind="stable")
        self._labels = labels.astype(np.float64)[self._order]
        self._predictions = predictions.astype(np.float64)[self._order]
        changes = self._predictions[1:] != self._predictions[:-1]
        runs = np.flatnonzero(np.r_[True, changes])
        mass = np.add.reduceat(self._in_order(weights), runs)
        after = np.cumsum(mass)
        cut = np.ceil(parts * (after - mass) / after[-1])  # the first that is not before the run
        begins = (cut < parts) & (cut * after[-1] < parts * after)
        begins[0] = True
        self._starts = runs[begins]

    def table(self, weights: NDArray[Any]) -> Floats:
        """(n, 3): weight, mean prediction and mean label of each tenth, for weights of rows
        (N,).
        """
        in_order = self._in_order(weights)
        mass = self._sums(in_order)
        predictions = self._sums(in_order * self._predictions)
        labels = self._sums(in_order * self._labels)
        with np.errstate(all="ignore"):
            return np.stack([mass, predictions / mass, labels / mass], axis=1)

    def distance(self, weights: NDArray[Any]) -> float:
        """Sum over tenths of |sum of predictions - sum of labels|, for weights of rows (N,)."""
        excess = self._in_order(weights) * (self._predictions - self._labels)
        return float(np.abs(self._sums(excess)).sum())

    def error(self, weights: NDArray[Any]) -> float:
        """`distance`, over the sum of |labels|; NaN where that is 0."""
        whole = float(self._in_order(weights) @ np.abs(self._labels))
        if whole <= 0:
            return np.nan
        return self.distance(weights) / whole

    def _in_order(self, weights: NDArray[Any]) -> Floats:
        return weights.astype(np.float64)[self._order]

    def _sums(self, column: Floats) -> Floats:
        return np.add.reduceat(column, self._starts)


def decile_tables(schema: Schema, rows: Predicted) -> dict[str, list[list[float]]]:
    """The table of each regression's predictions by their name, as `watch.cvr`."""
    tables = {}
    for name, kind, observed in sample_spaces(schema, rows):
        if kind != "regression":
            continue
        labelled = observed.known
        if len(labelled.labels):
            weights = labelled.weights_or_ones
            deciles = Deciles(labelled.labels, labelled.predictions, weights)
            tables[name] = deciles.table(weights).tolist()
    return tables


def _expected(rows: Observed) -> Weighted:
    """ECE: mean distance of the mean prediction from the mean label over bins of equal mass (Naeini
    et al., AAAI 2015).

    Equal predictions share a bin.
    """
    bins = Deciles(rows.labels, rows.predictions, rows.weights, ECE_BINS)
    return lambda weights: bins.distance(weights) / float(weights.sum())


def _by_tenths(rows: Observed) -> Weighted:
    return Deciles(rows.labels, rows.predictions, rows.weights).error


pcoc = MeanMetric((label, prediction), lambda rows, positives, predictions: predictions / positives)
ece = Ordered(_expected)
decile_error = Ordered(_by_tenths)
