"""Counts of rows in resamples, held where they are few, else drawn again piece by piece."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.outcomes.poisson import Counts, counts

Ints = NDArray[np.int64]
PIECE = 1 << 12  # rows whose counts are at hand at once
_HELD = 1 << 28  # bytes of counts


class Drawn:
    """How often each row is in each of `resamples` resamples of a split.

    Args:
        units: (N,), see `bench.outcomes.poisson`; rows of one unit have the same counts.
    """

    def __init__(self, units: NDArray[np.uint64], split: str, resamples: int) -> None:
        self.units, self.split, self.resamples = units, split, resamples
        distinct, self._of = np.unique(units, return_inverse=True)
        self._held = counts(distinct, split, resamples) if len(distinct) * resamples <= _HELD else None

    def of(self, rows: Ints) -> Counts:
        """(n, B)."""
        if self._held is None:
            return counts(self.units[rows], self.split, self.resamples)
        return self._held[self._of[rows]]

    def sums(self, rows: Ints, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """(B, M): on each resample the sum over rows (n,) of columns (n, M)."""
        found = np.zeros((columns.shape[1], self.resamples))
        for start in range(0, len(rows), PIECE):
            piece = slice(start, start + PIECE)
            _add(self.of(rows[piece]), columns[piece], found)
        return found.T

    def spread(self, rows: Ints) -> float:
        """The variance of the number of rows (n,) on a resample, a row."""
        if not len(rows):
            return 1.0
        sizes = np.bincount(self._of[rows])
        return float((sizes.astype(float) ** 2).sum() / len(rows))


@njit(cache=True, nogil=True)
def _add(weights: Counts, columns: NDArray[np.float64], found: NDArray[np.float64]) -> None:
    for row in range(len(weights)):
        for m in range(columns.shape[1]):
            value = columns[row, m]
            if value != 0:
                for b in range(weights.shape[1]):
                    found[m, b] += weights[row, b] * value
