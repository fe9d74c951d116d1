"""Stored ids come back as they were, by every way to a batch."""

import numpy as np
import pytest
import torch

from bench.core.schema import Field, Schema
from bench.data.arrays import ArrayWriter
from bench.data.batches import Batches
from bench.data.packing import MOST, Packing
from bench.data.store import ARRAYS, Split, part_of
from bench.training.device import ResidentFeed

ROWS = 4000
FIELDS = (
    Field("wide", 3 * MOST),
    Field("widest of the narrow", MOST, 3),
    Field("narrowest of the wide", MOST + 1, 2),
    Field("small", 4),
    Field("past", MOST, 2, of="widest of the narrow"),
    Field("one", 1),
)
SCHEMA = Schema(FIELDS, (), ())
PACKING = Packing.of(SCHEMA)


@pytest.fixture
def ids():
    """Padding, the first and the last row of each field, and rows between."""
    rng = np.random.default_rng(0)
    fields = [(field, at) for field, at in zip(FIELDS, SCHEMA.offsets, strict=True) for _ in range(field.slots)]
    found = np.stack([at + rng.integers(0, field.cardinality, ROWS) for field, at in fields], axis=1).astype(np.int32)
    found[rng.random(found.shape) < 0.2] = 0
    found[0] = [at for _, at in fields]
    found[1] = [at + field.cardinality - 1 for field, at in fields]
    return found


@pytest.fixture
def split(ids, tmp_path):
    """Mapped, with the number of each row as its label."""
    rows = np.arange(ROWS, dtype=np.int32)
    arrays = (PACKING.packed(ids), rows[:, None][:, :0].astype(np.float32), rows[:, None].astype(np.float32), rows // 7)
    for name, array in zip(ARRAYS, arrays, strict=True):
        np.save(tmp_path / f"{name}.npy", array)
    return Split(*(np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ARRAYS), packing=PACKING)


def test_a_field_of_few_rows_takes_16_bits(ids, split):
    assert split.stored_ids.dtype == np.uint16
    assert split.stored_ids.shape == (ROWS, SCHEMA.slots + 3) == (ROWS, PACKING.words)
    np.testing.assert_array_equal(split.ids, ids)
    np.testing.assert_array_equal(split.ids_of(slice(7, 9)), ids[7:9])
    part = part_of(split, 100)
    np.testing.assert_array_equal(part.ids, ids[part.labels[:, 0].astype(int)])
    with pytest.raises(IndexError):
        PACKING.unpacked(split.stored_ids, np.array([ROWS]))


@pytest.mark.parametrize("grouped", [False, True])
def test_each_way_to_a_batch_gives_rows_of_the_table(ids, split, grouped):
    held, beyond = Batches(split, grouped=grouped), Batches(split, 100_000, grouped)
    assert held.in_memory
    assert not beyond.in_memory
    for feed in (held, beyond, ResidentFeed(split, torch.device("cpu"), grouped)):
        for batches in (feed.shuffled(32, 0), feed.in_order(32)):
            for batch in batches:
                assert batch.ids.dtype == torch.int32
                np.testing.assert_array_equal(batch.ids, ids[batch.labels[:, 0].int()])


@pytest.mark.parametrize(("dtype", "row"), [(np.float32, (3,)), (np.int32, ()), (np.int32, (0,))])
@pytest.mark.parametrize("sizes", [[], [0], [5], [1, 0, 120_000]])
def test_the_bytes_are_those_of_numpy_save(tmp_path, dtype, row, sizes):
    rng = np.random.default_rng(0)
    parts = [(rng.random((size, *row)) * 100).astype(dtype) for size in sizes]
    with ArrayWriter(tmp_path / "parts.npy", dtype, row) as writer:
        for part in parts:
            writer.append(part)
    np.save(tmp_path / "whole.npy", np.concatenate([np.empty((0, *row), dtype), *parts]))
    assert (tmp_path / "parts.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
