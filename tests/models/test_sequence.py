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


def mean(module, t, past, copy):
    return torch.stack(past).mean(0)


def din(module, t, past, copy):
    first, second = module.first, module.second
    total = torch.zeros(DIM)
    for h in past:
        hidden = first.weight[copy] @ torch.cat([h, t, h - t, h * t]) + first.bias[copy]
        total = total + (second.weight[copy] @ hidden.relu() + second.bias[copy]) * h
    return total


TWINS = {"mean": mean, "din": din}


@pytest.mark.parametrize("kind", TWINS)
def test_equals_a_loop(kind):
    module, (x, there) = made(kind), drawn()
    outputs = module(x, there)
    for copy, row in product(range(2), range(ROWS)):
        past = [x[copy, row, 1 + place] for place in range(LENGTH) if there[row, place]]
        expected = TWINS[kind](module, x[copy, row, 0], past, copy) if past else torch.zeros(DIM)
        torch.testing.assert_close(outputs[copy, row], expected, atol=1e-5, rtol=1e-5)


def test_packed_and_padded_agree(monkeypatch):
    """Values and gradients."""
    results = []
    for compiling in (False, True):
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda compiling=compiling: compiling)
        module, (x, there) = made("din").double(), drawn()
        x = x.double().requires_grad_()
        y = module(x, there)
        y.square().sum().backward()
        results.append([y, x.grad, *(parameter.grad for parameter in module.parameters())])
    torch.testing.assert_close(results[0], results[1])
