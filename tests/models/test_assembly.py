"""A model put together: its table, its start, its initial weights, how fields are pooled."""

import math

import pytest
import torch
import torch.nn.functional as F
from model_toys import SCHEMA, batch_on, model_on

from bench.core.schema import Field, Schema, Task
from bench.models.embedding import FieldPooling, FusedEmbedding
from bench.models.sharing import SHARING
from bench.models.training.config import TrialConfig
from bench.models.training.step import build_model


def model_of(sharing="mmoe", funnel="entire_space", schema=SCHEMA):
    return model_on(schema, sharing=sharing, funnel=funnel)


@pytest.mark.parametrize("sharing", SHARING)
def test_the_table_is_reached_through_its_output_alone(sharing):
    """The gradient at e, scattered by id, is the table's gradient: what a touched-row optimizer
    relies on.
    """
    model, (ids, dense) = model_of(sharing).eval(), batch_on(SCHEMA, 16)
    model(ids, dense).square().sum().backward()
    whole = model.embedding.weight.grad
    e = model.embed(ids).detach().requires_grad_()
    model.embedding.weight.grad = None
    model.logits(e, ids, dense).square().sum().backward()
    assert model.embedding.weight.grad is None
    scattered = torch.zeros_like(whole).index_add_(0, ids.long().flatten(), e.grad.flatten(0, 1))
    torch.testing.assert_close(scattered[1:], whole[1:])
    assert not whole[0].any()


@pytest.mark.parametrize("sharing", SHARING)
def test_training_starts_at_the_given_means(sharing):
    model, (ids, dense) = model_of(sharing), batch_on(SCHEMA, 64)
    model.initialise_outputs(torch.tensor([0.05, 0.002, 3.5]))
    bias = model.towers.output.bias.flatten()
    torch.testing.assert_close(
        bias, torch.tensor([math.log(0.05 / 0.95), math.log(0.002 / 0.998), 3.5])
    )
    if getattr(SHARING[sharing].config(), "norm", "none") != "none":
        # normalised units are of size 1 from the start, and so say something beside the bias
        return
    predicted = model.probabilities(model(ids, dense * 0)).conditional.mean(0)
    torch.testing.assert_close(predicted, torch.tensor([0.05, 0.002, 3.5]), rtol=0.15, atol=1e-3)


def schema_of(*slots):
    return Schema(tuple(Field(f"f{i}", 10, n) for i, n in enumerate(slots)), (), (Task("t"),))


def test_padding_is_zero_and_gets_no_gradient():
    table = FusedEmbedding(1000, 8)
    assert not table.weight[0].any()
    table(torch.tensor([[0, 3, 0], [3, 0, 7]])).sum().backward()
    assert sorted(table.weight.grad.any(dim=1).nonzero().flatten().tolist()) == [3, 7]
    torch.testing.assert_close(table.weight.grad[3], torch.full((8,), 2.0))


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_without_gradients_a_compiled_pass_looks_up_the_same_rows(dtype, stored):
    table = FusedEmbedding(1000, 20, 2)
    ids = torch.randint(1000, (40, 7), dtype=dtype)
    for some in (ids, ids.t(), ids[:0], ids[:, :1], ids[3]):
        with torch.no_grad():
            rows = table(some, stored)
        assert torch.equal(rows, F.embedding(some, table.weight).to(stored))


@pytest.mark.parametrize(
    ("slots", "batch"), [((1, 1, 1), 9), ((3,), 9), ((2, 3), 0), ((1, 4, 1, 2), 9)]
)
def test_pools_like_a_loop_over_samples_and_fields(slots, batch):
    schema = schema_of(*slots)
    e = torch.randn(batch, schema.slots, 5)
    ids = torch.randint(0, 3, (batch, schema.slots))  # a third is padding
    pooled = FieldPooling(schema)(e, ids)
    assert pooled.shape == (batch, len(slots), 5)
    for sample in range(batch):
        start = 0
        for field, n in enumerate(slots):
            expected = e[sample, start]
            if n > 1:
                present = [
                    e[sample, slot] for slot in range(start, start + n) if ids[sample, slot] != 0
                ]
                expected = sum(present) / len(present) if present else torch.zeros(5)
            torch.testing.assert_close(pooled[sample, field], expected)
            start += n


LARGE = Schema((Field("user", 50), Field("item", 5000)), ("age",), (Task("click"), Task("like")))


def made(seed=3, **changes):
    config = {"sharing.kind": "mmoe", "embedding.dim": 4} | {
        key.replace("__", "."): v for key, v in changes.items()
    }
    torch.manual_seed(seed)
    return build_model(LARGE, TrialConfig.parse(config))


@pytest.mark.parametrize(
    "changes",
    [
        {"sharing__mmoe__experts": 7},
        {"sharing__mmoe__gate_layers": (8,)},
        {"sharing__kind": "shared_bottom"},
        {"interaction__kind": "dcn_v2"},
    ],
)
def test_they_agree_where_name_and_shape_do(changes):
    plain, changed = dict(made().named_parameters()), dict(made(**changes).named_parameters())
    assert {(name, value.shape) for name, value in plain.items()} != {
        (name, v.shape) for name, v in changed.items()
    }
    same = [
        name
        for name, value in plain.items()
        if name in changed and changed[name].shape == value.shape
    ]
    assert "embedding.weight" in same
    assert any(name.startswith("towers") for name in same)
    for name in same:
        torch.testing.assert_close(plain[name], changed[name], rtol=0, atol=0)


def test_another_seed_draws_other_values_and_columns_of_the_table_are_unlike():
    model, second = made(), made(seed=4)
    for (name, one), two in zip(model.named_parameters(), second.parameters(), strict=True):
        if one.dim() > 1 and not name.endswith("bias"):
            assert not torch.equal(one, two)
    table = model.embedding.weight[1:]
    assert torch.corrcoef(table.T).fill_diagonal_(0).abs().max() < 0.06
    assert (table / 0.01).pow(4).mean().item() == pytest.approx(3, rel=0.1)  # normal
