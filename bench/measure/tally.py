"""Metrics of predictions, per task and sample space; their names and directions are in
`bench.core.objectives`.

One class adds up the metrics of one task on one sample space over pieces of its rows, `Tally` those
of all tasks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats, Singles
from bench.core.errors import TrainingError
from bench.core.schema import Schema, Task, TaskKind
from bench.core.system.intrinsics import jit
from bench.measure.heads import Head, heads_of, means_of, metrics_of_held_rows
from bench.measure.heads.base import (
    LEAST_PROBABILITY,
    Column,
    label,
    log_loss,
    prediction,
    squared,
)
from bench.measure.heads.calibration import ECE_BINS
from bench.measure.keys import GROUP_SHIFT, NO_GROUP, Areas, Keys, by_group, by_score, code
from bench.measure.outcomes import Measure
from bench.measure.runs import Sorted
from bench.measure.spaces import Held, Observed, Predicted, by_task, on_impressions, sample_spaces
from bench.measure.stream import Stream

ROWS_IN_MEMORY = 1 << 23
"""Rows of a binary task whose keys (8 bytes each) are held in memory; more go to a temporary file,
16 bytes each.
"""
_COMPILED = (prediction, log_loss, label, squared)
"""What one pass adds up beside the keys; rows are held for metrics that need other sums."""
# probabilities whose product is taken before its logarithm: at least LEAST_PROBABILITY ** 32, or
# 1e-222
_FACTORS = 32


class BinaryTally:
    """Metrics of probabilities against labels 0, 1 or NaN; rows with NaN do not count.

    All of `bench.core.objectives.METRICS`, exact, however many rows there are: areas and bins of
    equal mass from sorted keys, means from sums. For others rows are held.
    """

    def __init__(self, limit: int = ROWS_IN_MEMORY) -> None:
        self._means = {}
        self._metrics_of_held = metrics_of_held_rows("binary")
        for name, metric in means_of("binary").items():
            if {*metric.columns} <= {*_COMPILED}:
                self._means[name] = metric
            else:
                self._metrics_of_held[name] = metric
        self._held = Held()
        self._sums = np.zeros(len(_COMPILED))
        self._keys = Sorted(np.uint64, limit, limit)
        self._keys.orders = {"group": by_group, "score": by_score}

    def add(self, rows: Observed) -> None:
        """Counts rows in; predictions are taken as float32."""
        predictions = rows.predictions.astype(np.float32, copy=False)
        keys = np.empty(len(predictions), np.uint64)
        bits = predictions.view(np.uint32)
        count = _write_keys(rows.labels, predictions, bits, rows.group, keys, self._sums)
        if self._metrics_of_held:
            self._held.add(replace(rows, predictions=predictions))
        if count < len(keys):
            keys = keys[:count].copy()  # gives unused memory back
        self._keys.add(keys)

    def result(self) -> dict[str, float]:
        """Metrics by name; those that the rows do not define are left out."""
        rows = len(self._keys)
        if rows == 0:
            return {}
        cuts = np.arange(ECE_BINS, dtype=np.int64) * rows // ECE_BINS
        by_group = Areas(self._keys.read("group"))
        by_score = Areas(self._keys.read("score"), cuts)
        metrics = {
            "auc": by_score.auc,
            "gauc": by_group.auc,
            "gauc_positives": by_group.by_positives,
            "ece": by_score.distance / rows,
        }
        sums = dict[Column, float](zip(_COMPILED, self._sums.tolist(), strict=True))
        for name, metric in self._means.items():
            of_columns = [sums[column] for column in metric.columns]
            metrics[name] = metric.of(rows, *of_columns)
        if self._held.rows is not None:
            metrics |= measured(self._metrics_of_held, self._held.rows)
        defined = {}
        for name, value in metrics.items():
            if value is not None and math.isfinite(value):
                defined[name] = float(value)
        return defined


class HeldTally:
    """Metrics of one task from rows that it holds, 16 bytes each, as they have weights or values to
    be ranked.

    Rows whose label is NaN, or whose weight is 0, do not count.

    Args:
        outcomes: of the ranking by these predictions, to measure in place of the metrics.
    """

    def __init__(self, task: Task, outcomes: Sequence[str] = ()) -> None:
        self._task = task
        self._outcomes = tuple(outcomes)
        self._held = Held()

    def add(self, rows: Observed) -> None:
        """Counts rows in, as float32."""
        labels = rows.labels
        weights = rows.weights
        if weights is not None:
            labels = np.where(weights > 0, labels, np.nan)
            weights = weights.astype(np.float32)
        observed = Observed(
            labels.astype(np.float32),
            rows.group,
            weights,
            predictions=rows.predictions.astype(np.float32),
        )
        self._held.add(observed)

    def result(self) -> dict[str, float]:
        """Metrics, or outcomes, by name; those that the rows do not define are left out."""
        rows = self._held.rows
        if rows is None:
            return {}
        if self._outcomes:
            measure = Measure((self._task,), self._outcomes, rows, grouped=self._held.grouped)
            values = measure.values(rows.predictions)[0].tolist()
            metrics = dict(zip(self._outcomes, values, strict=True))
        else:
            metrics = measured(heads_of(self._task.kind), rows)
        return {name: value for name, value in metrics.items() if np.isfinite(value)}


def measured(heads: Mapping[str, Head], rows: Observed) -> dict[str, float]:
    """Metrics of rows of which none is NaN; NaN where they do not define one."""
    y = rows.labels.astype(np.float64)
    p = rows.predictions.astype(np.float64)
    weights = rows.weights_or_ones
    as_float64 = Observed(y, rows.group, weights, predictions=p)
    return {name: head.prepare(as_float64)(weights) for name, head in heads.items()}


@jit()
def _write_keys(
    labels: NDArray[Any],
    predictions: Singles,
    bits: NDArray[np.uint32],
    group: NDArray[Any],
    keys: Keys,
    sums: Floats,
) -> int:
    """Writes the keys of observed rows, and counts them.

    Adds to the sums of predictions, log loss, labels and squared errors. One logarithm of a product
    of 32 probabilities stands for 32 logarithms: it is as exact, and far faster.
    """
    total = 0.0
    loss = 0.0
    positives = 0
    squares = 0.0
    product = 1.0
    factors = 0
    count = 0
    for row in range(len(labels)):
        if np.isnan(labels[row]):
            continue
        positive = labels[row] != 0
        positives += positive
        high = np.uint64(group[row] if group[row] >= 0 else NO_GROUP) << np.uint64(GROUP_SHIFT)
        keys[count] = code(bits[row]) << np.uint64(1) | np.uint64(positive) | high
        count += 1
        probability = np.float64(predictions[row])
        total += probability
        wrong = 1.0 - probability if positive else probability
        squares += wrong * wrong
        of_label = probability if positive else 1.0 - probability
        product *= min(max(of_label, LEAST_PROBABILITY), 1 - LEAST_PROBABILITY)
        factors += 1
        if factors == _FACTORS:
            loss -= math.log(product)
            product = 1.0
            factors = 0
    sums[0] += total
    sums[1] += loss - math.log(product)
    sums[2] += positives
    sums[3] += squares
    return count


class Tally:
    """Every metric of every task that the rows define, added up over pieces of a split.

    A task without parent is measured on all rows, as `click.auc`. A task with a parent is measured
    twice: where its parent happened, by its conditional prediction (`buy.cvr.auc`,
    `watch.cvr.rmse`), and on all rows, by the joint one against the product of labels along its
    chain (`buy.ctcvr.auc`): from the root on, the first label that is not 1 decides. Rows whose
    label, or product, is unobserved are left out.

    A metric that its rows do not define is not in the result. With one class only, there are log
    loss and ECE, and PCOC if there is a positive. Spearman correlation needs labels and predictions
    that vary. GAUC (by rows and by positives) needs a group that has both classes. Without rows
    there is no metric.

    Results do not depend on the pieces: all are exact, and the memory of a binary task is bounded.

    Args:
        tasks: in the order of the columns.
        prefix: before every name, as in `valid/`.
        limit: rows of each binary task to hold in memory.
        outcomes: of the rankings by each task's predictions to measure as well, see
            `on_impressions`.
        plain: where rows have weights, measure without the first of them, too: `click.plain_auc`.
    """

    def __init__(
        self,
        tasks: tuple[Task, ...],
        prefix: str,
        limit: int = ROWS_IN_MEMORY,
        outcomes: Sequence[str] = (),
        plain: bool = False,
    ) -> None:
        self._schema = Schema((), (), tasks)
        self._prefix = prefix
        self._plain = plain
        self._limit = limit
        self._outcomes = by_task(tasks, outcomes)
        self._metrics: dict[str, BinaryTally | HeldTally] = {}  # by the start of their names
        self._rankings: dict[int, HeldTally | Stream] = {}  # by the task's column

    def add(self, rows: Predicted) -> None:
        """Counts the next rows in; all pieces have weights, or none has.

        Raises:
            FloatingPointError: a prediction is not finite; names the task.
        """
        self._check(rows.conditional)
        self._check(rows.joint)
        weightings: dict[str, NDArray[Any] | None] = {"": None}
        if rows.weights is not None:
            weightings[""] = rows.weights.prod(axis=1)
            if self._plain:  # without the first, the row's own
                weightings["plain_"] = rows.weights[:, 1:].prod(axis=1)
        for name, kind, observed in sample_spaces(self._schema, rows):
            for prefix, weights in weightings.items():
                tally = self._tally_of(name, kind, prefix, weights is not None)
                tally.add(replace(observed, weights=weights))
        for column in self._outcomes:
            observed = on_impressions(self._schema, column, rows)
            ranking = self._ranking_of(column, rows.weights is not None)
            ranking.add(replace(observed, weights=weightings[""]))

    def _tally_of(
        self, name: str, kind: TaskKind, prefix: str, weighted: bool
    ) -> BinaryTally | HeldTally:
        key = f"{self._prefix}{name}.{prefix}"
        if key not in self._metrics:
            if kind == "binary" and not weighted:
                self._metrics[key] = BinaryTally(self._limit)
            else:
                self._metrics[key] = HeldTally(Task(name, kind))
        return self._metrics[key]

    def _ranking_of(self, column: int, weighted: bool) -> HeldTally | Stream:
        if column not in self._rankings:
            task = self._schema.tasks[column]
            outcomes = self._outcomes[column]
            if weighted:
                self._rankings[column] = HeldTally(task, outcomes)
            else:
                self._rankings[column] = Stream(task, outcomes, self._limit)
        return self._rankings[column]

    def _check(self, predictions: NDArray[Any]) -> None:
        finite = np.isfinite(predictions)
        if finite.all():
            return
        wrong = (~finite).sum(0)
        column = int(np.argmax(wrong > 0))
        task = self._schema.tasks[column].name
        raise TrainingError(
            f"{wrong[column]} of {len(predictions)} predictions of task '{task}' are not finite"
        )

    def result(self) -> dict[str, float]:
        """Metrics by full name, as in `valid/click.auc`."""
        metrics: dict[str, float] = {}
        for prefix, tally in self._metrics.items():
            for name, value in tally.result().items():
                metrics[prefix + name] = value
        for ranking in self._rankings.values():
            for name, value in ranking.result().items():
                metrics[self._prefix + name] = value
        return metrics
