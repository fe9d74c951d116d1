"""Splits whose rows know their number, mapped from files as a store's are."""

import numpy as np
import pytest
import torch

from bench.data.store import ARRAYS, StoredSplit


@pytest.fixture(scope="session")
def mapped():
    """Writes a split into a folder and maps it: row i has the ids (i, i + 1, ...), dense (i, 2 i,
    ...), group i.
    """

    def write(folder, labels, columns=None, slots=2, dense=1, group=None):
        rows = np.arange(len(labels), dtype=np.int32)
        ids = rows[:, None] + np.arange(slots, dtype=np.int32)
        of_row = rows if group is None else group.astype(np.int32)
        values = (rows[:, None] * np.arange(1, dense + 1)).astype(np.float32)
        for name, array in zip(
            ARRAYS, (ids, values, labels.astype(np.float32), of_row), strict=True
        ):
            np.save(folder / f"{name}.npy", array)
        return StoredSplit(
            *(np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS), columns
        )

    return write


@pytest.fixture(scope="session")
def rows_of():
    """The numbers of a batch's rows, after a look that its arrays agree on them."""

    def numbers(batch):
        rows = batch.ids[:, 0]
        assert torch.equal(batch.ids[:, -1], rows + batch.ids.shape[1] - 1)
        if batch.dense.shape[1]:
            assert torch.equal(batch.dense[:, 0], rows.float())
        return rows.numpy()

    return numbers
