"""A small schema with a multi-valued field, and batches whose sums are exact in single precision."""

import numpy as np
import pytest
import torch

from bench.core.schema import Field, Schema

WIDTH = 5


@pytest.fixture(scope="session")
def schema():
    return Schema(
        (Field("user", 9), Field("tags", 5, slots=3), Field("item", 30), Field("past", 30, 2, of="item")), (), ()
    )


@pytest.fixture(scope="session")
def table(schema):
    """Makes the same weight each time: (R, WIDTH), its padding zero."""

    def make():
        weight = torch.tensor(np.random.default_rng(0).normal(size=(schema.rows, WIDTH)), dtype=torch.float32)
        weight[0] = 0
        return weight

    return make


@pytest.fixture(scope="session")
def batch(schema):
    """Makes ids with many repeats and some padding, and gradients that are multiples of 1/8.

    Such gradients add up without rounding, in whatever order.
    """

    def make(seed, size=40):
        rng = np.random.default_rng(seed)
        columns = []
        for field, offset in zip(schema.fields, schema.offsets, strict=True):
            for slot in range(field.slots):
                ids = offset + rng.integers(0, field.cardinality, size)
                columns.append(np.where(rng.random(size) < 0.4, 0, ids) if slot else ids)
        gradient = rng.integers(-16, 17, (size, schema.slots, WIDTH)) / 8
        return (torch.tensor(np.stack(columns, axis=1), dtype=torch.int32), torch.tensor(gradient, dtype=torch.float32))

    return make
