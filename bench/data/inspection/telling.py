"""How well the values of a column tell a label: out of folds over all rows, or on validation when learnt on train."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.schema import begins
from bench.data.inspection.column import Counted
from bench.data.inspection.labels import Label, Labels
from bench.data.splits import TEST, TRAIN, VALID

LEAST = 20
"""Labels of each class, labels at all, or rows, below which nothing is said."""
FOLDS = 5
SMOOTHING = 20.0
"""Rows of the overall mean that are mixed into the mean of a cell of train."""
DRAWN = 0.2
"""Of rows, drawn for trying where the split leaves no validation among those inspected."""

Mask = NDArray[np.bool_]


def cells_of(column: Counted, ranges: int = 64, exact: int = 256) -> NDArray[np.int64]:
    """(N,) the category that a row falls into, or the range of about `ranges` of equal rows; missing is the last cell.

    Args:
        exact: distinct numbers up to which each is a category.
    """
    if column.numbers is None or len(column.counts) <= exact:
        return column.cells
    order = np.argsort(column.numbers)
    edges = column.numbers[order][1:][begins(column.counts[order], ranges)]
    return np.append(np.searchsorted(edges, column.numbers, side="right"), len(edges) + 1)[column.codes]


def out_of_fold(cells: NDArray[np.int64], label: Label) -> float:
    """AUC (binary) or R2 of the mean label of a row's cell, smoothed, and taken over the other folds' rows only.

    A cell that the other folds do not have gets the overall mean; so an id of each row predicts nothing.
    """
    seen = ~np.isnan(label.y)
    cell, y = cells[seen], label.y[seen]
    key = cell * FOLDS + np.random.default_rng(0).integers(0, FOLDS, len(y))
    size = (int(cells.max()) + 1) * FOLDS
    rows, total = (np.bincount(key, by, size).reshape(-1, FOLDS).astype(np.float64) for by in (None, y))
    other_rows, other_total = (each.sum(axis=1, keepdims=True) - each for each in (rows, total))
    mean = (other_total + y.mean()) / (other_rows + 1)  # one row of the overall mean is mixed in
    if label.binary:
        return group_auc(mean.ravel(), total.ravel(), (rows - total).ravel())
    return explained(y, mean.ravel()[key])


def score(label: Label, said: Floats, y: Floats) -> float:
    """AUC, or R2, of what is said of labels (n,)."""
    return group_auc(said, y, 1 - y) if label.binary else explained(y, said)


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


class Halves(NamedTuple):
    """Rows (N,) to learn on and to try on, with the labels of tasks that have enough of them on both sides."""

    learn: Mask
    tried: Mask
    labels: Labels

    def tell_ranges(self, column: Counted, ranges: int) -> dict[str, float]:
        """The same of ranges of a column's numbers, as `tell` of its values."""
        return self.tell(cells_of(column, ranges, exact=0))

    def tell(self, cells: NDArray[np.int64]) -> dict[str, float]:
        """Task -> AUC (R2 of a number) where tried of the mean label where learnt of a row's cell (N,), smoothed."""
        found = {}
        for name, label in self.labels.items():
            learn, tried = (rows & ~np.isnan(label.y) for rows in (self.learn, self.tried))
            y, cell = label.y[learn], cells[learn]
            rows, total = (np.bincount(cell, by, int(cells.max()) + 1) for by in (None, y))
            mean = (total + SMOOTHING * y.mean()) / (rows + SMOOTHING)
            found[name] = max(score(label, mean[cells[tried]], label.y[tried]), label.chance)
        return found


def halves_of(split: NDArray[np.int8], labels: Labels) -> Halves:
    """Train and the search's half of validation; where these are too few, two draws of train and validation."""
    learn, tried = split == TRAIN, split == VALID
    if any(label.fewest(rows) < LEAST for rows in (learn, tried) for label in labels.values()):
        drawn = np.random.default_rng(0).random(len(split)) < DRAWN
        learn, tried = (split != TEST) & ~drawn, (split != TEST) & drawn
    enough = {name: min(map(label.fewest, (learn, tried))) >= LEAST for name, label in labels.items()}
    return Halves(learn, tried, {name: labels[name] for name in labels if enough[name]})
