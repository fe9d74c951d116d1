"""Batches by index: one gather a batch for each array, no work per sample in Python."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.data.store import Split


class Batch(NamedTuple):
    """Rows of a split: ids (B, S) int32, dense (B, D), labels (B, T)."""

    ids: Tensor
    dense: Tensor
    labels: Tensor


class Batches:
    """A split as tensors that share the store's pages."""

    def __init__(self, split: Split) -> None:
        self.ids = _tensor(split.ids)
        self.dense = _tensor(split.dense)
        self.labels = _tensor(split.labels)

    def __len__(self) -> int:
        return len(self.labels)

    def in_order(self, size: int) -> Iterator[Batch]:
        """The whole split, in order; the last batch may be smaller. No copy is made."""
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            yield Batch(self.ids[part], self.dense[part], self.labels[part])

    def shuffled(self, size: int, seed: int) -> Iterator[Batch]:
        """The split in an order that depends on the seed alone.

        What is left over below one batch sits out this pass (another seed leaves out others), so that every step has
        the same shape and weight; a split smaller than a batch is one batch.
        """
        order = torch.from_numpy(np.random.default_rng(seed).permutation(len(self)))
        size = min(size, len(self))
        for start in range(0, len(self) - size + 1, size):
            rows = order[start : start + size]
            yield Batch(
                self.ids.index_select(0, rows), self.dense.index_select(0, rows), self.labels.index_select(0, rows)
            )

    def steps(self, size: int) -> int:
        """Batches in one `shuffled` pass."""
        return max(1, len(self) // size) if len(self) else 0


def _tensor(array: np.ndarray) -> Tensor:
    """A tensor over the same memory. Read-only maps are fine: nothing here writes to it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)
