"""Initial weights of models that share a seed."""

import pytest
import torch

from bench.core.schema import Field, Schema, Task
from bench.training.config import TrialConfig
from bench.training.step import build_model

SCHEMA = Schema((Field("user", 50), Field("item", 5000)), ("age",), (Task("click"), Task("like")))


def made(seed=3, **changes):
    config = {"sharing.kind": "mmoe", "embedding.dim": 4} | {key.replace("__", "."): v for key, v in changes.items()}
    torch.manual_seed(seed)
    return build_model(SCHEMA, TrialConfig.parse(config))


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
    one, other = dict(made().named_parameters()), dict(made(**changes).named_parameters())
    assert {(name, value.shape) for name, value in one.items()} != {(name, v.shape) for name, v in other.items()}
    same = [name for name, value in one.items() if name in other and other[name].shape == value.shape]
    assert "embedding.weight" in same
    assert any(name.startswith("towers") for name in same)
    for name in same:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=0)


def test_another_seed_draws_other_values_and_columns_of_the_table_are_unlike():
    model, other = made(), made(seed=4)
    for (name, one), two in zip(model.named_parameters(), other.parameters(), strict=True):
        if one.dim() > 1 and not name.endswith("bias"):
            assert not torch.equal(one, two)
    table = model.embedding.weight[1:]
    assert torch.corrcoef(table.T).fill_diagonal_(0).abs().max() < 0.06
    assert (table / 0.01).pow(4).mean().item() == pytest.approx(3, rel=0.1)  # normal
