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
        of_rows = np.ones(len(labels)) if weights is None else weights.astype(np.float64)
        self._order = np.argsort(predictions, kind="stable")
        self._labels, self._predictions = (
            each.astype(np.float64)[self._order] for each in (labels, predictions)
        )
        runs = np.flatnonzero(np.r_[True, self._predictions[1:] != self._predictions[:-1]])
        mass = np.add.reduceat(of_rows[self._order], runs)
        after = np.cumsum(mass)
        cut = np.ceil(parts * (after - mass) / after[-1])  # the first that is not before the run
        begins = (cut < parts) & (cut * after[-1] < parts * after)
        begins[0] = True
        self._starts = runs[begins]

    def table(self, weights: NDArray[Any]) -> Floats:
        """(n, 3): weight, mean prediction and mean label of each tenth, where rows weigh so
        (N,).
        """
        own = weights.astype(np.float64)[self._order]
        sums = [
            np.add.reduceat(own * each, self._starts)
            for each in (1.0, self._predictions, self._labels)
        ]
        with np.errstate(all="ignore"):
            return np.stack([sums[0], sums[1] / sums[0], sums[2] / sums[0]], axis=1)

    def distance(self, weights: NDArray[Any]) -> float:
        """Sum over tenths of |sum of predictions - sum of labels|, where rows weigh so (N,)."""
        own = weights.astype(np.float64)[self._order]
        return float(
            np.abs(np.add.reduceat(own * (self._predictions - self._labels), self._starts)).sum()
        )

    def error(self, weights: NDArray[Any]) -> float:
        """`distance`, over the sum of |labels|; NaN where that is 0."""
        whole = float(weights.astype(np.float64)[self._order] @ np.abs(self._labels))
        return self.distance(weights) / whole if whole > 0 else np.nan


def decile_tables(schema: Schema, rows: Predicted) -> dict[str, list[list[float]]]:
    """The table of each regression's predictions by their name, as `watch.cvr`."""
    tables = {}
    for name, kind, own in sample_spaces(schema, rows):
        known = own.known
        if kind == "regression" and len(known.labels):
            weights = np.ones(len(known.labels)) if known.weights is None else known.weights
            tables[name] = Deciles(known.labels, known.predictions, weights).table(weights).tolist()
    return tables


def _expected(rows: Observed) -> Weighted:
    """ECE: mean distance of the mean prediction from the mean label over bins of equal mass (Naeini
    et al., AAAI 2015).

    Equal predictions share a bin.
    """
    parts = Deciles(rows.labels, rows.predictions, rows.weights, ECE_BINS)
    return lambda weights: parts.distance(weights) / float(weights.sum())


pcoc = MeanMetric((label, prediction), lambda rows, positives, predictions: predictions / positives)
ece = Ordered(_expected)
decile_error = Ordered(lambda rows: Deciles(rows.labels, rows.predictions, rows.weights).error)
