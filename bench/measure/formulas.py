"""The formulas of metrics, where a row of weight w stands for w equal rows.

`bench.measure.tally` takes binary tasks without weights from sorted keys, many times faster; tests hold both equal.
For areas under the ROC curve, over all rows or within groups, one sort is enough: group, score and label of a row are
packed into one unsigned integer with the same order. numpy sorts integers several times faster than it finds a stable
order of floats. Sorted keys are then read once, front to back, so they may come in pieces: of more keys than memory
should hold, `Runs` merges sorted runs in a file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.intrinsics import jit
from bench.measure.outcomes import Measure
from bench.schema import Task, TaskKind

AREAS = ("auc", "gauc", "gauc_positives")
ECE_BINS = 15
LEAST = float(np.finfo(np.float32).eps)
"""Probabilities are this far from 0 and 1 under a logarithm."""
TENTHS = 10
Floats = NDArray[np.float64]


def metrics_of(
    kind: TaskKind, labels: NDArray[Any], predictions: NDArray[Any], group: NDArray[Any], weights: NDArray[Any]
) -> dict[str, float]:
    """Every metric of rows (N,) of which none is NaN; NaN where they do not define one."""
    y, p, w = (array.astype(np.float64) for array in (labels, predictions, weights))
    if kind == "regression":
        found = {"rmse": float(np.sqrt(w @ (p - y) ** 2 / w.sum())), "mae": float(w @ np.abs(p - y) / w.sum())}
        found |= {"xauc": Pairs(y, p).xauc(w), "decile_error": Deciles(y, p, w).error(w)}
        return found | {"spearman": Places(y, p).spearman(w)}
    loss = -np.log(np.clip(np.where(y != 0, p, 1 - p), LEAST, 1 - LEAST)) @ w
    measure = Measure((Task("all"),), [f"all.{name}" for name in AREAS], labels[:, None], group, "", weights=w)
    return {
        **dict(zip(AREAS, measure.values(p).tolist(), strict=True)),
        **of_sums(w.sum(), y @ w, p @ w, loss),
        "ece": Deciles(y, p, w, ECE_BINS).distance(w) / float(w.sum()),
    }


def of_sums(rows: Any, positives: Any, predictions: Any, loss: Any) -> dict[str, Any]:
    """Metrics of a binary task that need only sums over rows: of 1, labels, predictions and log losses.

    Each is a NumPy float or an array; a metric is not finite where the rows do not define it.
    """
    with np.errstate(all="ignore"):
        rate, mean = positives / rows, loss / rows
        entropy = -(rate * np.log(rate) + (1 - rate) * np.log1p(-rate))
        return {"logloss": mean, "ne": mean / entropy, "pcoc": predictions / positives}


class Deciles:
    """Tenths of equal weight; rows of equal predictions share one, so there may be fewer.

    Args:
        labels, predictions: (N,), at least one and none NaN.
        weights: (N,), by which rows are parted; None for equal ones.
        parts: other than tenths.
    """

    def __init__(
        self,
        labels: NDArray[Any],
        predictions: NDArray[Any],
        weights: NDArray[Any] | None = None,
        parts: int = TENTHS,
    ) -> None:
        of_rows = np.ones(len(labels)) if weights is None else weights.astype(np.float64)
        self._order = np.argsort(predictions, kind="stable")
        self._labels, self._predictions = (each.astype(np.float64)[self._order] for each in (labels, predictions))
        runs = np.flatnonzero(np.r_[True, self._predictions[1:] != self._predictions[:-1]])
        mass = np.add.reduceat(of_rows[self._order], runs)
        after = np.cumsum(mass)
        cut = np.ceil(parts * (after - mass) / after[-1])  # the first that is not before the run
        begins = (cut < parts) & (cut * after[-1] < parts * after)
        begins[0] = True
        self._starts = runs[begins]

    def table(self, weights: NDArray[Any]) -> Floats:
        """(n, 3): weight, mean prediction and mean label of each tenth, where rows weigh so (N,)."""
        own = weights.astype(np.float64)[self._order]
        sums = [np.add.reduceat(own * each, self._starts) for each in (1.0, self._predictions, self._labels)]
        with np.errstate(all="ignore"):
            return np.stack([sums[0], sums[1] / sums[0], sums[2] / sums[0]], axis=1)

    def distance(self, weights: NDArray[Any]) -> float:
        """Sum over tenths of |sum of predictions - sum of labels|, where rows weigh so (N,)."""
        own = weights.astype(np.float64)[self._order]
        return float(np.abs(np.add.reduceat(own * (self._predictions - self._labels), self._starts)).sum())

    def error(self, weights: NDArray[Any]) -> float:
        """`distance`, over the sum of |labels|; NaN where that is 0."""
        whole = float(weights.astype(np.float64)[self._order] @ np.abs(self._labels))
        return self.distance(weights) / whole if whole > 0 else np.nan


class Pairs:
    """Pairs of rows whose labels (N,) differ, and whether predictions (N,) put them in their order."""

    def __init__(self, labels: NDArray[Any], predictions: NDArray[Any]) -> None:
        self._order = np.argsort(labels, kind="stable")
        new = np.flatnonzero(np.diff(labels[self._order], prepend=np.nan) != 0)
        self._starts = np.append(new, len(labels))
        self._places = np.unique(predictions, return_inverse=True)[1][self._order]

    def xauc(self, weights: NDArray[np.float64]) -> float:
        """The share that is in order (Zhan et al., KDD 2022), equal predictions being half so; NaN without a pair.

        Args:
            weights: (N,), how often each row counts.
        """
        won, pairs = _ordered(self._starts, self._places, weights[self._order])
        return won / pairs if pairs else float("nan")


class Places:
    """Places of labels (N,) and of predictions (N,), each in their own order; equal values share the middle one."""

    def __init__(self, labels: NDArray[Any], predictions: NDArray[Any]) -> None:
        self._places = [np.unique(values, return_inverse=True)[1] for values in (labels, predictions)]

    def spearman(self, weights: NDArray[np.float64]) -> float:
        """The correlation of both; NaN where one does not vary.

        Args:
            weights: (N,), how often each row counts.
        """
        centred = []
        for at in self._places:
            mass = np.bincount(at, weights)
            if np.count_nonzero(mass) < 2:
                return float("nan")
            ranks = (np.cumsum(mass) - mass / 2)[at]
            centred.append(ranks - weights @ ranks / weights.sum())
        first, second = centred
        return float(weights @ (first * second) / np.sqrt((weights @ first**2) * (weights @ second**2)))


@jit()
def _ordered(starts: NDArray[np.int64], places: NDArray[np.int64], weights: NDArray[np.float64]) -> tuple[float, float]:
    """Pairs in their order, and all pairs; sums of the weights of smaller labels are in a binary indexed tree."""
    tree, before, won, pairs = np.zeros(places.max() + 2 if len(places) else 1), 0.0, 0.0, 0.0
    own = np.zeros(len(tree))
    for tie in range(len(starts) - 1):
        here = 0.0
        for row in range(starts[tie], starts[tie + 1]):
            below, at = 0.0, places[row]
            while at > 0:
                below += tree[at]
                at -= at & -at
            won += weights[row] * (below + own[places[row]] / 2)
            here += weights[row]
        pairs += here * before
        before += here
        for row in range(starts[tie], starts[tie + 1]):
            own[places[row]] += weights[row]
            at = places[row] + 1
            while at < len(tree):
                tree[at] += weights[row]
                at += at & -at
    return won, pairs


Keys = NDArray[np.uint64]
"""31 bits of group, 32 of score in a code whose unsigned order is that of floats, 1 of label."""
GROUP_SHIFT = 33
WITHOUT_GROUP = np.uint64((1 << GROUP_SHIFT) - 1)  # a mask: score and label alone
_SIGN = 1 << 31


class Areas:
    """Sums of one pass over rows in ascending order of their keys.

    Attributes:
        auc: mean AUC over groups with both classes, weighted by their rows; None where there is none. Rows without
            group are one group.
        by_positives: the same mean, weighted by positives.
        distance: sum over bins of |sum of scores - sum of labels|.
    """

    def __init__(self, pieces: Iterable[Keys], cuts: NDArray[np.int64] | None = None) -> None:
        """Reads all pieces of one sorted sequence.

        Args:
            cuts: ascending ranks; a bin starts at the first row of each run of equal scores that has a cut in it.
        """
        cuts = np.empty(0, np.int64) if cuts is None else cuts
        counts, sums = np.zeros(10, np.int64), np.zeros(4)
        for keys in pieces:
            _read(keys, cuts, counts, sums)
        other = (int(counts[0]) ^ 1 << 32) << 1  # a key of another group closes the last run and the last group
        _read(np.array([other], np.uint64), cuts, counts, sums)
        self.auc = float(sums[0]) / int(counts[6]) if counts[6] else None
        self.by_positives = float(sums[3]) / int(counts[9]) if counts[9] else None
        self.distance = float(sums[2]) + abs(float(sums[1]))


def check_groups(group: NDArray[Any]) -> None:
    """Raises ValueError where a group does not fit into a key."""
    if len(group) and group.max() >= 1 << 31:
        raise ValueError(f"expected groups below 2**31, found {group.max()}")


@jit()
def code(bits: np.uint32) -> np.uint64:
    """The bits of a float -> an integer whose unsigned order is that of floats; -0 has the code of 0."""
    if bits == _SIGN:
        bits = np.uint32(0)
    return np.uint64(np.uint32(~bits) if bits & np.uint32(_SIGN) else bits | np.uint32(_SIGN))


# What a pass carries from one piece to the next.
# counts: 0 run of equal scores (group and code), 1 its positives, 2 its negatives; 3 and 4 the same of its group before
#         the run; 5 twice the pairs that the group has won; 6 rows of groups with both classes; 7 rows before the run;
#         8 cuts passed; 9 positives of groups with both classes.
# sums:   0 rows times AUC over closed groups; 1 scores less labels of the bin at hand; 2 its absolute value over closed
#         bins; 3 positives times AUC over closed groups.


@jit()
def _read(keys: Keys, cuts: NDArray[np.int64], counts: NDArray[np.int64], sums: NDArray[np.float64]) -> None:
    run, positives, negatives = counts[0], counts[1], counts[2]
    positives_before, negatives_before, won, counted = counts[3], counts[4], counts[5], counts[6]
    rows, passed, counted_positives = counts[7], counts[8], counts[9]
    areas, excess, distance, areas_by_positives = sums[0], sums[1], sums[2], sums[3]
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
                positives_before, negatives_before, won = 0, 0, 0
            run, positives, negatives = score, 0, 0
        positive = np.int64(key & np.uint64(1))
        positives += positive
        negatives += 1 - positive
    counts[0], counts[1], counts[2] = run, positives, negatives
    counts[3], counts[4], counts[5], counts[6] = positives_before, negatives_before, won, counted
    counts[7], counts[8], counts[9] = rows, passed, counted_positives
    sums[0], sums[1], sums[2], sums[3] = areas, excess, distance, areas_by_positives


@jit()
def _score(code: int) -> float:
    """The float behind a code; the inverse of `code`."""
    low = np.uint32(code & 0xFFFFFFFF)
    if low & np.uint32(_SIGN):
        positive = np.uint32(low ^ np.uint32(_SIGN))
        return np.float64(positive.view(np.float32))
    negative = np.uint32(~low)
    return np.float64(negative.view(np.float32))


class Runs:
    """Sorted arrays of keys in an unnamed file that vanishes with this object.

    Args:
        limit: keys that `merged` may hold at a time.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lengths: list[int] = []
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as this object is there)

    def add(self, keys: Keys) -> None:
        """Puts a sorted array aside.

        Raises:
            OSError: no space left.
        """
        if len(keys) == 0:
            return
        self._file.write(np.ascontiguousarray(keys).data)
        self._file.flush()
        self._lengths.append(len(keys))

    def merged(self, last: Keys) -> Iterator[Keys]:
        """All keys, those of a last sorted array among them, as one ascending sequence of pieces.

        Values that many keys share come as they are; between two of them, each run gives a slice, and the slices are
        sorted together. The dividing values are drawn from every n-th key of each run, so that slices fit the limit.
        """
        runs = [*self._mapped(), last]
        step = max(1, self._limit // (4 * len(runs)))
        sample = np.sort(np.concatenate([run[::step] for run in runs]))
        starts = [0] * len(runs)
        for value in np.unique(sample[:: len(runs)]):
            at = [int(np.searchsorted(run, value)) for run in runs]
            yield _together(runs, starts, at)
            starts = [int(np.searchsorted(run, value, side="right")) for run in runs]
            for run, start, end in zip(runs, at, starts, strict=True):
                for first in range(start, end, self._limit):
                    yield run[first : min(first + self._limit, end)]
        yield _together(runs, starts, [len(run) for run in runs])

    def _mapped(self) -> Iterator[Keys]:
        at = 0
        for length in self._lengths:
            yield np.memmap(self._file, np.uint64, "r", 8 * at, (length,))
            at += length


def _together(runs: list[Keys], starts: list[int], ends: list[int]) -> Keys:
    keys = np.concatenate([run[start:end] for run, start, end in zip(runs, starts, ends, strict=True)])
    keys.sort()
    return keys
