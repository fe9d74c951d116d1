"""The rows that boosted trees learn from: as many as the memory allowed holds, drawn by the seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.batches import Batches
from bench.data.store import Split
from bench.machine import memory_limit

MOST_TRAIN, MOST_VALID = 1_000_000, 250_000
"""Rows of train to learn from, and of validation to stop by, where memory holds more."""
A_CELL = 24
"""Bytes for each row and column while trees are trained: 4 for the column as it is made; beside it scikit-learn takes
11 for a number and 17 for a category at its peak, and 22 for a category where its rows are predicted."""
A_ROW = 80
"""Bytes for each row beside them: label, fold, gradients, predictions, its place among the leaves."""
PIECE = 1 << 14
"""Rows of a split that are predicted at once, if memory allows."""


@dataclass(frozen=True)
class Rows:
    """Rows in memory: ids (N, S) int32, dense (N, D), one task's labels (N,) without NaN, weights (N,) or None."""

    ids: NDArray[np.int32]
    dense: NDArray[np.float32]
    labels: NDArray[np.float32]
    weights: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Share:
    """How many rows fit: of train and of validation while trees are trained, and of a split while it is predicted."""

    train: int
    valid: int
    piece: int

    @classmethod
    def of(cls, split: Split, columns: int, memory: int | None = None) -> Share:
        """For `columns` columns: three quarters of the memory for train, the rest for validation beside it.

        Args:
            memory: bytes allowed; by default `memory_limit()`.
        """
        row = split.ids.shape[1] * 4 + split.dense.shape[1] * 4 + columns * A_CELL + A_ROW
        fit = (memory_limit() if memory is None else memory) // row
        return cls(
            train=max(1, min(MOST_TRAIN, fit * 3 // 4)),
            valid=max(1, min(MOST_VALID, fit // 4)),
            piece=max(256, min(PIECE, fit // 4)),
        )


def draw(split: Split, at: int, parent: int | None, most: int, seed: int) -> Rows:
    """At most `most` of the rows that have a label of a task, and whose parent happened; in the split's order.

    The split is read in pieces, twice where not all of it is taken. Each set of rows is as likely as any other.
    """
    rng = np.random.default_rng(seed)
    total = len(split)
    if total > most:
        total = sum(int(counts.sum()) for _, counts in _pieces(split, at, parent))
    left, whole = min(most, total), total <= most
    none = None if split.weights is None else np.empty(0, np.float32)
    found = [Rows(np.asarray(split.ids[:0]), np.asarray(split.dense[:0]), np.empty(0, np.float32), none)]
    for arrays, counts in _pieces(split, at, parent):
        rows = np.flatnonzero(counts)
        if not whole:
            many = int(rng.hypergeometric(len(rows), total - len(rows), left)) if left else 0
            total, left = total - len(rows), left - many
            rows = np.sort(rng.choice(rows, many, replace=False))
        weights = None if arrays.weights is None else arrays.weights[rows]
        found.append(Rows(arrays.ids[rows], arrays.dense[rows], arrays.labels[rows], weights))
    return Rows(
        np.concatenate([each.ids for each in found]),
        np.concatenate([each.dense for each in found]),
        np.concatenate([each.labels for each in found]),
        None if none is None else np.concatenate([each.weights for each in found if each.weights is not None]),
    )


def _pieces(split: Split, at: int, parent: int | None) -> Iterator[tuple[Rows, NDArray[np.bool_]]]:
    """Rows with all labels of the task, and which of them count."""
    for batch in Batches(split).in_order(PIECE):
        labels = batch.labels.numpy()
        counts = ~np.isnan(labels[:, at])
        if parent is not None:
            counts &= labels[:, parent] == 1
        weights = None if batch.weights is None else batch.weights.numpy().prod(axis=1)
        if weights is not None:
            counts &= weights > 0
        yield Rows(batch.ids.numpy(), batch.dense.numpy(), labels[:, at], weights), counts
