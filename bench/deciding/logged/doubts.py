"""What does not fit in a log: parents that cannot be, predictions of another task, a score without
its amounts.

Each check asks far more than noise gives, and rows that belong together count for less than their
number. Contradictions of labels are refused; the rest is a note with its evidence, because a bad
model may look the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats, Mask, Singles
from bench.core.errors import UserError
from bench.core.formula import Column, product, replaced
from bench.core.formula_languages import text_of
from bench.core.schema import TaskKind
from bench.deciding.logged.asked import Asked

LEAST_ROWS = 30
"""Rows with a label above 0 that a doubt needs."""
BY_CHANCE = 1e-6
"""Chance of a pattern among labels that do not depend on each other, up to which it is told."""
SURE = 4.0
"""Standard errors by which one column has to predict a task better than another."""
WRONG_WAY = 0.45
"""Area under the curve below which a prediction may be upside down."""
POSITIVES, NEGATIVES = 5_000, 15_000
"""Most rows of each kind that areas are compared on."""
OFF = 3.0
"""By which factor predictions within 0 and 1 miss the mean of a value, so that they may be
probabilities.
"""
SCORE_ROWS = 20_000
LEAST_SCORED = 1_000
UNMOVED = 0.03
"""Partial rank correlation below which a score does not move with an amount."""


def check_parents(
    asked: Asked, labels: Singles, kinds: Sequence[TaskKind], place: Callable[[int], str]
) -> list[str]:
    """Sentences on tasks that happen without their parent, and on parents that nobody named.

    Args:
        labels: (N, T), each as the log has it.

    Raises:
        UserError: a parent that most labels contradict, or one that is reversed.
    """
    happened = dict(zip(asked.labels, (labels > 0).T, strict=True))
    known = dict(zip(asked.labels, np.isfinite(labels).T, strict=True))
    notes = []
    for task, parent in asked.parents.items():
        alone = happened[task] & known[parent] & ~happened[parent]
        if alone.any():
            both = happened[task] & happened[parent]
            follows = float(happened[task][happened[parent] & known[task]].mean())
            notes.append(_without_parent(task, parent, alone, both, follows, place))
    for at, task in enumerate(asked.labels):
        unnamed = (
            None if task in asked.parents else _unnamed_parent(task, asked, kinds, happened, known)
        )
        if unnamed is not None:
            parent = unnamed
            many = int((happened[task] & known[parent]).sum())
            what = "happens" if kinds[at] == "binary" else "is above 0"
            notes.append(
                f"{task} {what} in {many:,} rows, and each of them has {parent}. If it cannot be "
                f"without, say --parent {task}={parent}: predictions of {task} may then be given "
                f"{parent}."
            )
    return notes


def _without_parent(
    task: str, parent: str, alone: Mask, both: Mask, follows: float, place: Callable[[int], str]
) -> str:
    """A sentence on rows `alone` that have a task without its parent.

    Args:
        both: rows with both.
        follows: share of the parent's rows that have the task.
    """
    few, many = int(alone.sum()), int(alone.sum() + both.sum())
    found = f"{few:,} of {many:,} rows with {task} without {parent}"
    if few >= LEAST_ROWS and follows > 0.99 and few > 0.01 * many:
        raise UserError(
            f"parents: expected {task} only where {parent} happens, found {found}, and {task} in "
            f"{follows:.1%} of the rows with {parent}: is it reversed, --parent {parent}={task}?"
        )
    if few >= LEAST_ROWS and 2 * few > many:
        raise UserError(
            f"parents: expected {task} only where {parent} happens, found {found}, the first in "
            f"{place(int(alone.argmax()))}; leave --parent {task}={parent} out if {task} does not "
            "need it"
        )
    return (
        f"{found}, the first in {place(int(alone.argmax()))}: there {task} counts as 0, as "
        "--parent says."
    )


def _unnamed_parent(
    task: str,
    asked: Asked,
    kinds: Sequence[TaskKind],
    happened: Mapping[str, Mask],
    known: Mapping[str, Mask],
) -> str | None:
    """The rarest task without which another one never happens, where chance does not explain it."""
    found: dict[str, int] = {}
    for parent, kind in zip(asked.labels, kinds, strict=True):
        if parent == task or kind != "binary" or task in _above(parent, asked.parents):
            continue
        rows = happened[task] & known[parent]
        many, rate = int(rows.sum()), float(happened[parent][known[parent]].mean())
        if many < LEAST_ROWS or (rows & ~happened[parent]).any():
            continue
        alike = int((happened[parent] & known[task]).sum()) == many
        if not alike and many * np.log(rate) < np.log(BY_CHANCE):
            found[parent] = int(happened[parent].sum())
    return min(found, key=found.__getitem__, default=None)


def _above(task: str, parents: Mapping[str, str]) -> list[str]:
    """The parents of a task, up the chain."""
    found = []
    while task in parents:
        task = parents[task]
        found.append(task)
    return found


class Lead(NamedTuple):
    """How much better one column predicts a task than the task's own.

    Attributes:
        other, own: areas under the curve.
    """

    column: int
    other: float
    own: float


def misplaced(
    model: str, columns: Sequence[str], predictions: Singles, events: Singles, asked: Asked
) -> list[str]:
    """Sentences on a model's columns that predict each other's tasks better, or a task the wrong
    way round.

    A task with a parent is judged where the parent happened, as predictions may be given it.

    Args:
        predictions: (N, T), as the log has them; events: (N, T), joint labels.
    """
    tasks, notes = asked.labels, []
    leads: dict[int, list[Lead]] = {}
    for at, task in enumerate(tasks):
        inside = np.isfinite(events[:, at])
        if task in asked.parents:
            inside &= events[:, tasks.index(asked.parents[task])] > 0
        rows = _two_classes(events[:, at], inside)
        if rows is None:
            continue
        placed = [_placements(predictions[:, column], *rows) for column in range(len(tasks))]
        own = _area(placed[at])
        if own < WRONG_WAY and task not in asked.parents and _z(placed[at], None) < -SURE:
            notes.append(
                f"{columns[at]} of {model} predicts {task} the wrong way round (AUC {own:.3f}): "
                f"high values should mean {task}."
            )
        leads[at] = [
            Lead(column, _area(other), own)
            for column, other in enumerate(placed)
            if column != at and _z(other, placed[at]) > SURE
        ]
    return notes + _swapped(model, columns, tasks, leads)


def _swapped(
    model: str, columns: Sequence[str], tasks: Sequence[str], leads: Mapping[int, Sequence[Lead]]
) -> list[str]:
    """A sentence on a circle of columns each of which predicts the next one's task better than that
    one itself.
    """
    try:
        TopologicalSorter(
            {task: [lead.column for lead in found] for task, found in leads.items()}
        ).prepare()
    except CycleError as error:
        circle = error.args[1]
    else:
        return []
    told = []
    for better, task in pairwise(circle):
        lead = next(lead for lead in leads[task] if lead.column == better)
        told.append(
            f"{columns[better]} predicts {tasks[task]} better than {columns[task]} does (AUC "
            f"{lead.other:.3f} over {lead.own:.3f})"
        )
    return [f"{', and '.join(told)}: are the columns of model '{model}' swapped?"]


def _two_classes(
    label: NDArray[Any], inside: Mask
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Places of rows with a high label and of others, some of each; None where either is few."""
    if not inside.any():
        return None
    high = label > np.median(label[inside])
    positive, negative = np.flatnonzero(inside & high), np.flatnonzero(inside & ~high)
    if min(len(positive), len(negative)) < LEAST_ROWS:
        return None
    return positive[:: 1 + len(positive) // POSITIVES], negative[:: 1 + len(negative) // NEGATIVES]


def _placements(
    predictions: NDArray[Any], positive: NDArray[np.int64], negative: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Of each positive row the share of negative ones below it, and of each negative row that of
    positive ones above it (DeLong et al., Biometrics 1988); ties count one half."""
    high, low = np.sort(predictions[positive]), np.sort(predictions[negative])

    def below(values: NDArray[Any], among: NDArray[Any]) -> Floats:
        both = np.searchsorted(among, values, "left") + np.searchsorted(among, values, "right")
        return np.asarray(both / (2 * len(among)))

    return below(predictions[positive], low), 1 - below(predictions[negative], high)


def _area(placed: tuple[Floats, Floats]) -> float:
    return float(placed[0].mean())


def _z(placed: tuple[Floats, Floats], other: tuple[Floats, Floats] | None) -> float:
    """By how many standard errors an area is larger than another one of the same rows, or than one
    half.
    """
    differences = (
        [mine - 0.5 for mine in placed] if other is None else [*map(np.subtract, placed, other)]
    )
    variance = sum(float(difference.var() / len(difference)) for difference in differences)
    return float(differences[0].mean() / np.sqrt(max(variance, 1e-18)))


def no_value(column: str, values: NDArray[Any], task: str, events: NDArray[Any]) -> str | None:
    """A sentence on predictions within 0 and 1 of a label that is a value, whose mean they miss by
    far.
    """
    known = np.isfinite(events)
    happened, said = float(events[known].mean()), float(values[known].mean())
    if values.min() < 0 or values.max() > 1 or events[known].max() <= 1:
        return None
    if abs(np.log(max(said, 1e-12) / max(happened, 1e-12))) < np.log(OFF):
        return None
    return (
        f"'{column}' lies within 0 and 1 with a mean of {said:.3g}, while '{task}' has a mean of "
        f"{happened:.3g}: is it a probability? Then a label that is 0 or 1 fits it, with --amount "
        "for what one event is worth."
    )


def without_amount(
    asked: Asked, score: NDArray[Any], amounts: Mapping[str, NDArray[Any]], predictions: Singles
) -> list[str]:
    """Sentences on today's score that leaves out amounts that outcomes have.

    A formula is read; of any other score it is asked whether it moves with the amount where
    predictions are equal.

    Args:
        score: (N,), today's; amounts: by task (N,); predictions: (N, T) of today's model.
    """
    notes = []
    for task, column in asked.amounts.items():
        begin = (
            f"Today's score does not have the amount '{column}' in it, while outcomes of "
            f"{task} are amounts"
        )
        if column in asked.weighed:
            continue
        predicted = [columns[asked.labels.index(task)] for columns in asked.models.values()]
        if asked.formula is not None and {*predicted} & {*asked.weighed}:
            with_amount = {name: product([Column(column), Column(name)]) for name in predicted}
            written = text_of(replaced(asked.formula, with_amount))
            notes.append(f'{begin}: if what you serve has it, say --weights "{written}".')
            continue
        moved = _partial_correlation(score, amounts[task], predictions)
        if abs(moved) < UNMOVED:
            notes.append(
                f"{begin}: among rows of alike predictions its rank correlation with '{column}' is "
                f"{moved:.3f}. Check that it is the score that you serve."
            )
    return notes


def _partial_correlation(score: NDArray[Any], amount: NDArray[Any], predictions: Singles) -> float:
    """Rank correlation of a score and an amount beside predictions (N, T); NaN of few rows or a
    constant amount.
    """
    rows = slice(None, None, 1 + len(score) // SCORE_ROWS)
    first, second = _ranks(score[rows]), _ranks(amount[rows])
    if len(first) < LEAST_SCORED or not second.std() or not first.std():
        return float("nan")
    beside = np.stack([_ranks(column) for column in predictions[rows].T], axis=1)
    design = np.concatenate([np.ones((len(first), 1)), beside, beside**2], axis=1)
    both = np.stack([first, second], axis=1)
    left = both - design @ np.linalg.lstsq(design, both, rcond=None)[0]
    sizes = np.sqrt((left**2).sum(axis=0))
    if (sizes < 1e-6 * np.sqrt(len(first))).any():  # predictions tell all of one
        return float("nan")
    return float(left[:, 0] @ left[:, 1] / sizes.prod())


def _ranks(values: NDArray[Any]) -> Floats:
    """Places in the order of values, within -1 and 1; equal values share the middle one."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - (count - 1) / 2
    return np.asarray(2 * middle[place] / len(values) - 1)
