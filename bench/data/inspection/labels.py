"""The label columns that the user names, as the tasks of a card; and how well the values of a
column tell a label.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.errors import UserError, check_known, unknown
from bench.core.schema import SCORE
from bench.data.checks import ZERO_ONE, Rejects, Sieve, read_labels
from bench.data.inspection.column import Counted
from bench.data.inspection.sample import InspectedRows
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
        return int(
            min((self.y == 1).sum(), (self.y == 0).sum())
            if self.binary
            else (~np.isnan(self.y)).sum()
        )


Labels = Mapping[str, Label]
"""By the tasks' names."""


def pairs_of(
    option: str, texts: Sequence[str], known: Collection[str], example: str
) -> dict[str, str]:
    """Reads `NAME=VALUE`: what is said of each name; of `--label`, "" where nothing is.

    Raises UserError for another form, an unknown name, or one given twice.
    """
    found, what = dict[str, str](), "column" if option == "--label" else "label"
    for text in texts:
        name, equals, value = (text, "", "") if text in known else text.partition("=")
        if not (name and value) and (equals or option != "--label"):
            raise UserError(
                f"{option}: expected two names with = between, as in {example}, found '{text}'"
            )
        check_known(what, name, known, option)
        if name in found:
            raise UserError(f"{option}: '{name}' is given twice")
        found[name] = value
    return found


def find_labels(
    given: Mapping[str, str], parents: Mapping[str, str], sample: InspectedRows
) -> dict[str, Label]:
    """The tasks, in the order given; parents' exceptions are mended where 0/1 labels allow it.

    Raises UserError for a label of one class, of texts that are neither yes nor no, parents in a
    cycle, or a funnel with nothing to learn.
    """
    labels: dict[str, Label] = {}
    for column, value in given.items():
        name = _task_name(column, value, [label.rule.name for label in labels.values()])
        labels[column] = _label(name, sample, sample.column(column), value)
    try:
        names_in_order = in_order(parents)
    except ValueError as error:
        raise UserError(f"--parent: {error}") from None
    for child in names_in_order:
        if child in parents:
            labels[child] = _child(labels[child], labels[parents[child]])
    return {label.rule.name: label for label in labels.values()}


def _task_name(column: str, value: str, taken: Sequence[str]) -> str:
    """Of a task, none of those taken; with a value that is no yes: `dead=alive` is `dead_alive`."""
    called = column
    if value and value.lower() not in (*_YES, column.lower()):
        called = f"not {column}" if value.lower() in _NO else f"{column} {value}"
    name = re.sub(r"[^a-z0-9]+", "_", called.lower()).strip("_")
    name = name if name[:1].isalpha() and name != SCORE else f"label_{name}".rstrip("_")
    same = sum(1 for other in taken if re.fullmatch(rf"{re.escape(name)}(_\d+)?", other))
    return f"{name}_{same + 1}" if same else name


def _label(name: str, sample: InspectedRows, column: Counted, positive: str) -> Label:
    where, rows, texts = f"--label: '{column.name}'", len(column.codes), column.texts()
    if not column.single:
        raise UserError(
            f"{where}: expected 0 and 1, two values or numbers, found a column of type "
            f"{column.type}"
        )
    if len(texts) < 2:
        found = f"only {texts[0]!r}" if texts else "no value"
        raise UserError(
            f"{where}: expected both classes, found {found} in the {rows:,} rows inspected"
        )
    notes = (
        [f"{rows - column.known:,} of {rows:,} rows have no label"] if column.known < rows else []
    )
    yes, no = ([text for text in texts if text.lower() in words] for words in (_YES, _NO))
    means: dict[str, Any] = {}
    if positive:
        if (value := canonical(positive)) not in texts:
            raise UserError(f"{where}: {unknown('value', positive, texts[:50])}")
        means = {"positive": (value,)}
    elif {text.lower() for text in texts} <= set(ZERO_ONE):
        pass
    elif (
        yes
        and no
        and len(yes) + len(no) == len(texts)
        and (column.numbers is None or len(texts) == 2)
    ):
        means = {"positive": tuple(yes), "negative": tuple(no)}
    elif len(texts) == 2:
        rarer = int(np.argmin(column.counts))
        means = {"positive": (texts[rarer],), "negative": (texts[1 - rarer],)}
        notes.append(
            f"the rarer of two values is taken for 1; if it is not, say --label {column.name}=VALUE"
        )
    elif column.numbers is None:
        raise UserError(
            f"{where}: expected 0 and 1, two values or numbers, found {len(texts):,} texts such as "
            f"{', '.join(map(repr, texts[:3]))}; say which means 1 with --label {column.name}=VALUE"
        )
    else:
        means = {"kind": "regression"}
        other, say = (
            next(text for text in texts if text not in ("0", "1")),
            f"--label {column.name}=VALUE",
        )
        notes.append(
            f"labels such as {other} are numbers, which are predicted; for a yes or no say {say}"
        )
    rule = TaskRule(name=name, column=column.name, **means)
    return Label(rule, read(rule, sample), tuple(notes))


def read(rule: TaskRule, sample: InspectedRows) -> Floats:
    """(N,) the labels of a task as preparing reads them, NaN where unobserved."""
    sieve = Sieve(Rejects(drop=True), str, sample.table.num_rows)
    labels = read_labels(sample.table, (rule,), tuple(sample.missing), sieve)[:, 0]
    return np.where(sieve.bad, np.nan, labels.astype(np.float64))


def _child(label: Label, parent: Label) -> Label:
    rule, above = label.rule, parent.rule
    own, first = rule.sources[-1], above.sources[-1]
    if not parent.binary:
        raise UserError(f"--parent: '{first}' holds numbers, and only a yes or no can happen first")
    given = np.unique(label.y[(parent.y == 1) & ~np.isnan(label.y)])
    if len(given) < 2:
        found = f"is always {given[0]:g}" if len(given) else "is missing"
        raise UserError(
            f"--parent: '{own}' must differ between rows where '{first}' is 1, but it {found} there"
        )
    update: dict[str, Any] = {"parent": above.name}
    y, notes = label.y, label.notes
    if stray := int((np.nan_to_num(y[parent.y == 0]) != 0).sum()):
        how = "look at them"
        if label.binary and not (rule.positive or above.positive):
            how = "the product of the labels counts them as 0"
            update |= {"column": None, "columns": (*above.sources, *rule.sources)}
            y = y * parent.y
        notes = (
            *notes,
            f"{stray:,} rows have another {rule.name} than 0 though {above.name} = 0: {how}",
        )
    return Label(rule.model_copy(update=update), y, notes)


PIECES = 20
"""Parts of a log by time, in which positives are counted."""


def thin_end(label: Label, place: NDArray[np.int64]) -> str | None:
    """A note where positives thin out in the latest rows by `place` (N,) in time, as those of late
    events do.

    The last part then has less than .8 of the rate before, by five standard errors.
    """
    known = np.flatnonzero(~np.isnan(label.y) & (place >= 0))
    if not label.binary or len(known) < PIECES * LEAST_LABELS:
        return None
    latest = known[np.argsort(place[known], kind="stable")]
    *rates, last = (float(label.y[piece].mean()) for piece in np.array_split(latest, PIECES))
    first = np.array(rates[: PIECES // 2])
    before = float(first.mean())
    error = math.sqrt(before * (1 - before) * PIECES / len(known)) + first.std()
    if last >= 0.8 * before or before - last < 5 * error:
        return None
    return (
        f"Positives thin out: {last:.1%} of the latest rows, {before:.1%} of earlier ones. "
        'If they follow later, say how long it takes (matures = "7d") '
        "and when the log was written (as_of)."
    )


FOLDS = 5


def out_of_fold(cells: NDArray[np.int64], label: Label, mixed: float = 1.0) -> float:
    """AUC (of a binary label of both classes) or R2 of the mean label of a row's cell over the
    other folds' rows.

    A cell that the other folds do not have gets the overall mean; so an id of each row predicts
    nothing.

    Args:
        mixed: rows of the overall mean that are mixed into that of a cell.
    """
    seen = ~np.isnan(label.y)
    cell, y = cells[seen], label.y[seen]
    key = cell * FOLDS + np.random.default_rng(0).integers(0, FOLDS, len(y))
    size = (int(cells.max()) + 1) * FOLDS
    rows, total = (
        np.bincount(key, by, size).reshape(-1, FOLDS).astype(np.float64) for by in (None, y)
    )
    other_rows, other_total = (each.sum(axis=1, keepdims=True) - each for each in (rows, total))
    mean = (other_total + mixed * y.mean()) / (other_rows + mixed)
    if label.binary:
        from sklearn.metrics import roc_auc_score

        score, own = (
            np.round(mean.ravel(), 12),
            np.concatenate([total.ravel(), (rows - total).ravel()]),
        )
        counts = own > 0
        classes = np.repeat([1, 0], len(score))[counts]
        return float(roc_auc_score(classes, np.tile(score, 2)[counts], sample_weight=own[counts]))
    spread = float(((y - y.mean()) ** 2).sum())
    return 1 - float(((y - mean.ravel()[key]) ** 2).sum()) / spread if spread > 0 else 0.0
