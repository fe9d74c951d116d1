"""Splits whose rows know their number, mapped from files as a store's are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.data.batches import Batch
from bench.data.store import ARRAYS, Split


@pytest.fixture(scope="session")
def mapped() -> Callable[..., Split]:
    """Writes a split into a folder and maps it: row i has the ids (i, i + 1, ...), dense (i, 2 i, ...), group i."""

    def write(
        folder: Path,
        labels: np.ndarray,
        columns: tuple[int, ...] | None = None,
        slots: int = 2,
        dense: int = 1,
        group: np.ndarray | None = None,
    ) -> Split:
        rows = np.arange(len(labels), dtype=np.int32)
        ids = rows[:, None] + np.arange(slots, dtype=np.int32)
        of_row = rows if group is None else group.astype(np.int32)
        values = (rows[:, None] * np.arange(1, dense + 1)).astype(np.float32)
        for name, array in zip(ARRAYS, (ids, values, labels.astype(np.float32), of_row), strict=True):
            np.save(folder / f"{name}.npy", array)
        return Split(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS), columns)

    return write


@pytest.fixture(scope="session")
def rows_of() -> Callable[[Batch], np.ndarray]:
    """The numbers of a batch's rows, after a look that its arrays agree on them."""

    def numbers(batch: Batch) -> np.ndarray:
        rows = batch.ids[:, 0]
        assert torch.equal(batch.ids[:, -1], rows + batch.ids.shape[1] - 1)
        if batch.dense.shape[1]:
            assert torch.equal(batch.dense[:, 0], rows.float())
        return rows.numpy()

    return numbers
