"""A part of a split's rows, for a first look at a model: the same rows in every job."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.store import Split


def part_of(split: Split, rows: int) -> Split:
    """About so many rows of a split, in its order and in memory; the split itself where it has no more.

    Rows of one group are in or out together. Which are in depends on their group, or on their place where they have
    none, and on nothing else: every job of a search sees the same part.
    """
    total = len(split)
    if total <= rows:
        return split
    group = np.asarray(split.group)
    keys = np.where(group >= 0, group.astype(np.int64), -1 - np.arange(total))
    taken = np.flatnonzero(_mixed(keys) < np.uint64(rows / total * 2**63) * np.uint64(2))
    return Split(
        np.ascontiguousarray(split.ids[taken]),
        np.ascontiguousarray(split.dense[taken]),
        np.ascontiguousarray(split.stored_labels[taken]),
        group[taken],
        split.columns,
    )


def _mixed(keys: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Numbers that look random, one for each key (splitmix64; Steele, Lea, Flood, OOPSLA 2014)."""
    mixed = keys.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))
