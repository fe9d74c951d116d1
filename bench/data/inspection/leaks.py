"""Columns that know too much: they tell a label, hold something only after it, or say where a row
was shown.

What is made at a later stage (an amount, a duration, a refund) is 0 or missing unless the label's
event happened. Most events have no later stage, so such a column tells few of them, and its AUC is
low; but where it holds something, the label is known. What nobody notes once the event has
happened, such as the vehicle of a cancelled trip, is missing there alone. The place of a row in its
list is what the ranking decides. A planned and an actual time tell a delay only together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.system.machine import tree_threads
from bench.data.inspection.column import Counted
from bench.data.inspection.labels import LEAST_LABELS, Label, Labels, out_of_fold
from bench.data.inspection.names import HISTORY, PLACES, SURE_PLACES, has_word, is_afterwards

SUSPECT = 0.98
"""AUC of a binary label, or share of a regression label's variance, from which a column is
suspected.
"""
NOTHING = ("0", "-1", "no", "false", "n", "f", "none", "-")
"""Values that say, as a missing one does, that there was nothing."""


def find_leak(column: Counted, labels: Labels, group: Counted | None = None) -> str | None:
    """The strongest evidence that a column is known too late, as a clause; None without any.

    Args:
        group: the column whose rows are ranked together.
    """
    if len(column.counts) == 0:
        return None
    if column.numbers is not None:
        nothing = (column.numbers == 0) | ((column.numbers == -1) & (column.numbers.min() == -1))
    else:
        nothing = np.array(
            [column.readable and text.lower() in NOTHING for text in column.texts()], bool
        )
    something, missing = np.append(~nothing, False)[column.codes], column.codes < 0
    found, cells = list[tuple[float, str]](), column.cells(64, exact=256)
    for name, label in labels.items():
        if label.fewest < LEAST_LABELS:
            continue
        if (told := out_of_fold(cells, label)) >= SUSPECT:
            found.append((told, f"it alone tells '{name}' ({label.measure} {told:.4f})"))
        else:
            clauses = (
                _implied(something, "0 or missing but for", label),
                _implied(missing, "missing in", label),
            )
            found += [(told, clause) for clause in clauses if clause is not None]
    if found:
        return max(found, key=lambda each: each[0])[1]
    if is_afterwards(column.name):
        return "its name says what somebody did"
    return find_place(column, group)


def _implied(rows: NDArray[np.bool_], where: str, label: Label) -> str | None:
    """Which value of a 0/1 label (almost) all of these rows have, where not three in four rows have
    it anyway.

    Exceptions are at most 2% of those that chance would give. Innocent columns of Census-Income and
    hotel bookings stay above 5%.
    """
    seen = ~np.isnan(label.y)
    event = label.y if label.binary else label.y != 0
    inside, outside = event[seen & rows], event[seen & ~rows]
    if len(inside) == 0 or len(outside) < LEAST_LABELS:
        return None
    for value in (1, 0):
        common = float((event[seen] == value).mean())
        expected, exceptions = len(inside) * (1 - common), int((inside != value).sum())
        if common <= 0.75 and expected >= LEAST_LABELS and exceptions <= 0.02 * expected:
            share = "all" if not exceptions else f"{1 - exceptions / len(inside):.2%}"
            value_of = value if label.binary else "not 0" if value else 0
            return (
                f"it is {where} {len(inside):,} rows, and there '{label.rule.name}' is {value_of} "
                f"in {share} of them, elsewhere in {float((outside == value).mean()):.1%}: it "
                "seems to be made after it"
            )
    return None


def find_place(column: Counted, group: Counted | None) -> str | None:
    """Why a column says where a row was shown: by its name, and it counts from 0 or 1 on, where
    known in each group.

    Ranks of sales do not: they leave out many whole numbers.
    """
    if (
        column.numbers is None
        or not has_word(column.name, PLACES)
        or has_word(column.name, HISTORY)
    ):
        return None
    low, high = float(column.numbers.min()), float(column.numbers.max())
    if not column.whole or low not in (0, 1) or len(column.numbers) < 0.9 * (high - low + 1):
        return None
    if group is None:
        if not has_word(column.name, SURE_PLACES):
            return None
        return (
            f"it counts from {low:.0f} up to {high:.0f} and its name is that of a place, known "
            "after ranking only"
        )
    known = (column.codes >= 0) & (group.codes >= 0)
    pairs = group.codes[known].astype(np.int64) * len(column.counts) + column.codes[known]
    each = len(pairs) / max(len(np.unique(group.codes[known])), 1)
    alone = len(np.unique(pairs)) / max(len(pairs), 1)
    if each < 2 or alone < 0.95:
        return None
    return (
        f"in each '{group.name}', of {each:.1f} rows on average, it counts from {low:.0f} up to "
        f"{high:.0f}, and {alone:.1%} of the rows have one of their own: it seems to be the place, "
        "which is known after ranking only"
    )


MOST, RARER = 30_000, 500
"""Rows on which trees are grown and tried; and how many of each class of a task come on top."""


class Together:
    """Some rows of all inputs, for boosted trees: where these tell a label almost fully, an input
    is known too late.
    """

    def __init__(self, labels: Labels) -> None:
        self._labels = {
            name: label for name, label in labels.items() if label.fewest >= 5 * LEAST_LABELS
        }
        self._columns: dict[str, Floats] = {}
        known = [~np.isnan(label.y) for label in self._labels.values()]
        order = np.random.default_rng(0).permutation(np.flatnonzero(np.any(known, axis=0)))
        # AUC does not depend on how many rows there are of each class.
        binary = [label.y[order] for label in self._labels.values() if label.binary]
        more = [order[y == value][: 2 * RARER] for y in binary for value in (0, 1)]
        self._rows = np.unique(np.concatenate([order[:MOST], *more]))

    def add(self, column: Counted) -> None:
        """An input: its numbers, or the codes of its values."""
        values = column.codes.astype(np.float64) if column.numbers is None else column.of_rows
        self._columns[column.name] = values[self._rows]

    def notes(self) -> list[tuple[str, str]]:
        """(task, what the inputs tell of it, and which of them); of suspicious tasks alone."""
        if not self._columns:
            return []
        inputs = np.column_stack([*self._columns.values()])
        with tree_threads(
            1
        ):  # threads that wait for each other cost more than they gain on so few rows
            found = [(name, self._note(label, inputs)) for name, label in self._labels.items()]
        return [(name, note) for name, note in found if note]

    def _note(self, label: Label, inputs: Floats) -> str:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
        from sklearn.inspection import permutation_importance
        from sklearn.metrics import get_scorer

        learn, y = np.random.default_rng(1).random(len(inputs)) < 0.7, label.y[self._rows]
        learn, tried = learn & ~np.isnan(y), ~learn & ~np.isnan(y)
        grown = inputs[learn]
        grown[:, np.isnan(grown).all(axis=0)] = 0.0  # bins of nothing are an error
        kind = HistGradientBoostingClassifier if label.binary else HistGradientBoostingRegressor
        trees = kind(learning_rate=0.2, max_iter=60, early_stopping=False, random_state=0).fit(
            grown, y[learn]
        )
        scoring, other = "roc_auc" if label.binary else "r2", (inputs[tried], y[tried])
        if (whole := get_scorer(scoring)(trees, *other)) < SUSPECT:
            return ""
        lost = permutation_importance(
            trees, *other, scoring=scoring, n_repeats=1, random_state=0
        ).importances_mean
        most = sorted(zip(-lost, self._columns, strict=True))
        # What goes without a column, of all that the trees tell beyond chance, is a fifth or more
        # where it is named.
        above = [name for less, name in most if -less >= 0.2 * (whole - label.chance)] or [
            most[0][1]
        ]
        return (
            f"the inputs together tell it almost fully ({label.measure} {whole:.4f} on other rows, "
            f"by boosted trees), above all {' and '.join(map(repr, above[:3]))}; move what is "
            "known only afterwards to post_exposure"
        )
