"""Areas under the ROC curve from sorted keys: over all rows, or within groups.

One sort is enough: group, score and label of a row are packed into one unsigned integer with the
same order. numpy sorts integers several times faster than it finds a stable order of floats. Sorted
keys are then read once, front to back, so they may come in pieces, as `bench.measure.runs.Runs` has
them.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats, Ints
from bench.core.system.intrinsics import jit

Keys = NDArray[np.uint64]
"""31 bits of group, all set where a row has none, 32 of score in a code whose unsigned order is
that of floats, 1 of label."""
GROUP_SHIFT = 33
NO_GROUP = (1 << 31) - 1
_SIGN = 1 << 31


class Areas:
    """Sums of one pass over rows in ascending order of their keys.

    Attributes:
        auc: mean AUC over groups with both classes, weighted by their rows; None where there is
            none. Rows without group are one group.
        by_positives: the same mean, weighted by positives.
        distance: sum over bins of |sum of scores - sum of labels|.
    """

    def __init__(self, pieces: Iterable[Keys], cuts: Ints | None = None) -> None:
        """Reads all pieces of one sorted sequence.

        Args:
            cuts: ascending ranks; a bin starts at the first row of each run of equal scores that
                has a cut in it.
        """
        if cuts is None:
            cuts = np.empty(0, np.int64)
        counts = np.zeros(10, np.int64)
        sums = np.zeros(4)
        for keys in pieces:
            _read(keys, cuts, counts, sums)
        # a key of another group closes the last run and the last group
        closing = (int(counts[0]) ^ 1 << 32) << 1
        _read(np.array([closing], np.uint64), cuts, counts, sums)
        self.auc = _mean(float(sums[0]), int(counts[6]))
        self.by_positives = _mean(float(sums[3]), int(counts[9]))
        self.distance = float(sums[2]) + abs(float(sums[1]))


def _mean(total: float, count: int) -> float | None:
    return total / count if count else None


def by_group(keys: Keys) -> Keys:
    """Keys of rows with a group, by group and score."""
    copy = keys[keys < np.uint64(NO_GROUP << GROUP_SHIFT)]
    copy.sort()
    return copy


def by_score(keys: Keys) -> Keys:
    """Keys of all rows without their groups, by score."""
    copy = keys & np.uint64((1 << GROUP_SHIFT) - 1)
    copy.sort()
    return copy


@jit()
def code(bits: np.uint32) -> np.uint64:
    """The bits of a float -> an integer whose unsigned order is that of floats; -0 has the code of
    0.
    """
    if bits == _SIGN:
        bits = np.uint32(0)
    if bits & np.uint32(_SIGN):
        return np.uint64(np.uint32(~bits))
    return np.uint64(bits | np.uint32(_SIGN))


# What a pass carries from one piece to the next.
# counts: 0 run of equal scores (group and code), 1 its positives, 2 its negatives;
#         3 positives, 4 negatives of its group before the run; 5 twice the pairs that the group
#         has won; 6 rows of groups with both classes; 7 rows before the run; 8 cuts passed;
#         9 positives of groups with both classes.
# sums:   0 rows times AUC over closed groups; 1 scores minus labels of the bin at hand;
#         2 its absolute value over closed bins; 3 positives times AUC over closed groups.


@jit()
def _read(keys: Keys, cuts: Ints, counts: Ints, sums: Floats) -> None:
    run = counts[0]
    positives = counts[1]
    negatives = counts[2]
    positives_before = counts[3]
    negatives_before = counts[4]
    won = counts[5]
    counted = counts[6]
    rows = counts[7]
    passed = counts[8]
    counted_positives = counts[9]
    areas = sums[0]
    excess = sums[1]
    distance = sums[2]
    areas_by_positives = sums[3]
    for key in keys:
        score = np.int64(key >> np.uint64(1))
        if score != run:
            ties = positives + negatives
            won += positives * (2 * negatives_before + negatives)
            positives_before += positives
            negatives_before += negatives
            if len(cuts) and ties:
                rows += ties
                if passed < len(cuts) and cuts[passed] < rows:
                    distance += abs(excess)
                    excess = 0.0
                    while passed < len(cuts) and cuts[passed] < rows:
                        passed += 1
                excess += ties * _score(run) - positives
            if score >> 32 != run >> 32:
                if positives_before and negatives_before:
                    size = positives_before + negatives_before
                    area = won / (2 * positives_before * negatives_before)
                    areas += size * area
                    counted += size
                    areas_by_positives += positives_before * area
                    counted_positives += positives_before
                positives_before = 0
                negatives_before = 0
                won = 0
            run = score
            positives = 0
            negatives = 0
        positive = np.int64(key & np.uint64(1))
        positives += positive
        negatives += 1 - positive
    counts[0] = run
    counts[1] = positives
    counts[2] = negatives
    counts[3] = positives_before
    counts[4] = negatives_before
    counts[5] = won
    counts[6] = counted
    counts[7] = rows
    counts[8] = passed
    counts[9] = counted_positives
    sums[0] = areas
    sums[1] = excess
    sums[2] = distance
    sums[3] = areas_by_positives


@jit()
def _score(code: int) -> float:
    """The float behind a code; the inverse of `code`."""
    low = np.uint32(code & 0xFFFFFFFF)
    if low & np.uint32(_SIGN):
        positive = np.uint32(low ^ np.uint32(_SIGN))
        return np.float64(positive.view(np.float32))
    negative = np.uint32(~low)
    return np.float64(negative.view(np.float32))
