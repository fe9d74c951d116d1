"""Histories in a model, against loops over rows and places."""

from itertools import product

import pytest
import torch
from torch import nn

from bench.models.contracts import Sequence
from bench.models.sequence import SEQUENCE

DIM, LENGTH, ROWS = 4, 5, 7


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
