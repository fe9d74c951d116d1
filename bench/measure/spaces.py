"""The sample spaces of tasks: what is measured where a parent happened, and what on all
impressions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.core.schema import Schema, Task, TaskKind
from bench.measure.labelled import Labelled


@dataclass(frozen=True, kw_only=True)
class Predicted(Labelled):
    """N rows of a split in its order, and what a model says of them.

    Labels are (N, T), each task's own. Weights are (N, K): a row counts with their product.

    Attributes:
        conditional: (N, T), probabilities given the parent; of a regression the expected value
            given it.
        joint: (N, T), probabilities of the task and all its ancestors; of a regression the expected
            value on all impressions.
    """

    conditional: NDArray[Any]
    joint: NDArray[Any]

    @property
    def of_rows(self) -> NDArray[np.float64] | None:
        """(N,), how many rows a row stands for; None for one each."""
        return None if self.weights is None else self.weights.astype(np.float64).prod(axis=1)


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
    named = ((each.name, getattr(rows, each.name)) for each in fields(rows))
    return {name: column for name, column in named if column is not None}


def part_of(rows: RowsT, places: slice | NDArray[Any]) -> RowsT:
    """Some of the rows: a slice, their places, or a mask."""
    return replace(rows, **{name: column[places] for name, column in _columns(rows).items()})


def together(pieces: Iterable[RowsT]) -> RowsT:
    """The rows of at least one piece, one after the other."""
    first, *others = pieces
    every = [_columns(piece) for piece in (first, *others)]
    return replace(
        first, **{name: np.concatenate([each[name] for each in every]) for name in every[0]}
    )


class Held:
    """Known rows of one head that come in pieces and are needed together.

    Args:
        limit: beyond it none are held.

    Attributes:
        grouped: whether any row has had a group, those without a label among them.
    """

    def __init__(self, limit: float = math.inf) -> None:
        self._limit, self._count, self.grouped = limit, 0, False
        self._pieces: list[Observed] = []

    def add(self, rows: Observed) -> None:
        """Counts the next rows in."""
        self.grouped = self.grouped or bool((rows.group >= 0).any())
        known = rows.known
        self._count += len(known.labels)
        if self._count <= self._limit:
            self._pieces.append(known)
        else:
            self._pieces.clear()

    @property
    def rows(self) -> Observed | None:
        """All known rows; None where there are none, or more than the limit."""
        return together(self._pieces) if 0 < self._count <= self._limit else None


def by_task(tasks: Sequence[Task], outcomes: Sequence[str]) -> dict[int, list[str]]:
    """Outcomes by their task's column, of the tasks that have any."""
    names = {
        at: [name for name in outcomes if name.partition(".")[0] == task.name]
        for at, task in enumerate(tasks)
    }
    return {at: of for at, of in names.items() if of}


def on_impressions(schema: Schema, at: int, rows: Predicted) -> Observed:
    """A task's joint prediction on all impressions, and its joint label, NaN where that is not
    known.
    """
    labels = product(rows.labels, schema, at)
    return Observed(labels, rows.group, rows.of_rows, rows.units, predictions=rows.joint[:, at])


def sample_spaces(schema: Schema, rows: Predicted) -> Iterator[tuple[str, TaskKind, Observed]]:
    """What is measured of each task, see `Tally`: `buy.ctcvr`, its kind, and its rows, all N on
    every space.
    """
    of_rows = rows.of_rows
    for at, (task, parent) in enumerate(zip(schema.tasks, schema.parents, strict=True)):
        labels = given_parent(rows.labels, at, parent)
        name = task.name if parent is None else f"{task.name}.cvr"
        own = Observed(labels, rows.group, of_rows, rows.units, predictions=rows.conditional[:, at])
        yield name, task.kind, own
        if parent is not None:
            yield f"{task.name}.ctcvr", task.kind, on_impressions(schema, at, rows)


def given_parent(labels: NDArray[Any], at: int, parent: int | None) -> NDArray[Any]:
    """Labels (N, T) -> a task's own (N,), NaN where its parent did not happen or that is not
    known.
    """
    own: NDArray[Any] = labels[:, at]
    return own if parent is None else np.where(labels[:, parent] == 1, own, np.nan)


def product(labels: NDArray[Any], schema: Schema, at: int) -> NDArray[Any]:
    """Labels (N, T) -> (N,): whether a task and all its ancestors happened, NaN where that is not
    known.
    """
    first, *rest = schema.chain(at)
    product: NDArray[Any] = labels[:, first]
    for task in rest:
        own = labels[:, task]
        decided = product == 0
        if schema.tasks[task].late:
            decided &= ~np.isnan(own)
        product = np.where(decided, product, product * own)
    return product


def joint_labels(labels: NDArray[Any], schema: Schema) -> NDArray[Any]:
    """Labels (N, T) -> those of each task on all impressions (N, T): the product along its chain,
    NaN where unknown.
    """
    return np.stack([product(labels, schema, at) for at in range(labels.shape[1])], axis=1)
