"""The label columns that the user names, as the tasks of a card; and how well the values of a
column tell a label.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bench.core.arrays import Floats, Ints
from bench.core.errors import UserError, check_known, unknown
from bench.core.schema import SCORE
from bench.data.checks import ZERO_ONE, Rejects, Sieve, read_labels
from bench.data.inspection.column import Counted
from bench.data.inspection.sample import InspectedRows
from bench.data.reachable import auc
from bench.data.tasks import TaskRule, in_order
from bench.data.values import canonical

_YES = ("1", "true", "yes", "y", "t", "positive", "pos")
_NO = ("0", "false", "no", "n", "f", "negative", "neg", "-1")
LEAST_LABELS = 20
"""Labels of each class, labels at all, or rows, below which nothing is said of them."""


@dataclass(frozen=True)
class Label:
    """One task, what its labels are, and notes on what to look at."""

    rule: TaskRule
    y: Floats
    """(N,), NaN where unobserved."""
    notes: tuple[str, ...] = ()

    @property
    def binary(self) -> bool:
        """Whether it is a yes or no, not a number."""
        return self.rule.kind == "binary"

    @property
    def measure(self) -> str:
        """How well something tells it: by the area under the ROC curve, or the share of its
        variance.
        """
        return "AUC" if self.binary else "R2"

    @property
    def chance(self) -> float:
        """The measure of what tells nothing."""
        return 0.5 if self.binary else 0.0

    @property
    def mean(self) -> float:
        """Mean label."""
        return float(np.nanmean(self.y))

    @property
    def table(self) -> dict[str, Any]:
        """For the card."""
        return self.rule.model_dump(mode="json", exclude_defaults=True)

    @property
    def fewest(self) -> int:
        """Labels of the rarer class, or labels at all."""
        if self.binary:
            return int(min((self.y == 1).sum(), (self.y == 0).sum()))
        return int((~np.isnan(self.y)).sum())


Labels = Mapping[str, Label]
"""By the tasks' names."""


def positive_values(texts: Sequence[str], columns: Collection[str]) -> dict[str, str]:
    """Reads labels, `COLUMN` or `COLUMN=VALUE`: column -> the value that means 1, or "".

    Raises UserError for an unknown column, one given twice, or an empty value.
    """
    positives = dict[str, str]()
    for text in texts:
        column, equals, value = text.partition("=")
        if text in columns:
            column, equals, value = text, "", ""
        check_known("column", column, columns, "--label")
        if column in positives or (equals and not value):
            raise UserError(f"--label: expected a column once, or COLUMN=VALUE, found '{text}'")
        positives[column] = value
    return positives


def find_labels(
    positives: Mapping[str, str], parents: Mapping[str, str], sample: InspectedRows
) -> dict[str, Label]:
    """The tasks, in the order given; parents' exceptions are mended where 0/1 labels allow it.

    Raises UserError for a label of one class, of texts that are neither yes nor no, parents in a
    cycle, or a funnel with nothing to learn.

    Args:
        positives: column -> the value that means 1, or "".
        parents: column of a label -> that of its parent.
    """
    labels: dict[str, Label] = {}
    taken = list[str]()
    for column, positive in positives.items():
        taken.append(_task_name(column, positive, taken))
        labels[column] = _label(taken[-1], sample, sample.column(column), positive)
    try:
        parents_first = in_order(parents)
    except ValueError as error:
        raise UserError(f"--parent: {error}") from None
    for child in parents_first:
        if child in parents:
            labels[child] = _child(labels[child], labels[parents[child]])
    return {label.rule.name: label for label in labels.values()}


def _task_name(column: str, positive: str, taken: Collection[str]) -> str:
    """Of a task, none of those taken; with a value that is no yes: `dead=alive` is `dead_alive`."""
    title = column
    if positive.lower() in _NO:
        title = f"not {column}"
    elif positive.lower() not in ("", *_YES, column.lower()):
        title = f"{column} {positive}"
    name = re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")
    if not name[:1].isalpha() or name == SCORE:
        name = f"label_{name}".rstrip("_")
    while name in taken:
        name += "_2"
    return name


def _label(name: str, sample: InspectedRows, column: Counted, positive: str) -> Label:
    where, rows, texts = f"--label: '{column.name}'", len(column.codes), column.texts()
    if not column.single:
        raise UserError(
            f"{where}: expected 0 and 1, two values or numbers, found a column of type "
            f"{column.type}"
        )
    if len(texts) < 2:
        values = f"only {texts[0]!r}" if texts else "no value"
        raise UserError(
            f"{where}: expected both classes, found {values} in the {rows:,} rows inspected"
        )
    notes = []
    if not column.everywhere:
        notes.append(f"{rows - column.n_present:,} of {rows:,} rows have no label")
    yes = tuple(text for text in texts if text.lower() in _YES)
    no = tuple(text for text in texts if text.lower() in _NO)
    all_yes_or_no = yes and no and len(yes) + len(no) == len(texts)
    option = f"--label {column.name}=VALUE"

    reading: dict[str, Any] = {}
    if positive:
        value = canonical(positive)
        if value not in texts:
            raise UserError(f"{where}: {unknown('value', positive, texts[:50])}")
        reading = {"positive": (value,)}
    elif {text.lower() for text in texts} <= set(ZERO_ONE):
        pass  # as a task reads them
    elif all_yes_or_no and (column.numbers is None or len(texts) == 2):
        reading = {"positive": yes, "negative": no}
    elif len(texts) == 2:
        rarer = int(np.argmin(column.counts))
        reading = {"positive": (texts[rarer],), "negative": (texts[1 - rarer],)}
        notes.append(f"the rarer of two values is taken for 1; if it is not, say {option}")
    elif column.numbers is not None:
        reading = {"kind": "regression"}
        number = next(text for text in texts if text not in ("0", "1"))
        notes.append(
            f"labels such as {number} are numbers, which are predicted; for a yes or no say "
            f"{option}"
        )
    else:
        raise UserError(
            f"{where}: expected 0 and 1, two values or numbers, found {len(texts):,} texts such as "
            f"{', '.join(map(repr, texts[:3]))}; say which means 1 with {option}"
        )
    rule = TaskRule(name=name, column=column.name, **reading)
    return Label(rule, read(rule, sample), tuple(notes))


def read(rule: TaskRule, sample: InspectedRows) -> Floats:
    """(N,) the labels of a task as preparing reads them, NaN where unobserved."""
    sieve = Sieve(Rejects(drop=True), str, sample.table.num_rows)
    labels = read_labels(sample.table, (rule,), tuple(sample.missing), sieve)[:, 0]
    return np.where(sieve.bad, np.nan, labels.astype(np.float64))


def _child(label: Label, parent: Label) -> Label:
    """The label with its parent; rows that have it without the parent are counted."""
    rule, parent_rule = label.rule, parent.rule
    column, parent_column = rule.sources[-1], parent_rule.sources[-1]
    if not parent.binary:
        raise UserError(
            f"--parent: '{parent_column}' holds numbers, and only a yes or no can happen first"
        )
    values = np.unique(label.y[(parent.y == 1) & ~np.isnan(label.y)])
    if len(values) < 2:
        constant = f"is always {values[0]:g}" if len(values) else "is missing"
        raise UserError(
            f"--parent: '{column}' must differ between rows where '{parent_column}' is 1, but it "
            f"{constant} there"
        )

    update: dict[str, Any] = {"parent": parent_rule.name}
    y = label.y
    stray = int((np.nan_to_num(y[parent.y == 0]) != 0).sum())
    if not stray:
        return replace(label, rule=rule.model_copy(update=update))
    remedy = "look at them"
    if label.binary and not (rule.positive or parent_rule.positive):
        remedy = "the product of the labels counts them as 0"
        update |= {"column": None, "columns": (*parent_rule.sources, *rule.sources)}
        y = y * parent.y
    note = f"{stray:,} rows have another {rule.name} than 0 though {parent_rule.name} = 0: {remedy}"
    return Label(rule.model_copy(update=update), y, (*label.notes, note))


PIECES = 20
"""Parts of a log by time, in which positives are counted."""


def thin_end(label: Label, place: Ints) -> list[str]:
    """A note, where positives thin out in the latest rows by `place` (N,) in time, as those of late
    events do.

    The last part then has less than .8 of the rate before, by five standard errors.
    """
    rows = np.flatnonzero(~np.isnan(label.y) & (place >= 0))
    if not label.binary or len(rows) < PIECES * LEAST_LABELS:
        return []
    in_order = rows[np.argsort(place[rows], kind="stable")]
    rates = [float(label.y[piece].mean()) for piece in np.array_split(in_order, PIECES)]
    first_half, last = rates[: PIECES // 2], rates[-1]
    before = float(np.mean(first_half))
    error = math.sqrt(before * (1 - before) * PIECES / len(rows)) + np.std(first_half)
    if last >= 0.8 * before or before - last < 5 * error:
        return []
    return [
        f"Positives thin out: {last:.1%} of the latest rows, {before:.1%} of earlier ones. "
        'If they follow later, say how long it takes (matures = "7d") '
        "and when the log was written (as_of)."
    ]


FOLDS = 5


def out_of_fold(cells: Ints, label: Label, prior_rows: float = 1.0) -> float:
    """AUC (of a binary label of both classes) or R2 of the mean label of a row's cell over the
    other folds' rows.

    A cell that the other folds do not have gets the overall mean; so an id of each row predicts
    nothing.

    Args:
        prior_rows: rows of the overall mean that are mixed into that of a cell.
    """
    seen = ~np.isnan(label.y)
    cell, y = cells[seen], label.y[seen]
    cell_and_fold = cell * FOLDS + np.random.default_rng(0).integers(0, FOLDS, len(y))
    other_rows = np.bincount(cell)[cell] - np.bincount(cell_and_fold)[cell_and_fold]
    other_total = np.bincount(cell, y)[cell] - np.bincount(cell_and_fold, y)[cell_and_fold]
    mean = (other_total + prior_rows * y.mean()) / (other_rows + prior_rows)
    if label.binary:
        return auc(y.astype(np.float32), np.round(mean, 12))
    spread = float(((y - y.mean()) ** 2).sum())
    if spread == 0:
        return 0.0
    return 1 - float(((y - mean) ** 2).sum()) / spread
