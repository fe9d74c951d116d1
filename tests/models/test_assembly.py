from __future__ import annotations

import math

import pytest
import torch
from model_toys import batch_on, model_on

from bench.core.schema import Field, Schema, Task
from bench.models.assembly import MultiTaskModel, parameter_count
from bench.models.sharing import SHARING

TASKS = (Task("click"), Task("buy", parent="click"), Task("watch", "regression"))
SCHEMA = Schema(
    (Field("user", 30), Field("tags", 10, slots=3), Field("item", 20)), ("age", "price"), TASKS, scenario="item"
)


def model_of(sharing: str = "mmoe", funnel: str = "entire_space", schema: Schema = SCHEMA) -> MultiTaskModel:
    return model_on(schema, sharing=sharing, funnel=funnel)


@pytest.mark.parametrize("sharing", SHARING)
def test_the_table_is_reached_through_its_output_alone(sharing):
    """The gradient at e, scattered by id, is the table's gradient: what a touched-row optimizer relies on."""
    model, (ids, dense) = model_of(sharing).eval(), batch_on(SCHEMA, 16)
    model(ids, dense).square().sum().backward()
    whole = model.embedding.weight.grad
    assert whole is not None
    e = model.embed(ids).detach().requires_grad_()
    model.embedding.weight.grad = None
    model.logits(e, ids, dense).square().sum().backward()
    assert model.embedding.weight.grad is None
    assert e.grad is not None
    scattered = torch.zeros_like(whole).index_add_(0, ids.long().flatten(), e.grad.flatten(0, 1))
    torch.testing.assert_close(scattered[1:], whole[1:])
    assert not whole[0].any()


def test_parameters_are_the_table_and_the_dense_ones():
    for sharing in SHARING:
        model = model_of(sharing)
        dense = list(model.dense_parameters())
        assert {id(p) for p in model.parameters()} == {id(p) for p in dense} | {id(model.embedding.weight)}
        assert {id(p) for p in model.shared_parameters()} <= {id(p) for p in dense}
        assert parameter_count(model) == sum(p.numel() for p in dense) + model.embedding.weight.numel()


def test_single_tasks_do_not_touch_each_others_embeddings():
    model, (ids, dense) = model_of("single_task", "independent"), batch_on(SCHEMA, 32)
    assert model.embedding.weight.shape == (SCHEMA.rows, 3 * 4)
    e = model.embed(ids).detach().requires_grad_()
    logits = model.logits(e, ids, dense)
    for task in range(3):
        (gradient,) = torch.autograd.grad(logits[:, task].sum(), e, retain_graph=True)
        used = gradient.view(32, SCHEMA.slots, 3, 4).flatten(0, 1).transpose(0, 1).flatten(1).any(dim=1)
        assert used.tolist() == [other == task for other in range(3)]


@pytest.mark.parametrize("sharing", SHARING)
def test_training_starts_at_the_given_means(sharing):
    model, (ids, dense) = model_of(sharing), batch_on(SCHEMA, 64)
    model.initialise_outputs(torch.tensor([0.05, 0.002, 3.5]))
    bias = model.towers.output.bias.flatten()
    torch.testing.assert_close(bias, torch.tensor([math.log(0.05 / 0.95), math.log(0.002 / 0.998), 3.5]))
    if getattr(SHARING[sharing].config(), "norm", "none") != "none":
        return  # normalised units are of size 1 from the start, and so say something beside the bias
    predicted = model.probabilities(model(ids, dense * 0)).conditional.mean(0)
    torch.testing.assert_close(predicted, torch.tensor([0.05, 0.002, 3.5]), rtol=0.15, atol=1e-3)


@pytest.mark.parametrize("schema", [Schema((), ("a", "b"), TASKS), Schema((Field("u", 5),), (), TASKS)])
def test_dense_columns_alone_or_ids_alone_are_enough(schema):
    for sharing in (kind for kind, entry in SHARING.items() if entry.unfit(schema) is None):
        model = model_of(sharing, schema=schema)
        for size in (0, 1, 5):
            assert model(*batch_on(schema, size)).shape == (size, 3), sharing
