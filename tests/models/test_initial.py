"""Initial weights of models that share a seed."""

from __future__ import annotations

import pytest
import torch

from bench.core.schema import Field, Schema, Task
from bench.models.assembly import MultiTaskModel
from bench.training.config import TrialConfig
from bench.training.step import build_model

SCHEMA = Schema((Field("user", 50), Field("item", 5000)), ("age",), (Task("click"), Task("like")))


def made(seed: int = 3, **changes: object) -> MultiTaskModel:
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
def test_they_agree_where_name_and_shape_do(changes: dict[str, object]) -> None:
    one, other = dict(made().named_parameters()), dict(made(**changes).named_parameters())
    assert {(name, value.shape) for name, value in one.items()} != {(name, v.shape) for name, v in other.items()}
    same = [name for name, value in one.items() if name in other and other[name].shape == value.shape]
    assert "embedding.weight" in same
    assert any(name.startswith("towers") for name in same)
    for name in same:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=0)


def test_a_wider_table_and_one_of_more_input_sets_go_on_where_the_other_ends() -> None:
    table = made().embedding.weight
    assert torch.equal(made(embedding__dim=6).embedding.weight[:, :4], table)
    assert torch.equal(made(sharing__kind="shared_embeddings").embedding.weight[:, :4], table)
    assert torch.equal(made(sharing__kind="single_task").embedding.weight[:, :4], table)


def test_more_experts_leave_the_first_ones_alone() -> None:
    few, many = (made(sharing__mmoe__experts=count).state_dict() for count in (3, 5))
    name = next(name for name, value in few.items() if value.shape[:1] == (3,) and value.dim() == 3)
    assert torch.equal(many[name][:3], few[name])


def test_another_seed_and_another_name_draw_other_values_of_the_same_distribution() -> None:
    model, other = made(), made(seed=4)
    for (name, one), two in zip(model.named_parameters(), other.parameters(), strict=True):
        if one.dim() > 1 and not name.endswith("bias"):
            assert not torch.equal(one, two)
    tables = [model.embedding.weight[1:], other.embedding.weight[1:]]
    for table in tables:
        torch.testing.assert_close(table.std(0), torch.full((4,), 0.01), rtol=0.05, atol=0)
        assert torch.corrcoef(table.T).fill_diagonal_(0).abs().max() < 0.06
        assert (table / 0.01).pow(4).mean().item() == pytest.approx(3, rel=0.1)  # normal
    weight = model.towers.hidden.linears[0].weight
    bound = (6 / weight.shape[2]) ** 0.5
    assert weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
