"""Metrics of one task on one sample space, added up over pieces of its rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.training.ranking import GROUP_SHIFT, WITHOUT_GROUP, Areas, Keys, check_groups, code
from bench.training.runs import Runs

ECE_BINS = 15
ROWS_IN_MEMORY = 1 << 23
"""Rows of a binary task whose keys (8 bytes each) are held in memory; more go to a temporary file, 16 bytes each."""
LEAST = float(np.finfo(np.float32).eps)
"""Probabilities are this far from 0 and 1 under a logarithm."""
_FACTORS = 32  # probabilities whose product is taken before its logarithm: no less than LEAST ** 32, or 1e-222


class BinaryTally:
    """Metrics of probabilities against labels 0, 1 or NaN; rows with NaN do not count.

    `auc`, `gauc` and `gauc_positives` (see `ranking`); `logloss`; `ne`, log loss over the entropy of the base rate (He
    et al., ADKDD 2014); `pcoc`, mean prediction over mean label; `ece`, mean distance of the mean prediction from the
    mean label over 15 bins of equal mass (Naeini et al., AAAI 2015), in which equal predictions share a bin. All are
    exact, however many rows there are.
    """

    def __init__(self, limit: int = ROWS_IN_MEMORY) -> None:
        self._limit = limit
        self._sums = np.zeros(3)  # predictions, log loss, labels
        self._rows = self._held = 0
        self._grouped: list[Keys] = []
        self._loose: list[Keys] = []
        self._by_group: Runs | None = None
        self._by_score: Runs | None = None

    def add(self, labels: NDArray[Any], predictions: NDArray[Any], group: NDArray[Any]) -> None:
        """Counts rows in: labels, predictions (taken as float32) and group (N,), the last negative where there is none.

        Raises:
            ValueError: a group of 2**31 or above.
        """
        check_groups(group)
        predictions = predictions.astype(np.float32, copy=False)
        for start in range(0, len(labels), self._limit):
            part = slice(start, start + self._limit)
            self._take(labels[part], predictions[part], group[part])

    def _take(self, labels: NDArray[Any], predictions: NDArray[np.float32], group: NDArray[Any]) -> None:
        if self._held + len(labels) > self._limit:
            self._put_aside()
        keys = np.empty(len(labels), np.uint64)
        grouped, loose = _take(labels, predictions, predictions.view(np.uint32), group, keys, self._sums)
        whole = grouped == len(keys)  # else what is not used is given back
        self._grouped.append(keys if whole else keys[:grouped].copy())
        self._loose.append(keys[len(keys) - loose :].copy())
        self._rows += grouped + loose
        self._held += grouped + loose

    def result(self) -> dict[str, float]:
        """Metrics by name; those that the rows do not define are left out."""
        if self._rows == 0:
            return {}
        by_group, by_score = self._sorted()
        cuts = np.arange(ECE_BINS, dtype=np.int64) * self._rows // ECE_BINS
        all_rows = Areas([by_score] if self._by_score is None else self._by_score.merged(by_score), cuts)
        grouped = Areas([by_group] if self._by_group is None else self._by_group.merged(by_group))
        prediction, logloss, rate = (self._sums / self._rows).tolist()
        found = {
            "auc": all_rows.auc,
            "gauc": grouped.auc,
            "gauc_positives": grouped.by_positives,
            "logloss": logloss,
            "ne": logloss / -(rate * math.log(rate) + (1 - rate) * math.log1p(-rate)) if 0 < rate < 1 else None,
            "pcoc": prediction / rate if rate > 0 else None,
            "ece": all_rows.distance / self._rows,
        }
        return {name: value for name, value in found.items() if value is not None}

    def _sorted(self) -> tuple[Keys, Keys]:
        """Held keys by group and score, and by score alone."""
        none: list[Keys] = [np.empty(0, np.uint64)]
        grouped = np.concatenate(self._grouped or none)
        by_score = np.concatenate([grouped, *self._loose])
        by_score &= WITHOUT_GROUP
        by_score.sort()
        grouped.sort()
        return grouped, by_score

    def _put_aside(self) -> None:
        if self._by_group is None or self._by_score is None:
            self._by_group, self._by_score = Runs(self._limit), Runs(self._limit)
        by_group, by_score = self._sorted()
        self._by_group.add(by_group)
        self._by_score.add(by_score)
        self._grouped, self._loose, self._held = [], [], 0


class RegressionTally:
    """`rmse` and `spearman` of values against labels; rows with NaN do not count. It holds its rows, 8 bytes each."""

    def __init__(self) -> None:
        self._labels: list[NDArray[Any]] = []
        self._predictions: list[NDArray[Any]] = []

    def add(self, labels: NDArray[Any], predictions: NDArray[Any]) -> None:
        """Counts rows in: labels and predictions (N,)."""
        labels, predictions = observed(labels, predictions)
        self._labels.append(labels.copy())
        self._predictions.append(predictions.copy())

    def result(self) -> dict[str, float]:
        """Metrics by name; those that the rows do not define are left out."""
        if not sum(map(len, self._labels)):
            return {}
        labels, predictions = np.concatenate(self._labels), np.concatenate(self._predictions)
        found = {"rmse": float(np.sqrt(np.mean((predictions.astype(np.float64) - labels) ** 2)))}
        if np.ptp(labels) > 0 and np.ptp(predictions) > 0:
            from scipy.stats import spearmanr  # it takes .4 s and 60 MB to import, and most jobs have no regression

            found["spearman"] = float(spearmanr(labels, predictions).statistic)
        return found


def observed(labels: NDArray[Any], *columns: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Labels and what belongs to them, without the rows whose label is NaN."""
    seen = ~np.isnan(labels)
    return (labels, *columns) if seen.all() else (labels[seen], *(column[seen] for column in columns))


@njit(cache=True, nogil=True)
def _take(
    labels: NDArray[Any],
    predictions: NDArray[np.float32],
    bits: NDArray[np.uint32],
    group: NDArray[Any],
    keys: Keys,
    sums: NDArray[np.float64],
) -> tuple[int, int]:
    """Writes the keys of observed rows, those with a group from the front, the others from the back; counts both.

    Adds to the sums of predictions, log loss and labels. One logarithm of a product of 32 probabilities stands for 32
    logarithms: it is as exact, and far faster.
    """
    total, loss, positives, product, factors = 0.0, 0.0, 0, 1.0, 0
    front, back = 0, len(keys)
    for row in range(len(labels)):
        if np.isnan(labels[row]):
            continue
        positive = labels[row] != 0
        positives += positive
        key = code(bits[row]) << np.uint64(1) | np.uint64(positive)
        if group[row] >= 0:
            keys[front] = key | np.uint64(group[row]) << np.uint64(GROUP_SHIFT)
            front += 1
        else:
            back -= 1
            keys[back] = key
        probability = np.float64(predictions[row])
        total += probability
        product *= min(max(probability if positive else 1.0 - probability, LEAST), 1 - LEAST)
        factors += 1
        if factors == _FACTORS:
            loss -= math.log(product)
            product, factors = 1.0, 0
    sums[0] += total
    sums[1] += loss - math.log(product)
    sums[2] += positives
    return front, len(keys) - back
