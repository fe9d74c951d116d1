"""The Poisson bootstrap: how often each unit of a split (a user, or a row) is in each resample.

Poisson(1) counts stand for drawing with replacement as many units as there are (Hanley & MacGibbon,
Computer Methods and Programs in Biomedicine 2006; Chamandy et al., Google 2012). A count is a
function of split, unit and resample alone, by a hash: nothing is held, pieces may come in any
order, and every model, on any machine and in any run, is measured on the same resamples. Only so
are differences between models paired.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats, Ints
from bench.core.seeds import derive, mixed
from bench.core.system.intrinsics import jit
from bench.measure.spaces import Labelled

Counts = NDArray[np.uint8]
Units = NDArray[np.uint64]

LEAST_UNITS = 30
"""Units from which on resamples show how far values move."""
_A_HASH = 4
"""Counts drawn from one 64-bit hash, 16 bits each."""
_TOGETHER = 8
"""Resamples whose counts of all rows are held at once, a multiple of `_A_HASH`."""
_mixed = jit()(mixed)


def _table() -> Counts:
    """16 random bits -> a Poisson(1) count, by the inverse of the distribution function."""
    midpoints = (np.arange(1 << 16) + 0.5) / (1 << 16)
    factorials = np.cumprod(np.maximum(np.arange(12.0), 1))
    distribution = np.cumsum(np.exp(-1) / factorials)
    return np.searchsorted(distribution, midpoints).astype(np.uint8)


_TABLE = _table()


def units_of(group: NDArray[np.integer], first: int | Ints) -> Units:
    """What is resampled: (N,) units where there are some, such as users, else rows by their place
    in the split.

    Args:
        group: (N,), the card's units, by default its groups; negative where a row has none.
        first: place of the first of these rows; or of each, (N,).
    """
    rows = first
    if isinstance(rows, int):
        rows = np.arange(rows, rows + len(group))
    of_group = group.astype(np.uint64) | np.uint64(1 << 40)
    units: Units = np.where(group >= 0, of_group, rows.astype(np.uint64))
    return units


def units_in(rows: Labelled, first: int) -> Units:
    """The same of rows that may have units of their own."""
    if rows.units is None:
        return units_of(rows.group, first)
    return rows.units


def few_units(units: Units, where: str) -> str:
    """A sentence where there are too few units (N,) for intervals to hold; else empty."""
    count = len(np.unique(units))
    if count >= LEAST_UNITS:
        return ""
    return (
        f"{where} has {count} independent units, such as users: "
        f"with fewer than {LEAST_UNITS}, intervals are too narrow."
    )


def counts(units: Units, split: str, resamples: int, first: int = 0) -> Counts:
    """(N, resamples) counts of units in the resamples from `first` on, a multiple of 4."""
    padded = -(-resamples // _A_HASH) * _A_HASH
    counts = np.empty((len(units), padded), np.uint8)
    seed = np.uint64(derive(0, "resamples", split))
    _draw(units, seed, np.uint64(first // _A_HASH), _TABLE, counts)
    return counts[:, :resamples]


def one_by_one(units: Units, split: str, resamples: int) -> Iterator[Floats]:
    """The counts (N,) of units in each resample; a few are drawn at once."""
    for first in range(0, resamples, _TOGETHER):
        together = min(_TOGETHER, resamples - first)
        drawn = counts(units, split, together, first)
        yield from drawn.T.astype(np.float64)


@jit()
def _draw(units: Units, seed: np.uint64, first: np.uint64, table: Counts, out: Counts) -> None:
    # splitmix64 (Steele, Lea & Flood, OOPSLA 2014), of a key mixed from split and unit
    for row in range(len(units)):
        key = _mixed(_mixed(seed) ^ units[row])
        for block in range(out.shape[1] // 4):
            bits = _mixed(key + (first + np.uint64(block + 1)) * np.uint64(0x9E3779B97F4A7C15))
            for part in range(4):
                draw = (bits >> np.uint64(16 * part)) & np.uint64(0xFFFF)
                out[row, 4 * block + part] = table[draw]


ColumnPieces = Iterable[NDArray[np.integer | np.floating]]
PIECE = 1 << 12  # rows whose counts are at hand at once
_HELD = 1 << 28  # bytes of counts


class Resamples:
    """The number of times that each row is in each of `resamples` resamples of a split.

    Args:
        units: (N,), see `bench.measure.resamples`; rows of one unit have the same counts.
    """

    def __init__(self, units: Units, split: str, resamples: int) -> None:
        self.units = units
        self.split = split
        self.resamples = resamples
        distinct, self._first_rows, self._unit_of_row = np.unique(
            units, return_index=True, return_inverse=True
        )
        self._counts: Counts | None = None
        if len(distinct) * resamples <= _HELD:
            self._counts = counts(distinct, split, resamples)

    def of(self, rows: Ints) -> Counts:
        """(n, B)."""
        if self._counts is None:
            return counts(self.units[rows], self.split, self.resamples)
        return self._counts[self._unit_of_row[rows]]

    def sums(self, rows: Ints, columns: ColumnPieces) -> Floats:
        """(B, M): on each resample the sums over rows (n,) of M columns (n,)."""
        units = len(self._first_rows)
        if len(rows) > units:  # add up by unit first, of which there are fewer
            unit_of_row = self._unit_of_row[rows]
            columns = [np.bincount(unit_of_row, column, units) for column in columns]
            rows = self._first_rows
        table = np.stack(list(columns), axis=1)
        sums = np.zeros((table.shape[1], self.resamples))
        for start in range(0, len(rows), PIECE):
            piece = slice(start, start + PIECE)
            add_times(self.of(rows[piece]), table[piece], sums)
        return sums.T

    def unit_count(self, rows: Ints) -> int:
        """How many units rows (n,) belong to."""
        return len(np.unique(self._unit_of_row[rows]))

    def spread(self, rows: Ints) -> float:
        """The variance of the number of rows (n,) on a resample, a row."""
        if not len(rows):
            return 1.0
        sizes = np.bincount(self._unit_of_row[rows]).astype(float)
        return float((sizes**2).sum() / len(rows))


class Once:
    """The rows as they are: one resample that has each once; as `Resamples`."""

    resamples = 1

    def of(self, rows: Ints) -> Counts:
        """(n, 1)."""
        return np.ones((len(rows), 1), np.uint8)

    def sums(self, rows: Ints, columns: ColumnPieces) -> Floats:
        """(1, M)."""
        return np.array([[column.sum() for column in columns]])

    def spread(self, rows: Ints) -> float:
        """0: their number does not vary."""
        return 0.0


def drawn_of(rows: Labelled, split: str, resamples: int) -> Resamples | None:
    """The resamples of rows; None of none."""
    if not resamples:
        return None
    return Resamples(units_in(rows, 0), split, resamples)


@jit()
def add_times(weights: NDArray[np.integer], columns: Floats, out: Floats) -> None:
    """Adds rows' columns (n, M), weighed by each of B resamples (n, B), to sums (M, B)."""
    for row in range(len(weights)):
        for m in range(columns.shape[1]):
            value = columns[row, m]
            if value != 0:
                for b in range(weights.shape[1]):
                    out[m, b] += weights[row, b] * value
