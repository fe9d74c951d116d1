"""A part of a split's rows, for a first look at a model: the same rows in every job."""

from __future__ import annotations

import numpy as np

from bench.data.store import Split
from bench.seeds import mixed


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
    scattered = mixed(keys.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15))
    taken = np.flatnonzero(scattered < np.uint64(rows / total * 2**63) * np.uint64(2))
    return Split(
        np.ascontiguousarray(split.ids[taken]),
        np.ascontiguousarray(split.dense[taken]),
        np.ascontiguousarray(split.stored_labels[taken]),
        group[taken],
        split.columns,
    )
