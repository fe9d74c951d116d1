"""Metrics of predictions, per task and sample space; their names and directions are in `bench.objectives`.

One class adds up the metrics of one task on one sample space over pieces of its rows, `Tally` those of all tasks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import TrainingError
from bench.intrinsics import jit
from bench.measure.heads import Mean, Observed, heads_of
from bench.measure.heads.base import LEAST, label, log_loss, prediction, squared
from bench.measure.heads.calibration import ECE_BINS
from bench.measure.keys import GROUP_SHIFT, WITHOUT_GROUP, Areas, Keys, Runs, check_groups, code
from bench.measure.outcomes import Measure, Stream
from bench.measure.spaces import Predicted, by_task, observed, on_impressions, sample_spaces
from bench.schema import Schema, Task, TaskKind

ROWS_IN_MEMORY = 1 << 23
"""Rows of a binary task whose keys (8 bytes each) are held in memory; more go to a temporary file, 16 bytes each."""
_COMPILED = (prediction, log_loss, label, squared)
"""What one pass adds up beside the keys; what other metrics need besides is added up by itself."""
_FACTORS = 32  # probabilities whose product is taken before its logarithm: no less than LEAST ** 32, or 1e-222


class BinaryTally:
    """Metrics of probabilities against labels 0, 1 or NaN; rows with NaN do not count.

    All of `bench.objectives.METRICS`, exact, however many rows there are: areas and bins of equal mass from sorted
    keys, the others from sums.
    """

    def __init__(self, limit: int = ROWS_IN_MEMORY) -> None:
        self._limit = limit
        self._means = {name: each for name, each in heads_of("binary").items() if isinstance(each, Mean)}
        columns = {column for mean in self._means.values() for column in mean.columns}
        self._more = tuple(columns - set(_COMPILED))
        self._sums, self._more_sums = np.zeros(len(_COMPILED)), np.zeros(len(self._more))
        self._rows = self._held = 0
        self._grouped: list[Keys] = []
        self._loose: list[Keys] = []
        self._by_group: Runs | None = None
        self._by_score: Runs | None = None

    def add(self, labels: NDArray[Any], predictions: NDArray[Any], group: NDArray[Any]) -> None:
        """Counts rows in: labels, predictions (taken as float32) and group (N,), the last negative where there is none.

        Raises:
            ValueError: a group of 2**31 or above.
        """
        check_groups(group)
        predictions = predictions.astype(np.float32, copy=False)
        for start in range(0, len(labels), self._limit):
            part = slice(start, start + self._limit)
            self._take(labels[part], predictions[part], group[part])

    def _take(self, labels: NDArray[Any], predictions: NDArray[np.float32], group: NDArray[Any]) -> None:
        if self._held + len(labels) > self._limit:
            self._put_aside()
        keys = np.empty(len(labels), np.uint64)
        grouped, loose = _take(labels, predictions, predictions.view(np.uint32), group, keys, self._sums)
        if self._more:
            own, said = (each.astype(np.float64) for each in observed(labels, predictions))
            self._more_sums += [column(own, said).sum() for column in self._more]
        whole = grouped == len(keys)  # else what is not used is given back
        self._grouped.append(keys if whole else keys[:grouped].copy())
        self._loose.append(keys[len(keys) - loose :].copy())
        self._rows += grouped + loose
        self._held += grouped + loose

    def result(self) -> dict[str, float]:
        """Metrics by name; those that the rows do not define are left out."""
        if self._rows == 0:
            return {}
        by_group, by_score = self._sorted()
        cuts = np.arange(ECE_BINS, dtype=np.int64) * self._rows // ECE_BINS
        all_rows = Areas([by_score] if self._by_score is None else self._by_score.merged(by_score), cuts)
        grouped = Areas([by_group] if self._by_group is None else self._by_group.merged(by_group))
        sums = dict(zip((*_COMPILED, *self._more), (*self._sums, *self._more_sums), strict=True))
        found = {
            "auc": all_rows.auc,
            "gauc": grouped.auc,
            "gauc_positives": grouped.by_positives,
            "ece": all_rows.distance / self._rows,
        }
        for name, mean in self._means.items():
            found[name] = mean.of(self._rows, *(sums[column] for column in mean.columns))
        return {name: float(value) for name, value in found.items() if value is not None and math.isfinite(value)}

    def _sorted(self) -> tuple[Keys, Keys]:
        """Held keys by group and score, and by score alone."""
        none: list[Keys] = [np.empty(0, np.uint64)]
        grouped = np.concatenate(self._grouped or none)
        by_score = np.concatenate([grouped, *self._loose])
        by_score &= WITHOUT_GROUP
        by_score.sort()
        grouped.sort()
        return grouped, by_score

    def _put_aside(self) -> None:
        if self._by_group is None or self._by_score is None:
            self._by_group, self._by_score = Runs(self._limit), Runs(self._limit)
        by_group, by_score = self._sorted()
        self._by_group.add(by_group)
        self._by_score.add(by_score)
        self._grouped, self._loose, self._held = [], [], 0


class HeldTally:
    """Metrics of one task from rows that it holds, 16 bytes each, as they have weights or values to be ranked.

    Rows whose label is NaN, or whose weight is 0, do not count.

    Args:
        outcomes: of the ranking by these predictions, to measure in place of the metrics.
    """

    def __init__(self, task: Task, outcomes: Sequence[str] = ()) -> None:
        self._task, self._outcomes = task, tuple(outcomes)
        self._rows: list[tuple[NDArray[Any], ...]] = []
        self._by_group = False

    def add(self, labels: NDArray[Any], predictions: NDArray[Any], group: NDArray[Any], weights: NDArray[Any]) -> None:
        """Counts rows in, each (N,), as float32."""
        self._by_group = self._by_group or bool((group >= 0).any())
        seen = ~np.isnan(labels) & (weights > 0)
        kept = (labels[seen].astype(np.float32), predictions[seen].astype(np.float32), group[seen])
        self._rows.append((*kept, weights[seen].astype(np.float32)))

    def result(self) -> dict[str, float]:
        """Metrics, or outcomes, by name; those that the rows do not define are left out."""
        if not sum(len(rows[0]) for rows in self._rows):
            return {}
        labels, predictions, group, weights = (np.concatenate(column) for column in zip(*self._rows, strict=True))
        if self._outcomes:
            about = (self._task,), self._outcomes, labels[:, None], group, ""
            values = Measure(*about, grouped=self._by_group, weights=weights).values(predictions)
            found = dict(zip(self._outcomes, values.tolist(), strict=True))
        else:
            found = metrics_of(self._task.kind, labels, predictions, group, weights)
        return {name: value for name, value in found.items() if np.isfinite(value)}


def metrics_of(
    kind: TaskKind, labels: NDArray[Any], predictions: NDArray[Any], group: NDArray[Any], weights: NDArray[Any]
) -> dict[str, float]:
    """Every metric of rows (N,) of which none is NaN; NaN where they do not define one."""
    y, p, w = (each.astype(np.float64) for each in (labels, predictions, weights))
    rows = Observed(y, p, w, group)
    return {name: head.prepare(rows)(rows.weights) for name, head in heads_of(kind).items()}


@jit()
def _take(
    labels: NDArray[Any],
    predictions: NDArray[np.float32],
    bits: NDArray[np.uint32],
    group: NDArray[Any],
    keys: Keys,
    sums: NDArray[np.float64],
) -> tuple[int, int]:
    """Writes the keys of observed rows, those with a group from the front, the others from the back; counts both.

    Adds to the sums of predictions, log loss, labels and squared errors. One logarithm of a product of 32 probabilities
    stands for 32 logarithms: it is as exact, and far faster.
    """
    total, loss, positives, squares, product, factors = 0.0, 0.0, 0, 0.0, 1.0, 0
    front, back = 0, len(keys)
    for row in range(len(labels)):
        if np.isnan(labels[row]):
            continue
        positive = labels[row] != 0
        positives += positive
        key = code(bits[row]) << np.uint64(1) | np.uint64(positive)
        if group[row] >= 0:
            keys[front] = key | np.uint64(group[row]) << np.uint64(GROUP_SHIFT)
            front += 1
        else:
            back -= 1
            keys[back] = key
        probability = np.float64(predictions[row])
        total += probability
        wrong = 1.0 - probability if positive else probability
        squares += wrong * wrong
        product *= min(max(probability if positive else 1.0 - probability, LEAST), 1 - LEAST)
        factors += 1
        if factors == _FACTORS:
            loss -= math.log(product)
            product, factors = 1.0, 0
    sums[0] += total
    sums[1] += loss - math.log(product)
    sums[2] += positives
    sums[3] += squares
    return front, len(keys) - back


class Tally:
    """Every metric of every task that the rows define, added up over pieces of a split.

    A task without parent is measured on all rows, as `click.auc`. A task with a parent is measured twice: where its
    parent happened, by its conditional prediction (`buy.cvr.auc`, `watch.cvr.rmse`), and on all rows, by the joint one
    against the product of labels along its chain (`buy.ctcvr.auc`): from the root on, the first label that is not 1
    decides. Rows whose label, or product, is unobserved are left out.

    A metric that its rows do not define is not in the result. With one class only, there are log loss and ECE, and PCOC
    if there is a positive. Spearman correlation needs labels and predictions that vary. GAUC (by rows and by positives)
    needs a group that has both classes. Without rows there is no metric.

    Results do not depend on the pieces: all are exact, and the memory of a binary task is bounded.

    Args:
        tasks: in the order of the columns.
        prefix: before every name, as in `valid/`.
        limit: rows of each binary task to hold in memory.
        outcomes: of the rankings by each task's own predictions to measure as well, see `on_impressions`.
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
        self._schema, self._prefix, self._plain = Schema((), (), tasks), prefix, plain
        self._weighted: dict[str, tuple[str, HeldTally]] = {}  # by name and column of weights
        self._outcomes = by_task(tasks, outcomes)
        self._streams = {at: Stream(tasks[at], names, limit) for at, names in self._outcomes.items()}
        self._binary: dict[str, BinaryTally] = {}
        self._regression: dict[str, HeldTally] = {}
        for task, parent in zip(tasks, self._schema.parents, strict=True):
            for space in ("",) if parent is None else (".cvr", ".ctcvr"):
                if task.kind == "regression":
                    self._regression[prefix + task.name + space] = HeldTally(task)
                else:
                    self._binary[prefix + task.name + space] = BinaryTally(limit)

    def add(self, rows: Predicted) -> None:
        """Counts the next rows in; all pieces have weights, or none has.

        Raises:
            FloatingPointError: a prediction is not finite; names the task.
        """
        self._check(rows.conditional)
        self._check(rows.joint)
        if rows.weights is not None:
            self._add_weighted(rows, rows.weights)
            return
        for name, kind, own, predictions in sample_spaces(self._schema, rows):
            if kind == "regression":
                self._regression[self._prefix + name].add(own, predictions, rows.group, np.ones(len(own)))
            else:
                self._binary[self._prefix + name].add(own, predictions, rows.group)
        for at, stream in self._streams.items():
            stream.add(*on_impressions(self._schema, at, rows), rows.group)

    def _add_weighted(self, rows: Predicted, weights: NDArray[Any]) -> None:
        """Counts rows with their weights, and without the first, the row's own, where that is to be told beside."""
        schema = self._schema
        ways = {"": weights.prod(axis=1)} | ({"plain_": weights[:, 1:].prod(axis=1)} if self._plain else {})
        for name, kind, own, predictions in sample_spaces(schema, rows):
            for way, of_rows in ways.items():
                new = (f"{self._prefix}{name}.{way}", HeldTally(Task(name, kind)))
                self._weighted.setdefault(way + name, new)[1].add(own, predictions, rows.group, of_rows)
        for at, outcomes in self._outcomes.items():
            new = (self._prefix, HeldTally(schema.tasks[at], outcomes))
            ranked = on_impressions(schema, at, rows)
            self._weighted.setdefault(f"outcomes of {at}", new)[1].add(*ranked, rows.group, ways[""])

    def _check(self, predictions: NDArray[Any]) -> None:
        finite = np.isfinite(predictions)
        if finite.all():
            return
        wrong = (~finite).sum(0)
        at = int(np.argmax(wrong > 0))
        task = self._schema.tasks[at].name
        raise TrainingError(f"{wrong[at]} of {len(predictions)} predictions of task '{task}' are not finite")

    def result(self) -> dict[str, float]:
        """Metrics by full name, as in `valid/click.auc`."""
        tallies: dict[str, BinaryTally | HeldTally] = {**self._binary, **self._regression}
        found = {f"{name}.{metric}": value for name, of in tallies.items() for metric, value in of.result().items()}
        outcomes = [each for stream in self._streams.values() for each in stream.result().items()]
        found |= {before + name: value for before, of in self._weighted.values() for name, value in of.result().items()}
        return found | {self._prefix + name: value for name, value in outcomes}
