"""What does not fit in a log: parents that cannot be, predictions of another task, a score without
its amounts.

Each check asks far more than noise gives, because rows that belong together count for less than
their number. A parent that labels contradict is refused; the rest is a note with its evidence,
because a bad model may look the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from bench.core.arrays import Floats, Ints, Mask, Singles
from bench.core.errors import UserError
from bench.core.formula import Column, product, replaced
from bench.core.formula_languages import text_of
from bench.core.schema import TaskKind
from bench.deciding.logged.asked import Asked
from bench.deciding.logged.columns import Numbers, Place

LEAST_ROWS = 30
"""Rows with a label above 0 that a doubt needs."""
BY_CHANCE = 1e-6
"""Chance of a pattern among labels that do not depend on each other, up to which it is reported."""
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


class TaskRows(NamedTuple):
    """By row (N,), whether a task's label is above 0, and whether it is known."""

    positive: Mask
    known: Mask


def check_parents(
    asked: Asked, labels: Singles, kinds: Sequence[TaskKind], place: Place
) -> list[str]:
    """Sentences on tasks that happen without their parent, and on parents that nobody named.

    Args:
        labels: (N, T), each as the log has it.

    Raises:
        UserError: a parent that most labels contradict, or one that is reversed.
    """
    rows = {
        task: TaskRows(labels[:, column] > 0, np.isfinite(labels[:, column]))
        for column, task in enumerate(asked.labels)
    }
    notes = []
    for task, parent in asked.parents.items():
        orphans = rows[task].positive & rows[parent].known & ~rows[parent].positive
        if orphans.any():
            notes.append(_orphan_note(task, parent, rows, orphans, place))

    for task, kind in zip(asked.labels, kinds, strict=True):
        if task in asked.parents:
            continue
        unnamed = _unnamed_parent(task, asked, kinds, rows)
        if unnamed is not None:
            happening = int((rows[task].positive & rows[unnamed].known).sum())
            verb = "happens" if kind == "binary" else "is above 0"
            notes.append(
                f"{task} {verb} in {happening:,} rows, and each of them has {unnamed}. If it "
                f"cannot be without, say --parent {task}={unnamed}: predictions of {task} may then "
                f"be given {unnamed}."
            )
    return notes


def _orphan_note(
    task: str,
    parent: str,
    rows: Mapping[str, TaskRows],
    orphans: Mask,
    place: Place,
) -> str:
    """A sentence on rows that have a task without its parent; UserError for very many."""
    happened, parent_happened = rows[task].positive, rows[parent].positive
    with_parent = happened & parent_happened
    share_that_follows = float(happened[parent_happened & rows[task].known].mean())
    orphan_count = int(orphans.sum())
    count = orphan_count + int(with_parent.sum())
    evidence = f"{orphan_count:,} of {count:,} rows with {task} without {parent}"
    first = place(int(orphans.argmax()))

    if orphan_count >= LEAST_ROWS and share_that_follows > 0.99 and orphan_count > 0.01 * count:
        raise UserError(
            f"parents: expected {task} only where {parent} happens, found {evidence}, and {task} "
            f"in {share_that_follows:.1%} of the rows with {parent}: is it reversed, --parent "
            f"{parent}={task}?"
        )
    if orphan_count >= LEAST_ROWS and 2 * orphan_count > count:
        raise UserError(
            f"parents: expected {task} only where {parent} happens, found {evidence}, the first in "
            f"{first}; leave --parent {task}={parent} out if {task} does not need it"
        )
    return f"{evidence}, the first in {first}: there {task} counts as 0, as --parent says."


def _unnamed_parent(
    task: str, asked: Asked, kinds: Sequence[TaskKind], rows: Mapping[str, TaskRows]
) -> str | None:
    """The rarest task without which another one never happens, where chance does not explain it."""
    rows_of_parents: dict[str, int] = {}
    for parent, kind in zip(asked.labels, kinds, strict=True):
        if parent == task or kind != "binary" or task in ancestors(parent, asked.parents):
            continue
        happened, known = rows[parent]
        happening = rows[task].positive & known
        count = int(happening.sum())
        if count < LEAST_ROWS or (happening & ~happened).any():
            continue
        always_together = int((happened & rows[task].known).sum()) == count
        log_chance = count * np.log(float(happened[known].mean()))
        if not always_together and log_chance < np.log(BY_CHANCE):
            rows_of_parents[parent] = int(happened.sum())
    return min(rows_of_parents, key=rows_of_parents.__getitem__, default=None)


def ancestors(task: str, parents: Mapping[str, str]) -> list[str]:
    """The parents of a task, up the chain."""
    chain = []
    while task in parents:
        task = parents[task]
        chain.append(task)
    return chain


@dataclass(frozen=True)
class Placements:
    """Where the rows of two classes lie among each other by a column of predictions (DeLong et al.,
    Biometrics 1988); ties count one half.

    Attributes:
        positive: of each positive row the share of negative ones below it.
        negative: of each negative row the share of positive ones above it.
    """

    positive: Floats
    negative: Floats

    @property
    def area(self) -> float:
        """Under the curve."""
        return float(self.positive.mean())

    @property
    def errors_above_half(self) -> float:
        """By how many standard errors the area is larger than one half."""
        return _z_score(self.positive - 0.5, self.negative - 0.5)

    def errors_above(self, column: Placements) -> float:
        """By how many standard errors the area is larger than that of another column."""
        return _z_score(self.positive - column.positive, self.negative - column.negative)


def _z_score(positive: Floats, negative: Floats) -> float:
    variance = float(positive.var() / len(positive))
    variance += float(negative.var() / len(negative))
    return float(positive.mean() / np.sqrt(max(variance, 1e-18)))


def misplaced(
    model: str, columns: Sequence[str], predictions: Singles, events: Singles, asked: Asked
) -> list[str]:
    """Sentences on a model's columns that predict each other's tasks better, or a task the wrong
    way round.

    A task with a parent is judged where the parent happened, as predictions may be given it.

    Args:
        predictions: (N, T), as the log has them.
        events: (N, T), joint labels.
    """
    notes = []
    by_task: dict[int, list[Placements]] = {}
    better_columns: dict[int, list[int]] = {}
    for number, task in enumerate(asked.labels):
        judged = np.isfinite(events[:, number])
        if task in asked.parents:
            judged &= events[:, asked.labels.index(asked.parents[task])] > 0
        classes = _two_classes(events[:, number], judged)
        if classes is None:
            continue

        placements = [_placements(values, *classes) for values in predictions.T]
        by_task[number] = placements
        right = placements[number]
        is_reversed = right.area < WRONG_WAY and right.errors_above_half < -SURE
        if is_reversed and task not in asked.parents:
            notes.append(
                f"{columns[number]} of {model} predicts {task} the wrong way round (AUC "
                f"{right.area:.3f}): high values should mean {task}."
            )
        better_columns[number] = []
        for column, placed in enumerate(placements):
            if column != number and placed.errors_above(right) > SURE:
                better_columns[number].append(column)
    return notes + _swapped(model, columns, asked.labels, better_columns, by_task)


def _swapped(
    model: str,
    columns: Sequence[str],
    tasks: Sequence[str],
    better_columns: Mapping[int, Sequence[int]],
    by_task: Mapping[int, Sequence[Placements]],
) -> list[str]:
    """A sentence on a circle of columns each of which predicts the next one's task better than that
    one itself.
    """
    try:
        TopologicalSorter(better_columns).prepare()
    except CycleError as error:
        circle = error.args[1]
    else:
        return []
    evidence = []
    for better, task in pairwise(circle):
        placements = by_task[task]
        evidence.append(
            f"{columns[better]} predicts {tasks[task]} better than {columns[task]} does (AUC "
            f"{placements[better].area:.3f} over {placements[task].area:.3f})"
        )
    return [f"{', and '.join(evidence)}: are the columns of model '{model}' swapped?"]


def _two_classes(labels: Numbers, judged: Mask) -> tuple[Ints, Ints] | None:
    """Places of rows with a high label and of the rest, some of each; None where either is few."""
    if not judged.any():
        return None
    high = labels > np.median(labels[judged])
    positive = np.flatnonzero(judged & high)
    negative = np.flatnonzero(judged & ~high)
    if min(len(positive), len(negative)) < LEAST_ROWS:
        return None
    positive_step = 1 + len(positive) // POSITIVES
    negative_step = 1 + len(negative) // NEGATIVES
    return positive[::positive_step], negative[::negative_step]


def _placements(predictions: Numbers, positive: Ints, negative: Ints) -> Placements:
    high = predictions[positive]
    low = predictions[negative]
    return Placements(
        positive=_shares_below(high, np.sort(low)),
        negative=1 - _shares_below(low, np.sort(high)),
    )


def _shares_below(values: Numbers, ordered: Numbers) -> Floats:
    """The share of ordered numbers below each value; equal ones count one half."""
    below = np.searchsorted(ordered, values, "left")
    not_above = np.searchsorted(ordered, values, "right")
    return np.asarray((below + not_above) / (2 * len(ordered)))


def no_value(column: str, values: Numbers, task: str, events: Numbers) -> str | None:
    """A sentence on predictions within 0 and 1 of a label that is a value, whose mean they miss by
    far.
    """
    is_labelled = np.isfinite(events)
    mean = float(events[is_labelled].mean())
    predicted = float(values[is_labelled].mean())
    if values.min() < 0 or values.max() > 1 or events[is_labelled].max() <= 1:
        return None
    ratio = max(predicted, 1e-12) / max(mean, 1e-12)
    if abs(np.log(ratio)) < np.log(OFF):
        return None
    return (
        f"'{column}' lies within 0 and 1 with a mean of {predicted:.3g}, while '{task}' has a mean "
        f"of {mean:.3g}: is it a probability? Then a label that is 0 or 1 fits it, with --amount "
        "for what one event is worth."
    )


def without_amount(
    asked: Asked, score: Numbers, numbers: Mapping[str, Numbers], predictions: Singles
) -> list[str]:
    """Sentences on today's score that leaves out amounts that outcomes have.

    A formula is read; of any other score it is asked whether it moves with the amount where
    predictions are equal.

    Args:
        score: (N,), today's.
        numbers: (N,) by column of the log.
        predictions: (N, T) of today's model.
    """
    notes = []
    for task, column in asked.amounts.items():
        if column in asked.weighed:
            continue
        begin = (
            f"Today's score does not have the amount '{column}' in it, while outcomes of "
            f"{task} are amounts"
        )
        predicted = [columns[asked.labels.index(task)] for columns in asked.models.values()]
        if asked.formula is not None and {*predicted} & {*asked.weighed}:
            with_amount = {name: product([Column(column), Column(name)]) for name in predicted}
            formula = text_of(replaced(asked.formula, with_amount))
            notes.append(f'{begin}: if what you serve has it, say --weights "{formula}".')
            continue
        correlation = _partial_correlation(score, numbers[column], predictions)
        if abs(correlation) < UNMOVED:
            notes.append(
                f"{begin}: among rows of alike predictions its rank correlation with '{column}' is "
                f"{correlation:.3f}. Check that it is the score that you serve."
            )
    return notes


def _partial_correlation(score: Numbers, amount: Numbers, predictions: Singles) -> float:
    """Rank correlation of a score and an amount beside predictions (N, T); NaN of few rows or a
    constant amount.
    """
    step = 1 + len(score) // SCORE_ROWS
    sample = np.column_stack([score[::step], amount[::step], predictions[::step]])
    rows = len(sample)
    ranks = 2 * pd.DataFrame(sample).rank().to_numpy() / rows - 1
    variables, controls = ranks[:, :2], ranks[:, 2:]
    if rows < LEAST_SCORED or not variables.std(axis=0).all():
        return float("nan")

    design = np.concatenate([np.ones((rows, 1)), controls, controls**2], axis=1)
    coefficients, *_ = np.linalg.lstsq(design, variables, rcond=None)
    residuals = variables - design @ coefficients
    norms = np.sqrt((residuals**2).sum(axis=0))
    if (norms < 1e-6 * np.sqrt(rows)).any():  # predictions explain one of the two
        return float("nan")
    return float(residuals[:, 0] @ residuals[:, 1] / norms.prod())
