"""How well scores rank labels: exact areas under the ROC curve, over all rows or within groups.

One sort does it: group, score and label of a row are packed into one unsigned integer whose order is theirs, which
numpy sorts several times faster than it finds a stable order of floats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SIGN = np.uint32(1 << 31)


@dataclass(frozen=True)
class Ranking:
    """Rows in ascending order of their scores.

    Attributes:
        scores: (N,).
        labels: (N,), whether the row is positive.
    """

    scores: NDArray[np.float32]
    labels: NDArray[np.bool_]

    @classmethod
    def of(cls, scores: NDArray[Any], labels: NDArray[Any]) -> Ranking:
        """Sorts rows; scores are taken as float32 and must not be NaN, labels are 0 or 1."""
        keys = _keys(scores, labels)
        keys.sort()
        codes = (keys >> np.uint64(1)).astype(np.uint32)
        bits = np.where(codes & _SIGN, codes ^ _SIGN, ~codes)
        return cls(bits.view(np.float32), _labels(keys))

    def __len__(self) -> int:
        return len(self.scores)

    def auc(self) -> float | None:
        """P(a positive scores higher than a negative), ties counting half; None where one of the classes is absent."""
        if len(self) == 0:
            return None
        areas, _ = _areas(self.labels, _starts(self.scores), np.zeros(1, np.int64))
        return float(areas[0]) if len(areas) else None

    def bins(self, count: int) -> NDArray[np.int64]:
        """Where bins of equal mass start, fewer where equal scores, which share a bin, are many."""
        cuts = np.arange(count, dtype=np.int64) * len(self) // count
        return np.unique(np.searchsorted(self.scores, self.scores[cuts], side="left"))


def grouped_auc(scores: NDArray[Any], labels: NDArray[Any], group: NDArray[Any]) -> float | None:
    """sum_u n_u AUC_u / sum_u n_u over groups u of n_u rows with both classes (GAUC, Zhu et al., KDD 2017).

    Args:
        scores: (N,), taken as float32; none NaN.
        labels: (N,), 0 or 1.
        group: (N,), below 2**31; rows with a negative one belong to no group and are left out.

    Returns:
        None where no group has both classes.
    """
    inside = group >= 0
    if not inside.all():
        scores, labels, group = scores[inside], labels[inside], group[inside]
    if len(group) == 0:
        return None
    if group.max() >= 1 << 31:
        raise ValueError(f"expected groups below 2**31, found {group.max()}")
    keys = _keys(scores, labels)
    keys |= group.astype(np.uint64) << np.uint64(33)
    keys.sort()
    areas, rows = _areas(_labels(keys), _starts(keys >> np.uint64(1)), _starts(keys >> np.uint64(33)))
    return float(areas @ rows / rows.sum()) if len(areas) else None


def _keys(scores: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.uint64]:
    """33 bits a row: the score in a code whose unsigned order is that of floats, then the label."""
    bits = (scores.astype(np.float32) + np.float32(0)).view(np.uint32)  # + 0 makes -0 the same score as 0
    codes = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    keys = codes.astype(np.uint64) << np.uint64(1)
    keys |= labels != 0
    return keys


def _labels(keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
    return (keys & np.uint64(1)).astype(np.bool_)


def _starts(values: NDArray[Any]) -> NDArray[np.int64]:
    """Where runs of equal values start."""
    return np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))


def _areas(
    labels: NDArray[np.bool_], ties: NDArray[np.int64], groups: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """AUC and number of rows of each group with both classes.

    Args:
        labels: (N,), rows sorted by group, then score.
        ties: where runs of one score in one group start.
        groups: where groups start.
    """
    before = np.concatenate([[0], np.cumsum(labels, dtype=np.int64)])  # (N + 1,): positives before each row
    ends = np.append(ties, len(labels))
    positives = np.diff(before[ends])
    negatives = np.diff(ends) - positives
    first = np.searchsorted(ties, groups)  # each group's first run of ties
    edges = np.append(groups, len(labels))
    rows = np.diff(edges)
    all_positives = np.diff(before[edges])
    all_negatives = rows - all_positives
    below = ties - before[ties]  # negatives before each run, of all groups
    below -= np.repeat(below[first], np.diff(np.append(first, len(ties))))
    won = np.add.reduceat(positives * (below + negatives / 2), first)  # multiples of 1/2: exact
    both = (all_positives > 0) & (all_negatives > 0)
    return won[both] / (all_positives[both] * all_negatives[both]), rows[both]
