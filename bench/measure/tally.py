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

from bench.core.errors import TrainingError
from bench.core.schema import Schema, Task
from bench.core.system.intrinsics import jit
from bench.measure.heads import Head, MeanMetric, heads_of, held_of
from bench.measure.heads.base import LEAST_PROBABILITY, label, log_loss, prediction, squared
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
        means = {
            name: each for name, each in heads_of("binary").items() if isinstance(each, MeanMetric)
        }
        self._means = {
            name: each for name, each in means.items() if {*each.columns} <= {*_COMPILED}
        }
        self._others = held_of("binary") | {
            name: means[name] for name in means.keys() - self._means.keys()
        }
        self._held, self._sums = Held(), np.zeros(len(_COMPILED))
        self._keys = Sorted(np.uint64, limit, limit)
        self._keys.orders = {"group": by_group, "score": by_score}

    def add(self, rows: Observed) -> None:
        """Counts rows in; predictions are taken as float32."""
        predictions = rows.predictions.astype(np.float32, copy=False)
        keys = np.empty(len(predictions), np.uint64)
        count = _take(
            rows.labels, predictions, predictions.view(np.uint32), rows.group, keys, self._sums
        )
        if self._others:
            self._held.add(replace(rows, predictions=predictions))
        # else what is not used is given back
        self._keys.add(keys if count == len(keys) else keys[:count].copy())

    def result(self) -> dict[str, float]:
        """Metrics by name; those that the rows do not define are left out."""
        rows = len(self._keys)
        if rows == 0:
            return {}
        grouped = Areas(self._keys.read("group"))
        all_rows = Areas(
            self._keys.read("score"), np.arange(ECE_BINS, dtype=np.int64) * rows // ECE_BINS
        )
        sums = dict[Any, float](zip(_COMPILED, self._sums.tolist(), strict=True))
        metrics = {"auc": all_rows.auc, "gauc": grouped.auc, "gauc_positives": grouped.by_positives}
        metrics["ece"] = all_rows.distance / rows
        metrics |= {
            name: each.of(rows, *map(sums.__getitem__, each.columns))
            for name, each in self._means.items()
        }
        if self._held.rows is not None:
            metrics |= measured(self._others, self._held.rows)
        return {
            name: float(value)
            for name, value in metrics.items()
            if value is not None and math.isfinite(value)
        }


class HeldTally:
    """Metrics of one task from rows that it holds, 16 bytes each, as they have weights or values to
    be ranked.

    Rows whose label is NaN, or whose weight is 0, do not count.

    Args:
        outcomes: of the ranking by these predictions, to measure in place of the metrics.
    """

    def __init__(self, task: Task, outcomes: Sequence[str] = ()) -> None:
        self._task, self._outcomes, self._held = task, tuple(outcomes), Held()

    def add(self, rows: Observed) -> None:
        """Counts rows in, as float32."""
        labels = rows.labels
        predictions = rows.predictions.astype(np.float32)
        weights = rows.weights
        if weights is not None:
            labels, weights = np.where(weights > 0, labels, np.nan), weights.astype(np.float32)
        self._held.add(
            Observed(labels.astype(np.float32), rows.group, weights, predictions=predictions)
        )

    def result(self) -> dict[str, float]:
        """Metrics, or outcomes, by name; those that the rows do not define are left out."""
        rows = self._held.rows
        if rows is None:
            return {}
        if self._outcomes:
            measure = Measure((self._task,), self._outcomes, rows, grouped=self._held.grouped)
            metrics = dict(
                zip(self._outcomes, measure.values(rows.predictions)[0].tolist(), strict=True)
            )
        else:
            metrics = measured(heads_of(self._task.kind), rows)
        return {name: value for name, value in metrics.items() if np.isfinite(value)}


def measured(heads: Mapping[str, Head], rows: Observed) -> dict[str, float]:
    """Metrics of rows of which none is NaN; NaN where they do not define one."""
    y, p = rows.labels.astype(np.float64), rows.predictions.astype(np.float64)
    weights = np.ones(len(y)) if rows.weights is None else rows.weights.astype(np.float64)
    own = Observed(y, rows.group, weights, predictions=p)
    return {name: head.prepare(own)(weights) for name, head in heads.items()}


@jit()
def _take(
    labels: NDArray[Any],
    predictions: NDArray[np.float32],
    bits: NDArray[np.uint32],
    group: NDArray[Any],
    keys: Keys,
    sums: NDArray[np.float64],
) -> int:
    """Writes the keys of observed rows, and counts them.

    Adds to the sums of predictions, log loss, labels and squared errors. One logarithm of a product
    of 32 probabilities stands for 32 logarithms: it is as exact, and far faster.
    """
    total, loss, positives, squares, product, factors = 0.0, 0.0, 0, 0.0, 1.0, 0
    count = 0
    for row in range(len(labels)):
        if np.isnan(labels[row]):
            continue
        positive = labels[row] != 0
        positives += positive
        own = np.uint64(group[row] if group[row] >= 0 else NO_GROUP)
        keys[count] = (
            code(bits[row]) << np.uint64(1) | np.uint64(positive) | own << np.uint64(GROUP_SHIFT)
        )
        count += 1
        probability = np.float64(predictions[row])
        total += probability
        wrong = 1.0 - probability if positive else probability
        squares += wrong * wrong
        product *= min(
            max(probability if positive else 1.0 - probability, LEAST_PROBABILITY),
            1 - LEAST_PROBABILITY,
        )
        factors += 1
        if factors == _FACTORS:
            loss -= math.log(product)
            product, factors = 1.0, 0
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
        outcomes: of the rankings by each task's own predictions to measure as well, see
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
        self._tallies: dict[tuple[str, int], BinaryTally | HeldTally | Stream] = {}
        """By what stands before their names, and the column of the task that is ranked, -1 of
        metrics.
        """

    def add(self, rows: Predicted) -> None:
        """Counts the next rows in; all pieces have weights, or none has.

        Raises:
            FloatingPointError: a prediction is not finite; names the task.
        """
        self._check(rows.conditional)
        self._check(rows.joint)
        ways: dict[str, NDArray[Any] | None] = {"": None}
        if rows.weights is not None:
            ways[""] = rows.weights.prod(axis=1)
            if self._plain:  # without the first, the row's own
                ways["plain_"] = rows.weights[:, 1:].prod(axis=1)
        for name, kind, own in sample_spaces(self._schema, rows):
            for way, weights in ways.items():
                key = f"{self._prefix}{name}.{way}", -1
                if key not in self._tallies:
                    summed = kind == "binary" and weights is None
                    self._tallies[key] = (
                        BinaryTally(self._limit) if summed else HeldTally(Task(name, kind))
                    )
                self._tallies[key].add(replace(own, weights=weights))
        for at, outcomes in self._outcomes.items():
            task, key = self._schema.tasks[at], (self._prefix, at)
            if key not in self._tallies:
                in_memory = rows.weights is not None
                self._tallies[key] = (
                    HeldTally(task, outcomes) if in_memory else Stream(task, outcomes, self._limit)
                )
            self._tallies[key].add(
                replace(on_impressions(self._schema, at, rows), weights=ways[""])
            )

    def _check(self, predictions: NDArray[Any]) -> None:
        finite = np.isfinite(predictions)
        if finite.all():
            return
        wrong = (~finite).sum(0)
        at = int(np.argmax(wrong > 0))
        task = self._schema.tasks[at].name
        raise TrainingError(
            f"{wrong[at]} of {len(predictions)} predictions of task '{task}' are not finite"
        )

    def result(self) -> dict[str, float]:
        """Metrics by full name, as in `valid/click.auc`."""
        tallies = self._tallies.items()
        return {
            before + name: value
            for (before, _), of in tallies
            for name, value in of.result().items()
        }
