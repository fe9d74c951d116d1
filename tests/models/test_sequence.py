"""Histories in a model, against loops over rows and places."""

from dataclasses import replace
from itertools import cycle, product

import pytest
import torch
from model_toys import model_on
from torch import nn

from bench.core.schema import Field, Schema, Task
from bench.models.contracts import Sequence
from bench.models.sequence import SEQUENCE
from bench.models.sharing import SHARING

DIM, LENGTH, ROWS = 4, 5, 7
PLAIN = Schema((Field("item", 30), Field("tags", 6, 3)), ("x",), (Task("click"), Task("like")), scenario="item")
SCHEMA = replace(PLAIN, fields=(*PLAIN.fields, Field("past_item", 30, LENGTH, of="item")))


def made(kind, sets=2):
    torch.manual_seed(0)
    entry = SEQUENCE[kind]
    module: Sequence = entry.build(DIM, LENGTH, sets, entry.config())
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module


def drawn(sets=2):
    """Embeddings and places; one history is empty, one full."""
    torch.manual_seed(1)
    there = torch.arange(LENGTH) < torch.tensor([0, LENGTH, 1, 2, 2, 1, 4]).unsqueeze(1)
    return torch.randn(sets, ROWS, 1 + LENGTH, DIM), there


def mean(module, t, past, at):
    return torch.stack(past).mean(0)


def din(module, t, past, at):
    first, second = module.first, module.second
    total = torch.zeros(DIM)
    for h in past:
        hidden = first.weight[at] @ torch.cat([h, t, h - t, h * t]) + first.bias[at]
        total = total + (second.weight[at] @ hidden.relu() + second.bias[at]) * h
    return total


TWINS = {"mean": mean, "din": din}


@pytest.mark.parametrize("kind", TWINS)
def test_equals_a_loop(kind):
    module, (x, there) = made(kind), drawn()
    found = module(x, there)
    for at, row in product(range(2), range(ROWS)):
        past = [x[at, row, 1 + place] for place in range(LENGTH) if there[row, place]]
        expected = TWINS[kind](module, x[at, row, 0], past, at) if past else torch.zeros(DIM)
        torch.testing.assert_close(found[at, row], expected, atol=1e-5, rtol=1e-5)


def test_packed_and_padded_agree(monkeypatch):
    """Values and gradients."""
    found = []
    for compiling in (False, True):
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda compiling=compiling: compiling)
        module, (x, there) = made("din").double(), drawn()
        x = x.double().requires_grad_()
        y = module(x, there)
        y.square().sum().backward()
        found.append([y, x.grad, *(parameter.grad for parameter in module.parameters())])
    torch.testing.assert_close(found[0], found[1])


def model(kind, sharing="shared_bottom", schema=SCHEMA):
    torch.manual_seed(0)
    return model_on(schema, sharing=sharing, sequence=kind)


@pytest.mark.parametrize(("kind", "sharing"), list(zip(cycle(SEQUENCE), SHARING, strict=False)))
def test_every_sharing_takes_every_kind(kind, sharing):
    """All parameters have gradients; values beyond a history's end change nothing; rows are the field's own."""
    net = model(kind, sharing)
    ids = torch.tensor([[3, 31, 0, 0, 4, 5, 0, 0, 0], [4, 32, 33, 0, 0, 0, 0, 0, 0]], dtype=torch.int32)
    logits = net(ids, torch.ones(2, 1))
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    assert net(ids[:0], torch.ones(0, 1)).shape == (0, 2)
    assert SCHEMA.rows == PLAIN.rows == len(net.embedding.weight)
    assert SCHEMA.offsets[2] == SCHEMA.offsets[0]
    assert net.embedding.weight.grad[5].abs().sum() > 0  # met in a history alone
