"""The sample spaces of tasks: what is measured where a parent happened, and what on all impressions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.schema import Schema, Task, TaskKind


class Predicted(NamedTuple):
    """N rows of a split in its order, and what a model says of them.

    Attributes:
        labels: (N, T), 0 or 1 of binary tasks; NaN where unobserved.
        conditional: (N, T), probabilities given the parent; of a regression the expected value given it.
        joint: (N, T), probabilities of the task and all its ancestors; of a regression the expected value on all
            impressions.
        group: (N,), negative where there is none.
        weights: (N, K), whose product a row counts with; None for equal ones.
    """

    labels: NDArray[Any]
    conditional: NDArray[Any]
    joint: NDArray[Any]
    group: NDArray[Any]
    weights: NDArray[Any] | None = None

    @property
    def of_rows(self) -> NDArray[np.float64] | None:
        """(N,), how many rows a row stands for; None for one each."""
        return None if self.weights is None else self.weights.astype(np.float64).prod(axis=1)

    def part(self, rows: slice) -> Predicted:
        """Some of the rows."""
        return Predicted(*(None if each is None else each[rows] for each in self))  # type: ignore[arg-type]


def observed(labels: NDArray[Any], *columns: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Labels and what belongs to them, without the rows whose label is NaN."""
    seen = ~np.isnan(labels)
    return (labels, *columns) if seen.all() else (labels[seen], *(column[seen] for column in columns))


def by_task(tasks: Sequence[Task], outcomes: Sequence[str]) -> dict[int, list[str]]:
    """Outcomes by their task's column, of the tasks that have any."""
    names = {at: [name for name in outcomes if name.partition(".")[0] == task.name] for at, task in enumerate(tasks)}
    return {at: of for at, of in names.items() if of}


def on_impressions(schema: Schema, at: int, rows: Predicted) -> tuple[NDArray[Any], NDArray[Any]]:
    """A task's joint label (N,) on all impressions, NaN where that is not known, and its joint prediction (N,)."""
    return product(rows.labels[:, schema.chain(at)]), rows.joint[:, at]


def sample_spaces(schema: Schema, rows: Predicted) -> Iterator[tuple[str, TaskKind, NDArray[Any], NDArray[Any]]]:
    """What is measured of each task, see `Tally`: `buy.ctcvr`, its kind, labels (N,) and predictions (N,).

    A label is NaN where the row does not count.
    """
    labels, conditional, joint = rows[:3]
    for at, (task, parent) in enumerate(zip(schema.tasks, schema.parents, strict=True)):
        given = given_parent(labels, at, parent)
        if parent is None:
            yield task.name, task.kind, given, conditional[:, at]
        else:
            yield f"{task.name}.cvr", task.kind, given, conditional[:, at]
            yield f"{task.name}.ctcvr", task.kind, product(labels[:, schema.chain(at)]), joint[:, at]


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


def joint_labels(labels: NDArray[Any], schema: Schema) -> NDArray[Any]:
    """Labels (N, T) -> those of each task on all impressions (N, T): the product along its chain, NaN where unknown."""
    return np.stack([product(labels[:, schema.chain(at)]) for at in range(labels.shape[1])], axis=1)
