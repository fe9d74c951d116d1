from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from bench.core.schema import Field, Schema, Task
from bench.models.embedding import INITIAL_STD, FieldPooling, FusedEmbedding


def schema_of(*slots: int) -> Schema:
    return Schema(tuple(Field(f"f{i}", 10, n) for i, n in enumerate(slots)), (), (Task("t"),))


def test_padding_is_zero_and_gets_no_gradient():
    table = FusedEmbedding(1000, 8)
    assert not table.weight[0].any()
    assert table.weight[1:].std().item() == pytest.approx(INITIAL_STD, rel=0.05)
    table(torch.tensor([[0, 3, 0], [3, 0, 7]])).sum().backward()
    assert table.weight.grad is not None
    assert sorted(table.weight.grad.any(dim=1).nonzero().flatten().tolist()) == [3, 7]
    torch.testing.assert_close(table.weight.grad[3], torch.full((8,), 2.0))


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_without_gradients_a_compiled_pass_looks_up_the_same_rows(dtype, stored):
    table = FusedEmbedding(1000, 20, 2)
    ids = torch.randint(1000, (40, 7), dtype=dtype)
    for some in (ids, ids.t(), ids[:0], ids[:, :1], ids[3]):
        with torch.no_grad():
            found = table(some, stored)
        assert torch.equal(found, F.embedding(some, table.weight).to(stored))


@pytest.mark.parametrize(("slots", "batch"), [((1, 1, 1), 9), ((3,), 9), ((2, 3), 0), ((1, 4, 1, 2), 9)])
def test_pools_like_a_loop_over_samples_and_fields(slots, batch):
    schema = schema_of(*slots)
    e = torch.randn(batch, schema.slots, 5)
    ids = torch.randint(0, 3, (batch, schema.slots))  # a third is padding
    pooled = FieldPooling(schema)(e, ids)
    assert pooled.shape == (batch, len(slots), 5)
    for sample in range(batch):
        at = 0
        for field, n in enumerate(slots):
            expected = e[sample, at]
            if n > 1:
                kept = [e[sample, slot] for slot in range(at, at + n) if ids[sample, slot] != 0]
                expected = sum(kept) / len(kept) if kept else torch.zeros(5)
            torch.testing.assert_close(pooled[sample, field], expected)
            at += n
