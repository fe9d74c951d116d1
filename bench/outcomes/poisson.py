"""How often each unit of a split (a user, or a row) is in each resample: the Poisson bootstrap.

Poisson(1) counts stand for drawing with replacement as many units as there are (Hanley & MacGibbon, Computer Methods
and Programs in Biomedicine 2006; Chamandy et al., Google 2012). A count is a function of split, unit and resample
alone, by a hash: nothing is held, pieces may come in any order, and every model, on any machine and in any run, is
measured on the same resamples. Only so are differences between models paired.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.seeds import derive

Counts = NDArray[np.uint8]

_A_HASH = 4
"""Counts drawn from one 64-bit hash, 16 bits each."""


def _table() -> Counts:
    """16 random bits -> a Poisson(1) count, by the inverse of the distribution function."""
    at = (np.arange(1 << 16) + 0.5) / (1 << 16)
    chances = np.exp(-1) / np.cumprod(np.maximum(np.arange(12.0), 1))
    return np.searchsorted(np.cumsum(chances), at).astype(np.uint8)


_TABLE = _table()


def units_of(group: NDArray[Any], first: int) -> NDArray[np.uint64]:
    """What is resampled: (N,) users where there are some, else rows by their place in the split.

    Args:
        group: (N,), negative where a row has none.
        first: place of the first of these rows.
    """
    rows = np.arange(first, first + len(group), dtype=np.uint64)
    grouped: NDArray[np.uint64] = np.where(group >= 0, group.astype(np.uint64) | np.uint64(1 << 40), rows)
    return grouped


def counts(units: NDArray[np.uint64], split: str, resamples: int, first: int = 0) -> Counts:
    """(N, resamples) counts of units in the resamples from `first` on, a multiple of 4."""
    padded = -(-resamples // _A_HASH) * _A_HASH
    found = np.empty((len(units), padded), np.uint8)
    _draw(units, np.uint64(derive(0, "resamples", split)), np.uint64(first // _A_HASH), _TABLE, found)
    return found[:, :resamples]


@njit(cache=True, nogil=True)
def _draw(
    units: NDArray[np.uint64], seed: np.uint64, first: np.uint64, table: Counts, found: Counts
) -> None:  # splitmix64 (Steele, Lea & Flood, OOPSLA 2014), of a key mixed from split and unit
    for row in range(len(units)):
        key = _mixed(_mixed(seed) ^ units[row])
        for block in range(found.shape[1] // 4):
            bits = _mixed(key + (first + np.uint64(block + 1)) * np.uint64(0x9E3779B97F4A7C15))
            for part in range(4):
                found[row, 4 * block + part] = table[(bits >> np.uint64(16 * part)) & np.uint64(0xFFFF)]


@njit(cache=True, nogil=True)
def _mixed(bits: np.uint64) -> np.uint64:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
