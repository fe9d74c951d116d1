"""Rows with labels and predictions, and the sample spaces of tasks: what is measured where a parent
happened, and what on all impressions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.schema import Schema, Task, TaskKind


@dataclass(frozen=True)
class Labelled:
    """N rows: labels, and how rows are ranked, weighted and resampled.

    Attributes:
        labels: (N, T), or (N,) of one task; NaN where unobserved.
        group: (N,), rows with the same number are ranked against each other; negative for rows
            without a group.
        weights: (N,) >= 0, the number of equal rows that each stands for; None means 1.
        units: (N,), rows with the same number are resampled together, see
            `bench.measure.resamples`; so are rows of a group. None where these rows are a whole
            split whose card has no units.
    """

    labels: NDArray[Any]
    group: NDArray[Any]
    weights: NDArray[Any] | None = None
    units: NDArray[np.uint64] | None = None

    @property
    def weights_or_ones(self) -> Floats:
        """(N,), of weights (N,)."""
        if self.weights is None:
            return np.ones(len(self.labels))
        return self.weights.astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class Predicted(Labelled):
    """N rows of a split in its order, with a model's predictions.

    Labels are (N, T), those of the tasks themselves. Weights are (N, K): a row counts with their
    product.

    Attributes:
        conditional: (N, T), probabilities given the parent; of a regression the expected value
            given it.
        joint: (N, T), probabilities of the task and all its ancestors; of a regression the expected
            value on all impressions.
    """

    conditional: NDArray[Any]
    joint: NDArray[Any]

    @property
    def of_rows(self) -> Floats | None:
        """(N,), how many rows a row stands for; None for one each."""
        if self.weights is None:
            return None
        return np.asarray(self.weights.astype(np.float64).prod(axis=1))


@dataclass(frozen=True, kw_only=True)
class Observed(Labelled):
    """N rows of one head: labels (N,) on one sample space, NaN where a row does not count there.

    Attributes:
        predictions: (N,).
    """

    predictions: NDArray[Any]

    @property
    def known(self) -> Observed:
        """The rows that have a label; a copy."""
        return part_of(self, ~np.isnan(self.labels))

    @cached_property
    def shared(self) -> dict[str, Any]:
        """By name what several metrics prepare of these rows together."""
        return {}


RowsT = TypeVar("RowsT", Predicted, Observed)


def _columns(rows: RowsT) -> dict[str, NDArray[Any]]:
    columns = {}
    for field in fields(rows):
        column = getattr(rows, field.name)
        if column is not None:
            columns[field.name] = column
    return columns


def part_of(rows: RowsT, places: slice | NDArray[Any]) -> RowsT:
    """Some of the rows: a slice, their places, or a mask."""
    columns = {name: column[places] for name, column in _columns(rows).items()}
    return replace(rows, **columns)


def together(pieces: Iterable[RowsT]) -> RowsT:
    """The rows of at least one piece, one after the other."""
    pieces = list(pieces)
    columns = [_columns(piece) for piece in pieces]
    joined = {}
    for name in columns[0]:
        joined[name] = np.concatenate([of_piece[name] for of_piece in columns])
    return replace(pieces[0], **joined)


class Held:
    """Known rows of one head that come in pieces and are needed together.

    Args:
        limit: beyond it none are held.

    Attributes:
        grouped: whether any row has had a group, those without a label among them.
    """

    def __init__(self, limit: float = math.inf) -> None:
        self._limit = limit
        self._count = 0
        self.grouped = False
        self._pieces: list[Observed] = []

    def add(self, rows: Observed) -> None:
        """Counts the next rows in."""
        self.grouped = self.grouped or bool((rows.group >= 0).any())
        observed = rows.known
        self._count += len(observed.labels)
        if self._count <= self._limit:
            self._pieces.append(observed)
        else:
            self._pieces.clear()

    @property
    def rows(self) -> Observed | None:
        """All known rows; None where there are none, or more than the limit."""
        if 0 < self._count <= self._limit:
            return together(self._pieces)
        return None


def by_task(tasks: Sequence[Task], outcomes: Sequence[str]) -> dict[int, list[str]]:
    """Outcomes by their task's column, of the tasks that have any."""
    names: dict[int, list[str]] = {}
    for column, task in enumerate(tasks):
        for outcome in outcomes:
            if outcome.partition(".")[0] == task.name:
                names.setdefault(column, []).append(outcome)
    return names


def on_impressions(schema: Schema, task: int, rows: Predicted) -> Observed:
    """A task's joint prediction on all impressions, and its joint label, NaN where that is not
    known.
    """
    return Observed(
        labels=product(rows.labels, schema, task),
        group=rows.group,
        weights=rows.of_rows,
        units=rows.units,
        predictions=rows.joint[:, task],
    )


def sample_spaces(schema: Schema, rows: Predicted) -> Iterator[tuple[str, TaskKind, Observed]]:
    """What is measured of each task, see `Tally`: `buy.ctcvr`, its kind, and its rows, all N on
    every space.
    """
    weights = rows.of_rows
    for column, task in enumerate(schema.tasks):
        parent = schema.parents[column]
        observed = Observed(
            labels=given_parent(rows.labels, column, parent),
            group=rows.group,
            weights=weights,
            units=rows.units,
            predictions=rows.conditional[:, column],
        )
        if parent is None:
            yield task.name, task.kind, observed
        else:
            yield f"{task.name}.cvr", task.kind, observed
            yield f"{task.name}.ctcvr", task.kind, on_impressions(schema, column, rows)


def given_parent(labels: NDArray[Any], task: int, parent: int | None) -> NDArray[Any]:
    """Labels (N, T) -> those of one task (N,), NaN where its parent did not happen or that is not
    known.
    """
    of_task: NDArray[Any] = labels[:, task]
    if parent is None:
        return of_task
    parent_happened = labels[:, parent] == 1
    return np.where(parent_happened, of_task, np.nan)


def product(labels: NDArray[Any], schema: Schema, task: int) -> NDArray[Any]:
    """Labels (N, T) -> (N,): whether a task and all its ancestors happened, NaN where that is not
    known.
    """
    root, *descendants = schema.chain(task)
    joint: NDArray[Any] = labels[:, root]
    for descendant in descendants:
        label = labels[:, descendant]
        decided = joint == 0
        if schema.tasks[descendant].late:
            decided &= ~np.isnan(label)
        joint = np.where(decided, joint, joint * label)
    return joint


def joint_labels(labels: NDArray[Any], schema: Schema) -> NDArray[Any]:
    """Labels (N, T) -> those of each task on all impressions (N, T): the product along its chain,
    NaN where unknown.
    """
    columns = [product(labels, schema, task) for task in range(labels.shape[1])]
    return np.stack(columns, axis=1)
