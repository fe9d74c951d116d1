"""Stored ids come back as they were, by every way to a batch."""

import numpy as np
import pytest
import torch

from bench.core.schema import Field, Schema
from bench.data.batches import Batches
from bench.data.npy_files import ArrayWriter
from bench.data.packing import MOST_NARROW, Packing
from bench.data.store import ARRAYS, StoredSplit, part_of
from bench.models.training.device import CopyingFeed, ResidentFeed

ROWS = 4000
FIELDS = (
    Field("wide", 3 * MOST_NARROW),
    Field("widest of the narrow", MOST_NARROW, 3),
    Field("narrowest of the wide", MOST_NARROW + 1, 2),
    Field("small", 4),
    Field("past", MOST_NARROW, 2, of="widest of the narrow"),
    Field("one", 1),
)
SCHEMA = Schema(FIELDS, (), ())
PACKING = Packing.of(SCHEMA)


@pytest.fixture
def ids():
    """Padding, the first and the last row of each field, and rows between."""
    rng = np.random.default_rng(0)
    fields = [
        (field, offset)
        for field, offset in zip(FIELDS, SCHEMA.offsets, strict=True)
        for _ in range(field.slots)
    ]
    columns = np.stack(
        [offset + rng.integers(0, field.cardinality, ROWS) for field, offset in fields], axis=1
    ).astype(np.int32)
    columns[rng.random(columns.shape) < 0.2] = 0
    columns[0] = [offset for _, offset in fields]
    columns[1] = [offset + field.cardinality - 1 for field, offset in fields]
    return columns


@pytest.fixture
def split(ids, tmp_path):
    """Mapped; row i has the dense number 2 i, the labels -i and i, the weight i, and group i //
    7.
    """
    rows = np.arange(ROWS, dtype=np.int32)
    values = rows[:, None].astype(np.float32)
    arrays = {
        **dict(
            zip(
                ARRAYS,
                (PACKING.packed(ids), 2 * values, np.hstack([values, -values]), rows // 7),
                strict=True,
            )
        )
    }
    for name, array in (arrays | {"weights": values}).items():
        np.save(tmp_path / f"{name}.npy", array)
    arrays = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in (*ARRAYS, "weights")]
    return StoredSplit(*arrays[:4], columns=(1, 0), weights=arrays[4], packing=PACKING)


def test_a_field_of_few_rows_takes_16_bits(ids, split):
    assert split.stored_ids.dtype == np.uint16
    assert split.stored_ids.shape == (ROWS, SCHEMA.slots + 3) == (ROWS, PACKING.words)
    np.testing.assert_array_equal(split.ids, ids)
    np.testing.assert_array_equal(split.ids_of(slice(7, 9)), ids[7:9])
    part = part_of(split, 100)
    np.testing.assert_array_equal(part.ids, ids[part.labels[:, 1].astype(int)])
    with pytest.raises(IndexError):
        PACKING.unpacked(split.stored_ids, np.array([ROWS]))


@pytest.mark.parametrize("grouped", [False, True])
def test_each_way_to_a_batch_gives_whole_rows_once_and_can_begin_in_the_middle(ids, split, grouped):
    """Of a view of tasks: held in memory, beyond it, on a device, or copied to it."""
    device = torch.device("cpu")
    whole = Batches(split, grouped=grouped)
    beyond = Batches(split, 150_000, grouped)
    assert whole.in_memory
    assert not beyond.in_memory
    orders = []
    for feed in (whole, ResidentFeed(split, device, grouped), CopyingFeed(whole, device), beyond):
        shuffled, in_order = list(feed.shuffled(32, 5)), list(feed.in_order(32))
        for batch in (*shuffled, *in_order):
            rows = batch.labels[:, 1].int().numpy()
            np.testing.assert_array_equal(batch.ids, ids[rows])
            assert batch.ids.dtype == torch.int32
            np.testing.assert_array_equal(batch.dense[:, 0], 2 * rows)
            np.testing.assert_array_equal(batch.labels[:, 0], -rows)
            np.testing.assert_array_equal(batch.weights[:, 0], rows)
            assert not grouped or batch.group.tolist() == (rows // 7).tolist()
        orders.append(torch.cat([batch.labels[:, 1] for batch in shuffled]).tolist())
        assert len({*orders[-1]}) == len(orders[-1]) == ROWS
        assert torch.cat([batch.labels[:, 1] for batch in in_order]).tolist() == list(range(ROWS))
        rest = [batch.labels[:, 1].tolist() for batch in feed.shuffled(32, 5, start=100)]
        assert rest == [batch.labels[:, 1].tolist() for batch in shuffled[100:]]
    assert orders[0] == orders[1] == orders[2] != orders[3]


@pytest.mark.parametrize(("dtype", "row"), [(np.float32, (3,)), (np.int32, ()), (np.int32, (0,))])
@pytest.mark.parametrize("sizes", [[], [0], [5], [1, 0, 120_000]])
def test_the_bytes_are_those_of_numpy_save(tmp_path, dtype, row, sizes, rng):
    parts = [(rng.random((size, *row)) * 100).astype(dtype) for size in sizes]
    with ArrayWriter(tmp_path / "parts.npy", dtype, row) as writer:
        for part in parts:
            writer.append(part)
    np.save(tmp_path / "whole.npy", np.concatenate([np.empty((0, *row), dtype), *parts]))
    assert (tmp_path / "parts.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
