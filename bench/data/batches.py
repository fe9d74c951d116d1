"""Batches by index: one gather a batch for each array, no work per sample in Python.

A split that fits into memory is shuffled as a whole, straight from the store's pages. A larger one
is shuffled by chunks (`bench.data.chunks`) in buffers of bounded size. Whether it fits is decided
by its bytes and `bench.core.system.machine.memory_limit`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from bench.core.system.machine import memory_limit
from bench.data.chunks import (
    AHEAD,
    Batch,
    PassPlan,
    arrays_of,
    grouped_order,
    in_file_order,
    shuffled_by_chunk,
)
from bench.data.npy_files import read_parts, row_bytes
from bench.data.prefetch import ahead
from bench.data.store import StoredSplit

__all__ = ["Batch", "Batches"]

LABEL_BLOCK = 1 << 18
"""Rows of which labels are looked at together where they do not fit into memory."""


class Batches:
    """A split as batches of tensors; `in_memory` says whether it is held as a whole.

    Args:
        split: arrays in memory always fit.
        memory: bytes that its samples may take; by default `memory_limit()`.
        grouped: whether batches have their rows' groups, and shuffled ones hold whole groups, see
            `grouped_order`; beyond memory, a group's rows of one window.
    """

    def __init__(
        self, split: StoredSplit, memory: int | None = None, grouped: bool = False
    ) -> None:
        self._split, self._grouped = split, grouped
        self._memory = memory_limit() if memory is None else memory
        self._mapped = isinstance(split.stored_ids, np.memmap)
        arrays = arrays_of(split, grouped) if self._mapped else {}
        self._row_bytes = sum(map(row_bytes, arrays.values()))
        self.in_memory = len(split) * self._row_bytes <= self._memory

    def __len__(self) -> int:
        return len(self._split)

    @cached_property
    def _whole(self) -> Batch:
        """All rows, over the store's pages; ids as stored, labels and bounds of a view of fewer
        tasks are copies.
        """
        split = self._split
        arrays = arrays_of(split, self._grouped) | {"labels": split.labels}
        if split.bounds is not None:
            arrays["bounds"] = split.bounds
        with warnings.catch_warnings():  # read-only maps are fine: nothing here writes to them
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            return Batch(**{name: torch.from_numpy(array) for name, array in arrays.items()})

    def in_order(self, size: int) -> Iterator[Batch]:
        """The whole split, in order; the last batch may be smaller. Pages of a store do not stay
        mapped.
        """
        batches = in_file_order(self._split, size, self._grouped)
        return ahead(batches, AHEAD) if self._mapped else batches

    def shuffled(self, size: int, seed: int, start: int = 0) -> Iterator[Batch]:
        """The split in an order that depends on the seed alone, and beyond memory on the memory's
        order of size too.

        It begins with batch `start` of the pass; beyond memory the batches before it are read all
        the same. What is left over below one batch sits out this pass (another seed leaves out
        others), so that every step has the same shape and weight; a split smaller than a batch is
        one batch. Raises UserError for too little memory.
        """
        size = min(size, len(self))
        if self.in_memory:
            return self._gathered(size, seed, start)
        plan = PassPlan.within(self._memory, self._row_bytes, size)
        batches = shuffled_by_chunk(self._split, plan, size, seed, self._grouped)
        return ahead(islice(batches, start, None), AHEAD)

    def steps(self, size: int) -> int:
        """Batches in one `shuffled` pass."""
        return max(1, len(self) // size) if len(self) else 0

    def label_means(self, parents: Sequence[int | None]) -> Tensor:
        """Mean label of each task where it is observed and, for a child, where its parent happened;
        (T,) float32.

        Rows count with their weights. 0.5 where there is no such label. Labels beyond memory are
        looked at in blocks.
        """
        total, count = np.zeros(len(parents)), np.zeros(len(parents))
        start = 0
        for labels in self._label_blocks():
            row_weights = self._row_weights(slice(start, start + len(labels)))
            start += len(labels)
            for task, parent in enumerate(parents):
                column = labels[:, task]
                observed = ~column.isnan()
                if parent is not None:
                    observed &= labels[:, parent] == 1
                if row_weights is not None:
                    total[task] += float(column[observed].double() @ row_weights[observed])
                    count[task] += float(row_weights[observed].sum())
                elif observed.any():
                    rows = int(observed.sum())
                    total[task] += column[observed].mean().item() * rows
                    count[task] += rows
        means = np.divide(total, count, out=np.full(len(parents), 0.5), where=count > 0)
        return torch.from_numpy(means.astype(np.float32))

    def _label_blocks(self) -> Iterator[Tensor]:
        if self.in_memory:
            yield self._whole.labels
            return
        for block in read_parts(self._split.stored_labels, LABEL_BLOCK):
            yield torch.from_numpy(self._split.of_view(block))

    def _row_weights(self, rows: slice) -> Tensor | None:
        weights = self._split.weights_of(rows)
        if weights is None:
            return None
        return torch.from_numpy(weights.astype(np.float64).prod(axis=1))

    def _gathered(self, size: int, seed: int, start: int) -> Iterator[Batch]:
        if not size:
            return
        order = shuffled_order(self._split, size, seed, self._grouped)
        for first in range(start * size, len(self) - size + 1, size):
            rows = order[first : first + size]
            yield self._whole.taken(rows, self._split.packing)


def shuffled_order(split: StoredSplit, size: int, seed: int, grouped: bool) -> Tensor:
    """The order (N,) of a pass over a split that is held as a whole."""
    rng = np.random.default_rng(seed)
    order = grouped_order(split.group, size, rng) if grouped else rng.permutation(len(split))
    return torch.from_numpy(order)
