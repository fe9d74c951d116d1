"""Every metric of a split on B resamples of it, whose spread is the sampling error of the data.

A metric on a resample is that of weighted rows: a row weighs its unit's count
(`bench.measure.resamples`). Rows are read once, in pieces, and only sums are held: for the area
under the curve, counts of rows by score and class, in bins so narrow (1/85 of a logit) that ties
within them do not matter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.records import RARER
from bench.core.schema import Schema, Task, TaskKind
from bench.core.system.intrinsics import jit
from bench.measure.heads import means_of, metrics_of_held_rows
from bench.measure.heads.base import LEAST_PROBABILITY, Column, label
from bench.measure.heads.calibration import ECE_BINS
from bench.measure.outcomes import Measure
from bench.measure.resamples import add_times, counts, drawn_of, one_by_one, units_in
from bench.measure.spaces import (
    Held,
    Observed,
    Predicted,
    by_task,
    on_impressions,
    part_of,
    sample_spaces,
)

RESAMPLES = 200
"""B: the standard error of a standard error is a twentieth of it."""
ROWS_HELD = 1 << 20
"""GAUC, Spearman correlation, XAUC, errors of tenths and outcomes need their rows together. Of more
rows they are not resampled."""
_PIECE = 1 << 13  # rows whose counts are held at once
# of logits in [-12, 12]
_BINS = 2048
_RANGE = 12.0


class Resampling:
    """The metrics of `bench.measure.tally.Tally` on `resamples` resamples; has the same interface.

    Args:
        tasks: in the order of the columns.
        split: whose resamples, also the prefix of every name, as in `valid/`.
        outcomes: as of `Tally`.
    """

    def __init__(
        self,
        tasks: tuple[Task, ...],
        split: str,
        resamples: int = RESAMPLES,
        outcomes: Sequence[str] = (),
    ) -> None:
        self._schema = Schema((), (), tasks)
        self._split = split
        self._resamples = resamples
        self._rows = 0
        self._spaces: dict[str, _Space] = {}
        self._rankings: dict[int, _Ranking] = {}
        for column, names in by_task(tasks, outcomes).items():
            self._rankings[column] = _Ranking(tasks[column], names, split, resamples)

    def add(self, rows: Predicted) -> None:
        """Counts the next rows of the split in, as `Tally.add` does."""
        units = units_in(rows, self._rows)
        rows = replace(rows, units=units)
        self._rows += len(units)
        for column, ranking in self._rankings.items():
            ranking.add(on_impressions(self._schema, column, rows))
        for start in range(0, len(units), _PIECE):
            piece = slice(start, start + _PIECE)
            self._add_piece(part_of(rows, piece))

    def _add_piece(self, rows: Predicted) -> None:
        assert rows.units is not None
        once = np.ones((len(rows.units), 1), np.uint8)
        drawn = counts(rows.units, self._split, self._resamples)
        times = np.concatenate([once, drawn], axis=1)
        for name, kind, observed in sample_spaces(self._schema, rows):
            if name not in self._spaces:
                self._spaces[name] = _Space(kind, self._split, self._resamples)
            predictions = observed.predictions.astype(np.float32)
            self._spaces[name].add(replace(observed, predictions=predictions), times)

    def result(self) -> dict[str, list[float]]:
        """By a metric's full name its B values, minus its value on the split as it is; NaN where a
        resample does not define it, as one without positives.

        Beside the metrics of a binary task there is `<task>.rarer`: how many rows of the rarer
        class there are, over their number in the split as it is.
        """
        metrics: dict[str, Floats] = {}
        for name, space in self._spaces.items():
            for metric, values in space.result().items():
                metrics[f"{name}.{metric}"] = values
        for ranking in self._rankings.values():
            metrics |= ranking.result()
        changes = {}
        for name, values in metrics.items():
            if np.isfinite(values[0]):
                drawn = values[1:]
                moved = np.where(np.isfinite(drawn), drawn - values[0], np.nan)
                changes[f"{self._split}/{name}"] = moved.tolist()
        return changes


class _Space:
    """Resampled metrics of a task on one sample space. Column 0 of every sum is the split itself,
    the rest are resamples.
    """

    def __init__(self, kind: TaskKind, split: str, resamples: int) -> None:
        self._means = means_of(kind)
        columns: list[Column] = [label]
        for metric in self._means.values():
            columns.extend(metric.columns)
        self._columns = list(dict.fromkeys(columns))
        self._sums = np.zeros((1 + len(self._columns), 1 + resamples))  # of rows, then of columns
        self._binned: NDArray[Any] | None = None
        if kind == "binary":
            self._binned = np.zeros((_BINS, 2, 1 + resamples), np.int32)
        areas = "all.gauc", "all.gauc_positives"
        self._within_groups = _Ranking(Task("all"), areas, split, resamples)
        self._of_held_rows = _OfHeldRows(kind, split, resamples)

    def add(self, rows: Observed, times: NDArray[Any]) -> None:
        observed = ~np.isnan(rows.labels)
        if not observed.all():
            rows = part_of(rows, observed)
            times = times[observed]
        if rows.weights is not None:
            times = times * rows.weights[:, None]
        y = rows.labels.astype(np.float64)
        p = rows.predictions.astype(np.float64)
        added = [np.ones(len(y))]
        for column in self._columns:
            added.append(column(y, p))
        add_times(times, np.stack(added, axis=1), self._sums)
        if self._binned is not None:
            if rows.weights is not None:
                self._binned = self._binned.astype(np.float64, copy=False)
            _count(y, p, times, self._binned)
            self._within_groups.add(part_of(rows, rows.group >= 0))
        self._of_held_rows.add(rows)

    def result(self) -> dict[str, Floats]:
        """By a metric's name (1 + B,)."""
        rows = self._sums[0]
        sums = dict(zip(self._columns, self._sums[1:], strict=True))
        metrics: dict[str, Floats] = {}
        for name, metric in self._means.items():
            of_columns = [sums[column] for column in metric.columns]
            metrics[name] = metric.of(rows, *of_columns)
        if self._binned is not None:
            metrics |= _of_bins(self._binned, rows)
        for name, values in self._within_groups.result().items():
            metrics[name.removeprefix("all.")] = values
        return metrics | self._of_held_rows.result()


class _Ranking(Held):
    """Resampled outcomes of the ranking by one task's predictions; it holds its rows."""

    def __init__(self, task: Task, outcomes: Sequence[str], split: str, resamples: int) -> None:
        super().__init__(ROWS_HELD)
        self._task = task
        self._outcomes = outcomes
        self._drawn = (split, resamples)

    def result(self) -> dict[str, Floats]:
        """By an outcome's name (1 + B,)."""
        rows = self.rows
        if rows is None:
            return {}
        drawn = drawn_of(rows, *self._drawn)
        measure = Measure((self._task,), self._outcomes, rows, drawn=drawn, grouped=self.grouped)
        outcomes = measure.resampled(rows.predictions.astype(np.float32))[:, 0]
        return dict(zip(measure.names, outcomes.T, strict=True))


class _OfHeldRows(Held):
    """Resampled metrics of a kind for which rows are held."""

    def __init__(self, kind: TaskKind, split: str, resamples: int) -> None:
        super().__init__(ROWS_HELD)
        self._heads = metrics_of_held_rows(kind)
        self._split = split
        self._resamples = resamples

    def add(self, rows: Observed) -> None:
        if self._heads:
            labels = rows.labels.astype(float)
            predictions = rows.predictions.astype(float)
            super().add(replace(rows, labels=labels, predictions=predictions))

    def result(self) -> dict[str, Floats]:
        """By a metric's name (1 + B,)."""
        rows = self.rows
        if rows is None or rows.units is None:
            return {}
        weights = rows.weights_or_ones
        measures = {name: head.prepare(rows) for name, head in self._heads.items()}
        values = {name: [measure(weights)] for name, measure in measures.items()}
        for times in one_by_one(rows.units, self._split, self._resamples):
            for name, measure in measures.items():
                values[name].append(measure(weights * times))
        return {name: np.array(on_resamples) for name, on_resamples in values.items()}


def _of_bins(binned: NDArray[Any], rows: Floats) -> dict[str, Floats]:
    """Area under the curve, ECE and `RARER` (1 + B,) of counts of rows by bin and class."""
    negatives = binned[:, 0].astype(float)
    positives = binned[:, 1].astype(float)
    n = negatives.sum(0)
    p = positives.sum(0)
    below = np.cumsum(negatives, axis=0) - negatives
    rarer = p if p[0] <= n[0] else n
    pairs_in_order = (positives * (below + negatives / 2)).sum(0)
    with np.errstate(all="ignore"):
        return {
            "auc": pairs_in_order / (n * p),
            "ece": _ece(negatives, positives) / rows,
            RARER: rarer / rarer[0],
        }


def _ece(negatives: Floats, positives: Floats) -> Floats:
    """sum of |sum of predictions - sum of labels| over bins of equal mass, those of the split as it
    is.
    """
    logits = (np.arange(_BINS) + 0.5) / _BINS * 2 * _RANGE - _RANGE
    inverse_probabilities = 1 + np.exp(-logits)
    excess = (negatives + positives) / inverse_probabilities[:, None] - positives
    mass = np.cumsum(negatives[:, 0] + positives[:, 0])
    edges = np.searchsorted(mass, mass[-1] * np.arange(1, ECE_BINS) / ECE_BINS)
    starts = np.unique(np.concatenate([[0], np.minimum(edges + 1, _BINS - 1)]))
    excess_by_bin = np.add.reduceat(excess, starts, axis=0)
    return np.asarray(np.abs(excess_by_bin).sum(0))


@jit()
def _count(labels: Floats, predictions: Floats, times: NDArray[Any], binned: NDArray[Any]) -> None:
    """Counts rows, each as often as `times` (N, 1 + B) says, by bins of their predictions and by
    class.
    """
    for row in range(len(labels)):
        p = min(max(predictions[row], LEAST_PROBABILITY), 1 - LEAST_PROBABILITY)
        bin = int((math.log(p / (1 - p)) + _RANGE) * (_BINS / (2 * _RANGE)))
        cell = binned[min(max(bin, 0), _BINS - 1), 1 if labels[row] != 0 else 0]
        for b in range(times.shape[1]):
            cell[b] += times[row, b]
