"""Columns that know too much: they tell a label, hold something only after it, or say where a row
was shown.

What is made at a later stage (an amount, a duration, a refund) is 0 or missing unless the label's
event happened. Most events have no later stage, so such a column tells few of them, and its AUC is
low; but where it holds something, the label is known. What nobody notes once the event has
happened, such as the vehicle of a cancelled trip, is missing there alone. The place of a row in its
list is what the ranking decides. A planned and an actual time tell a delay only together.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bench.core.arrays import Floats, Ints, Mask
from bench.core.system.machine import tree_threads
from bench.data.inspection.column import Counted
from bench.data.inspection.labels import LEAST_LABELS, Label, Labels, out_of_fold
from bench.data.inspection.names import HISTORY, PLACES, SURE_PLACES, has_word, is_afterwards
from bench.data.values import by_code

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
    strongest = _strongest_evidence(column, labels)
    if strongest is None and is_afterwards(column.name):
        return "its name says what somebody did"
    return strongest or find_place(column, group)


def _strongest_evidence(column: Counted, labels: Labels) -> str | None:
    cells = column.cells(64, exact=256)
    something = by_code(~_says_nothing(column), column.codes, False)
    missing = column.codes < 0
    strongest, clause_of_strongest = -1.0, None
    for name, label in labels.items():
        if label.fewest < LEAST_LABELS:
            continue
        score = out_of_fold(cells, label)
        if score >= SUSPECT:
            clause: str | None = f"it alone tells '{name}' ({label.measure} {score:.4f})"
        else:
            clause = _implied(something, "0 or missing but for", label)
            clause = clause or _implied(missing, "missing in", label)
        if clause is not None and score > strongest:
            strongest, clause_of_strongest = score, clause
    return clause_of_strongest


def _says_nothing(column: Counted) -> Mask:
    """(V,) which distinct values say that there was nothing."""
    if column.numbers is not None:
        nothing: Mask = column.numbers == 0
        if column.numbers.min() == -1:
            nothing |= column.numbers == -1
        return nothing
    return np.array([text.lower() in NOTHING for text in column.texts()], bool)


def _implied(rows: Mask, where: str, label: Label) -> str | None:
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
        expected = len(inside) * (1 - common)
        exceptions = int((inside != value).sum())
        if common > 0.75 or expected < LEAST_LABELS or exceptions > 0.02 * expected:
            continue
        share = f"{1 - exceptions / len(inside):.2%}" if exceptions else "all"
        label_value = value if label.binary or value == 0 else "not 0"
        return (
            f"it is {where} {len(inside):,} rows, and there '{label.rule.name}' is {label_value} "
            f"in {share} of them, elsewhere in {float((outside == value).mean()):.1%}: it "
            "seems to be made after it"
        )
    return None


def find_place(column: Counted, group: Counted | None) -> str | None:
    """Why a column says where a row was shown: by its name, and it counts from 0 or 1 on, where
    known in each group.

    Ranks of sales do not: they leave out many whole numbers.
    """
    is_named_place = has_word(column.name, PLACES) and not has_word(column.name, HISTORY)
    if column.numbers is None or not column.whole or not is_named_place:
        return None
    low, high = column.numbers.min(), column.numbers.max()
    if low not in (0, 1) or len(column.numbers) < 0.9 * (high - low + 1):
        return None
    counts = f"it counts from {low:.0f} up to {high:.0f}"
    if group is None:
        if not has_word(column.name, SURE_PLACES):
            return None
        return f"{counts} and its name is that of a place, known after ranking only"
    present = (column.codes >= 0) & (group.codes >= 0)
    groups = group.codes[present].astype(np.int64)
    pairs = groups * len(column.counts) + column.codes[present]
    rows_per_group = len(pairs) / max(len(np.unique(groups)), 1)
    unique_share = len(np.unique(pairs)) / max(len(pairs), 1)
    if rows_per_group < 2 or unique_share < 0.95:
        return None
    return (
        f"in each '{group.name}', of {rows_per_group:.1f} rows on average, {counts}, and "
        f"{unique_share:.1%} of the rows have one of their own: it seems to be the place, which is "
        "known after ranking only"
    )


MOST, RARER = 30_000, 500
"""Rows on which trees are grown and tried; and how many of each class of a task come on top."""


def rows_of_trees(labels: Labels) -> Ints:
    """Some rows that have a label, with many of each class, for `joint_leaks`."""
    labelled = [~np.isnan(label.y) for label in labels.values()]
    order = np.random.default_rng(0).permutation(np.flatnonzero(np.any(labelled, axis=0)))
    chosen = [order[:MOST]]
    for label in labels.values():
        # AUC does not depend on how many rows there are of each class.
        chosen += [order[label.y[order] == value][: 2 * RARER] for value in (0, 1)]
    return np.unique(np.concatenate(chosen))


def joint_leaks(labels: Labels, rows: Ints, inputs: Mapping[str, Floats]) -> dict[str, str]:
    """Task -> a note on what all inputs together tell, of tasks that boosted trees tell almost
    fully: an input is then known too late.

    Args:
        rows: (n,) of N, see `rows_of_trees`.
        inputs: name -> (n,) numbers, or codes of values.
    """
    if not inputs:
        return {}
    notes = {}
    # On so few rows, threads that wait for each other cost more than they gain.
    with tree_threads(1):
        for name, label in labels.items():
            note = _joint_leak(label, label.y[rows], inputs)
            if note is not None:
                notes[name] = note
    return notes


def _joint_leak(label: Label, y: Floats, columns: Mapping[str, Floats]) -> str | None:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.inspection import permutation_importance
    from sklearn.metrics import get_scorer

    if label.fewest < 5 * LEAST_LABELS:
        return None
    inputs = np.column_stack([*columns.values()])
    labelled = ~np.isnan(y)
    in_train = np.random.default_rng(1).random(len(inputs)) < 0.7
    train, tried = in_train & labelled, ~in_train & labelled
    train_inputs = inputs[train]
    train_inputs[:, np.isnan(train_inputs).all(axis=0)] = 0.0  # bins of nothing are an error
    kind, scoring = HistGradientBoostingRegressor, "r2"
    if label.binary:
        kind, scoring = HistGradientBoostingClassifier, "roc_auc"
    trees = kind(learning_rate=0.2, max_iter=60, early_stopping=False, random_state=0)
    trees.fit(train_inputs, y[train])
    score = get_scorer(scoring)(trees, inputs[tried], y[tried])
    if score < SUSPECT:
        return None

    losses = permutation_importance(
        trees, inputs[tried], y[tried], scoring=scoring, n_repeats=1, random_state=0
    ).importances_mean
    # A column is named where a fifth of what the trees tell beyond chance goes without it.
    least_loss = min(0.2 * (score - label.chance), losses.max())
    worst_first = sorted(zip(-losses, columns, strict=True))
    named = [repr(name) for minus_loss, name in worst_first[:3] if -minus_loss >= least_loss]
    return (
        f"the inputs together tell it almost fully ({label.measure} {score:.4f} on other rows, "
        f"by boosted trees), above all {' and '.join(named)}; move what is known only afterwards "
        "to post_exposure"
    )
