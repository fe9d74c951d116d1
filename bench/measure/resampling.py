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
from bench.measure.heads import MeanMetric, heads_of, held_of
from bench.measure.heads.base import LEAST_PROBABILITY, label
from bench.measure.heads.calibration import ECE_BINS
from bench.measure.outcomes import Measure
from bench.measure.resamples import add_times, counts, drawn_of, one_by_one, units_of
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
_BINS, _RANGE = 2048, 12.0  # of logits in [-12, 12]


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
        self._schema, self._split, self._resamples = Schema((), (), tasks), split, resamples
        self._rows = 0
        self._of: dict[str, _Space] = {}
        of_tasks = by_task(tasks, outcomes).items()
        self._ranked = {at: _Ranked(tasks[at], names, split, resamples) for at, names in of_tasks}

    def add(self, rows: Predicted) -> None:
        """Counts the next rows of the split in, as `Tally.add` does."""
        units = units_of(rows.group, self._rows) if rows.units is None else rows.units
        rows = replace(rows, units=units)
        self._rows += len(units)
        for at, held in self._ranked.items():
            held.add(on_impressions(self._schema, at, rows))
        for start in range(0, len(units), _PIECE):
            piece = slice(start, start + _PIECE)
            once = np.ones((len(units[piece]), 1), np.uint8)
            times = np.concatenate(
                [once, counts(units[piece], self._split, self._resamples)], axis=1
            )
            for name, kind, own in sample_spaces(self._schema, part_of(rows, piece)):
                if name not in self._of:
                    self._of[name] = _Space(kind, self._split, self._resamples)
                self._of[name].add(
                    replace(own, predictions=own.predictions.astype(np.float32)), times
                )

    def result(self) -> dict[str, list[float]]:
        """By a metric's full name its B values, less its value on the split as it is; NaN where a
        resample does not define it, as one without positives.

        Beside the metrics of a binary task there is `<task>.rarer`: how many rows of the rarer
        class there are, over their number in the split as it is.
        """
        every = {
            f"{name}.{metric}": of
            for name, tally in self._of.items()
            for metric, of in tally.result().items()
        }
        for held in self._ranked.values():
            every |= held.result()
        changes = {}
        for name, values in every.items():
            if np.isfinite(values[0]):
                moved = np.where(np.isfinite(values[1:]), values[1:] - values[0], np.nan)
                changes[f"{self._split}/{name}"] = moved.tolist()
        return changes


class _Space:
    """Resampled metrics of a task on one sample space. Column 0 of every sum is the split itself,
    others resamples.
    """

    def __init__(self, kind: TaskKind, split: str, resamples: int) -> None:
        self._means = {
            name: each for name, each in heads_of(kind).items() if isinstance(each, MeanMetric)
        }
        self._columns = list(
            dict.fromkeys(
                [label, *(column for each in self._means.values() for column in each.columns)]
            )
        )
        self._sums = np.zeros((1 + len(self._columns), 1 + resamples))  # of rows, then of columns
        self._binned: NDArray[Any] | None = (
            np.zeros((_BINS, 2, 1 + resamples), np.int32) if kind == "binary" else None
        )
        self._grouped = _Ranked(Task("all"), ("all.gauc", "all.gauc_positives"), split, resamples)
        self._others = _Others(kind, split, resamples)

    def add(self, rows: Observed, times: NDArray[Any]) -> None:
        known = rows
        if not (seen := ~np.isnan(rows.labels)).all():
            known, times = part_of(rows, seen), times[seen]
        if known.weights is not None:
            times = times * known.weights[:, None]
        y, p = known.labels.astype(np.float64), known.predictions.astype(np.float64)
        added = [np.ones(len(y)), *(column(y, p) for column in self._columns)]
        add_times(times, np.stack(added, axis=1), self._sums)
        if self._binned is not None:
            if known.weights is not None:
                self._binned = self._binned.astype(np.float64, copy=False)
            _count(y, p, times, self._binned)
            self._grouped.add(part_of(known, known.group >= 0))
        self._others.add(known)

    def result(self) -> dict[str, Floats]:
        """By a metric's name (1 + B,)."""
        rows = self._sums[0]
        sums = dict(zip(self._columns, self._sums[1:], strict=True))
        named = {
            name: each.of(rows, *(sums[column] for column in each.columns))
            for name, each in self._means.items()
        }
        if self._binned is not None:
            negatives = self._binned[:, 0].astype(float)
            positives = self._binned[:, 1].astype(float)
            n, p = negatives.sum(0), positives.sum(0)
            below = np.cumsum(negatives, axis=0) - negatives
            with np.errstate(all="ignore"):
                named |= {
                    "auc": (positives * (below + negatives / 2)).sum(0) / (n * p),
                    "ece": _ece(negatives, positives) / rows,
                    RARER: (rarer := p if p[0] <= n[0] else n) / rarer[0],
                }
        named |= {
            name.removeprefix("all."): values for name, values in self._grouped.result().items()
        }
        return named | self._others.result()


class _Ranked(Held):
    """Resampled outcomes of the ranking by one task's predictions; it holds its rows."""

    def __init__(self, task: Task, outcomes: Sequence[str], split: str, resamples: int) -> None:
        super().__init__(ROWS_HELD)
        self._task, self._outcomes, self._drawn = task, outcomes, (split, resamples)

    def result(self) -> dict[str, Floats]:
        """By an outcome's name (1 + B,)."""
        rows = self.rows
        if rows is None:
            return {}
        drawn = drawn_of(rows, *self._drawn)
        measure = Measure((self._task,), self._outcomes, rows, drawn=drawn, grouped=self.grouped)
        outcomes = measure.resampled(rows.predictions.astype(np.float32))[:, 0]
        return dict(zip(measure.names, outcomes.T, strict=True))


class _Others(Held):
    """Resampled metrics of a kind for which rows are held, as `held_of` has them."""

    def __init__(self, kind: TaskKind, split: str, resamples: int) -> None:
        super().__init__(ROWS_HELD)
        self._heads, self._split, self._resamples = held_of(kind), split, resamples

    def add(self, rows: Observed) -> None:
        if self._heads:
            super().add(
                replace(
                    rows,
                    labels=rows.labels.astype(float),
                    predictions=rows.predictions.astype(float),
                )
            )

    def result(self) -> dict[str, Floats]:
        """By a metric's name (1 + B,)."""
        rows = self.rows
        if rows is None or rows.units is None:
            return {}
        of_rows = np.ones(len(rows.labels)) if rows.weights is None else rows.weights
        measures = {name: each.prepare(rows) for name, each in self._heads.items()}
        values = {name: [measure(of_rows)] for name, measure in measures.items()}
        for times in one_by_one(rows.units, self._split, self._resamples):
            for name, measure in measures.items():
                values[name].append(measure(of_rows * times))
        return {name: np.array(each) for name, each in values.items()}


def _ece(negatives: Floats, positives: Floats) -> Floats:
    """sum of |sum of predictions - sum of labels| over bins of equal mass, those of the split as it
    is.
    """
    logits = (np.arange(_BINS) + 0.5) / _BINS * 2 * _RANGE - _RANGE
    excess = (negatives + positives) / (1 + np.exp(-logits))[:, None] - positives
    mass = np.cumsum(negatives[:, 0] + positives[:, 0])
    edges = np.searchsorted(mass, mass[-1] * np.arange(1, ECE_BINS) / ECE_BINS)
    starts = np.unique(np.concatenate([[0], np.minimum(edges + 1, _BINS - 1)]))
    return np.asarray(np.abs(np.add.reduceat(excess, starts, axis=0)).sum(0))


@jit()
def _count(labels: Floats, predictions: Floats, times: NDArray[Any], binned: NDArray[Any]) -> None:
    """Counts rows, each as often as `times` (N, 1 + B) says, by bins of their predictions and by
    class.
    """
    for row in range(len(labels)):
        p = min(max(predictions[row], LEAST_PROBABILITY), 1 - LEAST_PROBABILITY)
        bin = int((math.log(p / (1 - p)) + _RANGE) * (_BINS / (2 * _RANGE)))
        of = binned[min(max(bin, 0), _BINS - 1), 1 if labels[row] != 0 else 0]
        for b in range(times.shape[1]):
            of[b] += times[row, b]
