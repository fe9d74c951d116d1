"""Metrics of predictions, per task and sample space; their names and directions are in `bench.objectives`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import TrainingError
from bench.outcomes.streaming import Stream
from bench.schema import Schema, Task, TaskKind
from bench.training.tallies import ROWS_IN_MEMORY, BinaryTally, RegressionTally
from bench.training.weighted import WeightedTally


class Tally:
    """Every metric of every task that the rows define, added up over pieces of a split.

    A task without parent is measured on all rows, as `click.auc`. A binary task with a parent is measured twice: where
    its parent happened, by its conditional probability (`buy.cvr.auc`), and on all rows, by the joint probability
    against the product of labels along its chain (`buy.ctcvr.auc`; the product is 0 as soon as an ancestor is known
    not to have happened). A regression with a parent is measured where its parent happened. Rows whose label is
    unobserved are left out.

    A metric that its rows do not define is not in the result. With one class only, there are log loss and ECE, and PCOC
    if there is a positive. Spearman correlation needs labels and predictions that vary. GAUC (by rows and by positives)
    needs a group that has both classes. Without rows there is no metric.

    Results do not depend on the pieces: all are exact, and the memory of a binary task is bounded (see `tallies`).

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
        self._weighted: dict[str, tuple[str, WeightedTally]] = {}  # by name and column of weights
        self._outcomes = by_task(tasks, outcomes)
        self._streams = {at: Stream(tasks[at], names, limit) for at, names in self._outcomes.items()}
        self._binary: dict[str, BinaryTally] = {}
        self._regression: dict[str, RegressionTally] = {}
        for task, parent in zip(tasks, self._schema.parents, strict=True):
            if task.kind == "regression":
                self._regression[prefix + task.name] = RegressionTally()
            else:
                for space in ("",) if parent is None else (".cvr", ".ctcvr"):
                    self._binary[prefix + task.name + space] = BinaryTally(limit)

    def add(
        self,
        labels: NDArray[Any],
        conditional: NDArray[Any],
        joint: NDArray[Any],
        group: NDArray[Any],
        weights: NDArray[Any] | None = None,
    ) -> None:
        """Counts the next rows in.

        Args:
            labels: (N, T), 0 or 1 for binary tasks; NaN where unobserved.
            conditional: (N, T), probabilities given the parent; of a regression task the predicted value.
            joint: (N, T), probabilities of the task and all its ancestors.
            group: (N,), negative where there is none.
            weights: (N, K), whose product a row counts with; None for equal ones. The same for all pieces.

        Raises:
            FloatingPointError: a prediction is not finite; names the task.
        """
        self._check(conditional)
        self._check(joint)
        if weights is not None:
            self._add_weighted(labels, conditional, joint, group, weights)
            return
        for name, kind, own, predictions in sample_spaces(self._schema, labels, conditional, joint):
            if kind == "regression":
                self._regression[self._prefix + name].add(own, predictions)
            else:
                self._binary[self._prefix + name].add(own, predictions, group)
        for at, stream in self._streams.items():
            stream.add(*on_impressions(self._schema, at, labels, conditional, joint), group)

    def _add_weighted(
        self,
        labels: NDArray[Any],
        conditional: NDArray[Any],
        joint: NDArray[Any],
        group: NDArray[Any],
        weights: NDArray[Any],
    ) -> None:
        """Counts rows with their weights, and without the first, the row's own, where that is to be told beside."""
        schema = self._schema
        ways = {"": weights.prod(axis=1)} | ({"plain_": weights[:, 1:].prod(axis=1)} if self._plain else {})
        for name, kind, own, predictions in sample_spaces(schema, labels, conditional, joint):
            for way, of_rows in ways.items():
                new = (f"{self._prefix}{name}.{way}", WeightedTally(Task(name, kind)))
                self._weighted.setdefault(way + name, new)[1].add(own, predictions, group, of_rows)
        for at, outcomes in self._outcomes.items():
            new = (self._prefix, WeightedTally(schema.tasks[at], outcomes))
            ranked = on_impressions(schema, at, labels, conditional, joint)
            self._weighted.setdefault(f"outcomes of {at}", new)[1].add(*ranked, group, ways[""])

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
        tallies: dict[str, BinaryTally | RegressionTally] = {**self._binary, **self._regression}
        found = {f"{name}.{metric}": value for name, of in tallies.items() for metric, value in of.result().items()}
        outcomes = [each for stream in self._streams.values() for each in stream.result().items()]
        found |= {before + name: value for before, of in self._weighted.values() for name, value in of.result().items()}
        return found | {self._prefix + name: value for name, value in outcomes}


def by_task(tasks: Sequence[Task], outcomes: Sequence[str]) -> dict[int, list[str]]:
    """Outcomes by their task's column, of the tasks that have any."""
    names = {at: [name for name in outcomes if name.partition(".")[0] == task.name] for at, task in enumerate(tasks)}
    return {at: of for at, of in names.items() if of}


def on_impressions(
    schema: Schema, at: int, labels: NDArray[Any], conditional: NDArray[Any], joint: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """A task's joint label (N,) on all impressions, NaN where that is not known, and its joint prediction (N,).

    Of a regression with a parent they are its label and prediction times those of the parent: what an impression is
    expected to bring. The arrays are those of `Tally.add`.
    """
    parent, said = schema.parents[at], joint[:, at]
    if schema.tasks[at].kind == "regression" and parent is not None:
        said = conditional[:, at] * joint[:, parent]
    return product(labels[:, schema.chain(at)]), said


def sample_spaces(
    schema: Schema, labels: NDArray[Any], conditional: NDArray[Any], joint: NDArray[Any]
) -> Iterator[tuple[str, TaskKind, NDArray[Any], NDArray[Any]]]:
    """What is measured of each task, see `Tally`: `buy.ctcvr`, its kind, labels (N,) and predictions (N,).

    A label is NaN where the row does not count. The arrays are those of `Tally.add`.
    """
    for at, (task, parent) in enumerate(zip(schema.tasks, schema.parents, strict=True)):
        given = given_parent(labels, at, parent)
        if task.kind == "regression" or parent is None:
            yield task.name, task.kind, given, conditional[:, at]
        else:
            yield f"{task.name}.cvr", "binary", given, conditional[:, at]
            yield f"{task.name}.ctcvr", "binary", product(labels[:, schema.chain(at)]), joint[:, at]


def evaluate(
    labels: NDArray[Any],
    conditional: NDArray[Any],
    joint: NDArray[Any],
    group: NDArray[Any],
    tasks: tuple[Task, ...],
    prefix: str,
    outcomes: Sequence[str] = (),
    weights: NDArray[Any] | None = None,
    plain: bool = False,
) -> dict[str, float]:
    """Every metric of rows that are all at hand; see `Tally`."""
    tally = Tally(tasks, prefix, outcomes=outcomes, plain=plain)
    tally.add(labels, conditional, joint, group, weights)
    return tally.result()


def binary(labels: NDArray[Any], predictions: NDArray[Any], group: NDArray[Any]) -> dict[str, float]:
    """Metrics of probabilities (N,) against labels 0, 1 or NaN (N,); see `BinaryTally`."""
    tally = BinaryTally()
    tally.add(labels, predictions, group)
    return tally.result()


def regression(labels: NDArray[Any], predictions: NDArray[Any]) -> dict[str, float]:
    """`rmse` and `spearman` of values (N,) against labels or NaN (N,); see `RegressionTally`."""
    tally = RegressionTally()
    tally.add(labels, predictions)
    return tally.result()


def given_parent(labels: NDArray[Any], at: int, parent: int | None) -> NDArray[Any]:
    """Labels (N, T) -> a task's own (N,), NaN where its parent did not happen or that is not known."""
    own: NDArray[Any] = labels[:, at]
    return own if parent is None else np.where(labels[:, parent] == 1, own, np.nan)


def product(labels: NDArray[Any]) -> NDArray[Any]:
    """Labels (N, L) along a chain, root first -> (N,): whether all happened, NaN where that is not known."""
    found: NDArray[Any] = labels[:, 0]
    for own in labels.T[1:]:
        found = np.where(found == 0, found, found * own)
    return found
