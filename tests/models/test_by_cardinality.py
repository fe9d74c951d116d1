"""Embeddings whose width follows from how many rows a field has."""

from itertools import combinations, cycle

import pytest
import torch
import torch.nn.functional as F
from model_toys import batch_on, model_on

from bench.core.registry import NoOptions
from bench.core.schema import Field, Schema, Task
from bench.models.config import EmbeddingConfig
from bench.models.contracts import Layout
from bench.models.interactions import INTERACTIONS
from bench.models.sharing import SHARING

TASKS = (Task("click"), Task("buy", parent="click"))
# 6 n^(1/4) is 6, 12, 12.2, 15.9 and 33.7
FIELDS = (Field("flag", 1), Field("tags", 16, slots=2), Field("hour", 17), Field("item", 49), Field("user", 1000))
SCHEMA = Schema(FIELDS, ("age",), TASKS, scenario="hour")
LAYOUT = Layout(SCHEMA, 32, by_cardinality=True)


def model_of(sharing, kind="none", by_cardinality=True, dim=32):
    embedding = EmbeddingConfig(dim=dim, by_cardinality=by_cardinality)
    return model_on(SCHEMA, embedding, sharing=sharing, interaction=kind)


def test_widths_are_powers_of_two_up_to_the_dim():
    assert LAYOUT.widths == (8, 16, 16, 16, 32)
    assert LAYOUT.inputs == 88 + 1
    assert [list(LAYOUT.columns(field))[:1] for field in range(5)] == [[0], [8], [24], [40], [56]]
    assert Layout(SCHEMA, 12, by_cardinality=True).widths == (8, 12, 12, 12, 12)
    assert Layout(SCHEMA, 32).widths == (32,) * 5


@pytest.mark.parametrize(("sharing", "kind"), list(zip(SHARING, cycle(INTERACTIONS), strict=False)))
def test_a_field_uses_its_first_coordinates_alone(sharing, kind):
    model, (ids, dense) = model_of(sharing, kind).double().eval(), batch_on(SCHEMA, 64)
    e = model.embed(ids).requires_grad_()
    (gradient,) = torch.autograd.grad(model.logits(e, ids, dense.double()).square().sum(), e)
    used = gradient.view(64, SCHEMA.slots, model.input_sets, 32).any(dim=2).any(dim=0)  # (S, 32)
    for slot, width in enumerate((8, 16, 16, 16, 16, 32)):
        assert used[slot].tolist() == [at < width for at in range(32)]
    for size in (0, 1):
        assert model(*(part[:size] for part in (ids, dense.double()))).shape == (size, 2)


def test_fm_takes_missing_coordinates_as_zero():
    x = torch.randn(2, 6, LAYOUT.inputs, dtype=torch.float64)
    found = INTERACTIONS["fm"].build(LAYOUT, 2, NoOptions())(x)[..., LAYOUT.inputs :]
    v = [F.pad(x[..., LAYOUT.columns(field)], (0, 32 - width)) for field, width in enumerate(LAYOUT.widths)]
    torch.testing.assert_close(found, torch.stack([v[i] * v[j] for i, j in combinations(range(5), 2)]).sum(0))
