"""Columns that know too much: they tell a label, hold something only after it, or say where a row was shown.

What is made at a later stage (an amount, a duration, a refund) is 0 or missing unless the label's event happened. Most
events have no later stage, so such a column tells few of them, and its AUC is low; but where it holds something, the
label is known. What nobody notes once the event has happened, such as the vehicle of a cancelled trip, is missing
there alone. The place of a row in its list is what the ranking decides.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.arrays import Floats
from bench.data.inspection.column import Counted
from bench.data.inspection.labels import Label, Labels
from bench.data.inspection.names import after_exposure, is_doubtful, is_place
from bench.schema import begins

SUSPECT = 0.98
"""AUC of a binary label, or share of a regression label's variance, from which a column is suspected."""
LEAST = 20
"""Labels of each class, labels at all, or rows, below which nothing is said."""
EXCEPTIONS = 0.02
"""Rows that hold something (or nothing) though the label is otherwise, as a share of those that chance would give.
Up to this share it is taken to imply the label. Innocent columns of Census-Income and hotel bookings stay above .05."""
BY_NAME = 0.2
"""The same share where the name says already that it may be made afterwards."""
COMMON = 0.75
"""Share of a label's value above which nothing is said of what implies it: much does."""
NOTHING = ("0", "-1", "no", "false", "n", "f", "none", "-")
"""Values that say, as a missing one does, that there was nothing."""
ALONE = 0.95
"""Share of rows, at least, whose place no other row of their group has."""
DENSE = 0.9
"""Share of the whole numbers from the lowest place to the highest that must occur: ranks of sales leave many out."""
BINS = 64
FOLDS = 5
SMOOTHING = 1.0
_MANY = 256


def find_leak(column: Counted, labels: Labels, exceptions: float = EXCEPTIONS) -> str | None:
    """The strongest evidence that a column is (almost) determined by a label, or determines it, as a clause."""
    cells, missing = cells_of(column), column.codes < 0
    telling = {"0 or missing but for": _something(column), "missing in": missing}
    found: list[tuple[float, str]] = []
    for name, label in labels.items():
        if label.fewest() < LEAST:
            continue
        score = predictive(cells, label)
        if score < SUSPECT:
            clauses = (_implied(rows, where, name, label, exceptions) for where, rows in telling.items())
            found += [(score, clause) for clause in clauses if clause is not None]
        elif label.binary and missing.any() and predictive(missing.astype(np.int64), label) >= SUSPECT:
            found.append((score, f"whether it is missing tells '{name}' (AUC {score:.4f})"))
        else:
            found.append((score, f"it alone tells '{name}' ({label.measure} {score:.4f})"))
    return max(found, key=lambda each: each[0], default=(0.0, None))[1]


def find_named(column: Counted, labels: Labels) -> tuple[bool, str] | None:
    """Whether a column whose name says that it is made afterwards is suspected, and why; None for any other name.

    An ordinary name, such as `share` or `rating`, is no ground by itself: labels must follow from the column, too.
    """
    if (named := after_exposure(column.name)) is None or len(column.counts) == 0:
        return None
    if not is_doubtful(column.name):
        return True, f"{named}{told(column, labels)}"
    if follows := find_leak(column, labels, BY_NAME):
        return True, f"{named}, and {follows}"
    no_more = f"but no label follows from it{told(column, labels)}"
    return False, f"{named}, {no_more}; if it is known only afterwards, move it to post_exposure"


def told(column: Counted, labels: Labels) -> str:
    """What a column alone tells of the label that it tells most of, as the end of a sentence; empty without labels."""
    cells = cells_of(column)
    scores = {name: predictive(cells, label) for name, label in labels.items() if label.fewest() >= LEAST}
    if not scores:
        return ""
    most = max(scores, key=lambda name: scores[name] - labels[name].chance)
    return f"; alone it tells '{most}' with {labels[most].measure} {max(scores[most], labels[most].chance):.2f}"


def _something(column: Counted) -> NDArray[np.bool_]:
    """(N,) whether a row holds something, that is, neither 0 nor `no` nor nothing at all."""
    if column.numbers is not None:
        least = column.numbers.min(initial=0)
        nothing = (column.numbers == 0) | ((column.numbers == -1) & (least == -1))
    else:
        nothing = np.array([text.lower() in NOTHING for text in column.texts()] if column.readable else [False], bool)
    return np.append(~nothing, False)[column.codes]


def _implied(rows: NDArray[np.bool_], where: str, name: str, label: Label, most: float) -> str | None:
    """Which value of a 0/1 label (almost) all of these rows have, where that is no matter of course."""
    seen = ~np.isnan(label.y)
    event = label.y if label.binary else label.y != 0
    inside, outside = event[seen & rows], event[seen & ~rows]
    if len(inside) == 0 or len(outside) < LEAST:
        return None
    for value in (1, 0):
        common = float((event[seen] == value).mean())
        expected, exceptions = len(inside) * (1 - common), int((inside != value).sum())
        if common <= COMMON and expected >= LEAST and exceptions <= most * expected:
            share = "all" if not exceptions else f"{1 - exceptions / len(inside):.2%}"
            what = f"'{name}' is {value}" if label.binary else f"'{name}' is {'not ' if value else ''}0"
            return (
                f"it is {where} {len(inside):,} rows, and there {what} in {share} of them, "
                f"elsewhere in {float((outside == value).mean()):.1%}: it seems to be made after it"
            )
    return None


def find_place(column: Counted, group: Counted | None) -> str | None:
    """Why a column says where a row was shown: by its name, and it counts from 0 or 1 in each group."""
    if group is None or column.numbers is None or not (column.whole and is_place(column.name)):
        return None
    low, high = float(column.numbers.min()), float(column.numbers.max())
    known = (column.codes >= 0) & (group.codes >= 0)
    pairs = group.codes[known].astype(np.int64) * len(column.counts) + column.codes[known]
    lists = len(np.unique(group.codes[known]))
    dense = low in (0, 1) and len(column.numbers) >= DENSE * (high - low + 1)
    if not dense or len(pairs) < 2 * lists or len(np.unique(pairs)) < ALONE * len(pairs):
        return None
    alone = len(np.unique(pairs)) / len(pairs)
    return (
        f"in each '{group.name}', of {len(pairs) / lists:.1f} rows on average, it counts from {low:.0f} up to "
        f"{high:.0f}, and {alone:.1%} of the rows have one of their own: it seems to be the place, which is known "
        "after ranking only"
    )


def cells_of(column: Counted) -> NDArray[np.int64]:
    """(N,) the category or, of many numbers, the range that a row falls into; missing is a cell of its own."""
    if column.numbers is None or len(column.counts) <= _MANY:
        return column.codes.astype(np.int64) + 1
    return ranges_of(column, column.counts, BINS)[column.codes]


def ranges_of(column: Counted, rows: NDArray[Any], ranges: int) -> NDArray[np.int64]:
    """(V + 1,) the range of each distinct number, of about `ranges` of equal rows (V,); that of a missing one is last.

    Numbers without rows decide nothing.
    """
    assert column.numbers is not None
    order = np.argsort(column.numbers)
    order = order[rows[order] > 0]
    edges = column.numbers[order][1:][begins(rows[order].astype(np.int64), ranges)]
    return np.append(np.searchsorted(edges, column.numbers, side="right"), len(edges) + 1)


def predictive(cells: NDArray[np.int64], label: Label) -> float:
    """AUC (binary) or R2 of the mean label of a row's cell, smoothed, and taken over the other folds' rows only.

    A cell that the other folds do not have gets the overall mean; so an id of each row predicts nothing.
    """
    seen = ~np.isnan(label.y)
    cell, y = cells[seen], label.y[seen]
    fold = np.random.default_rng(0).integers(0, FOLDS, len(y))
    key = cell * FOLDS + fold
    size = (int(cells.max()) + 1) * FOLDS
    rows = np.bincount(key, minlength=size).reshape(-1, FOLDS).astype(np.float64)
    total = np.bincount(key, weights=y, minlength=size).reshape(-1, FOLDS).astype(np.float64)
    overall = float(y.mean())
    others = rows.sum(axis=1, keepdims=True) - rows
    mean = (total.sum(axis=1, keepdims=True) - total + SMOOTHING * overall) / (others + SMOOTHING)
    if label.binary:
        return group_auc(mean.ravel(), total.ravel(), (rows - total).ravel())
    return explained(y, mean.ravel()[key])


def explained(y: Floats, said: Floats) -> float:
    """Share of the variance of numbers (N,) that is explained by what is said of them."""
    spread = float(((y - y.mean()) ** 2).sum())
    return 1 - float(((y - said) ** 2).sum()) / spread if spread > 0 else 0.0


def group_auc(score: Floats, positives: Floats, negatives: Floats) -> float:
    """Area under the ROC curve of groups of rows that share a score; ties count half."""
    _, place = np.unique(np.round(score, 12), return_inverse=True)
    up: Floats = np.bincount(place, weights=positives).astype(np.float64)
    down: Floats = np.bincount(place, weights=negatives).astype(np.float64)
    below = np.cumsum(down) - down
    pairs = float(up.sum() * down.sum())
    return float((up * (below + down / 2)).sum()) / pairs if pairs else 0.5
