"""One gradient for each distinct row: the compiled way and the torch way, against numpy's unbuffered addition."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.schema import Field, Schema
from bench.training.optimizers.adam import sum_by_row
from bench.training.optimizers.kernels import share

FIELDS = st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 4)), min_size=1, max_size=5)


def draw(fields, size, seed):
    """A schema, ids (B, S) with padding in any column, and gradients (B, S, 3) that add up without rounding."""
    rng = np.random.default_rng(seed)
    schema = Schema(tuple(Field(f"f{i}", cardinality, slots) for i, (cardinality, slots) in enumerate(fields)), (), ())
    columns = []
    for field, offset in zip(schema.fields, schema.offsets, strict=True):
        for _ in range(field.slots):
            ids = offset + (rng.random(size) ** 3 * field.cardinality).astype(np.int64)
            columns.append(np.where(rng.random(size) < 0.1, 0, ids))
    ids = np.stack(columns, axis=1).astype(np.int32)
    return schema, ids, rng.integers(-16, 17, (*ids.shape, 3)).astype(np.float32)


def expected(ids, gradient):
    rows, inverse = np.unique(ids, return_inverse=True)
    sums = np.zeros((len(rows), 3))
    np.add.at(sums, inverse.ravel(), gradient.reshape(-1, 3))
    return {row: tuple(total) for row, total in zip(rows.tolist(), sums, strict=True) if row}


@settings(max_examples=40, deadline=None)
@given(fields=FIELDS, size=st.integers(0, 300), seed=st.integers(0, 10_000), threads=st.integers(1, 4))
def test_compiled(fields, size, seed, threads):
    schema, ids, gradient = draw(fields, size, seed)
    found: dict[int, tuple[float, ...]] = {}
    for part in share(schema, threads):
        rows, sums, count = part.sums(ids.view(np.uint32), gradient)
        mine = {int(row): tuple(total) for row, total in zip(rows[1 : count + 1], sums[1 : count + 1], strict=True)}
        assert len(mine) == count
        assert not found.keys() & mine.keys()
        found |= mine
    assert found == expected(ids, gradient)


@settings(max_examples=40, deadline=None)
@given(fields=FIELDS, size=st.integers(0, 300), seed=st.integers(0, 10_000))
def test_torch(fields, size, seed):
    _, ids, gradient = draw(fields, size, seed)
    rows, sums, live = sum_by_row(torch.from_numpy(ids), torch.from_numpy(gradient))
    assert rows.shape == (ids.size,)
    assert torch.equal(live.squeeze(1), rows != 0)
    living = rows[rows != 0].tolist()
    assert len(set(living)) == len(living)
    assert dict(zip(living, map(tuple, sums[rows != 0].tolist()), strict=True)) == expected(ids, gradient)
