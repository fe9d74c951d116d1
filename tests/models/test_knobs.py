"""Activation, normalisation, gate depth, sparse gates and dropout; defaults take the compiled passes."""

import pytest
import torch
import torch.nn.functional as F

from bench.models import layers
from bench.models.config import ExpertConfig
from bench.models.layers import BatchedLinear, BatchedMLP, Gates, largest, mix, together
from bench.models.sharing import SHARING


@pytest.mark.parametrize("kind", ["single_task", "shared_bottom", "mmoe", "ple"])
def test_defaults_take_the_compiled_passes(kind, monkeypatch):
    entry = SHARING[kind]
    sharing = entry.build(20, 3, entry.config())
    monkeypatch.setattr(layers, "_one_by_one", lambda *_: pytest.fail("the slow path was taken"))
    sharing(torch.randn(sharing.input_sets(3), 4, 20)).sum().backward()


ACTIVATIONS = {"relu": torch.nn.ReLU(), "gelu": torch.nn.GELU(), "silu": torch.nn.SiLU(), "tanh": torch.nn.Tanh()}


KNOBS = [(2, (5, 3), 9, activation, norm) for activation in ACTIVATIONS for norm in ("none", "layer", "rms")]
SHAPES = [((), 7), ((5,), 1), ((8, 4), 0), ((8, 4, 3), 7)]
PLAIN = [(groups, layers, batch, "relu", "none") for groups in (1, 2, 6) for layers, batch in SHAPES]


@pytest.mark.parametrize(("groups", "layers", "batch", "activation", "norm"), [*KNOBS, *PLAIN])
def test_experts_equal_torchs_own_modules(groups, layers, batch, activation, norm):
    """In value and gradient, expert by expert."""
    mlp = BatchedMLP(6, 10, layers, activation=activation, norm=norm).double()
    for parameter in mlp.parameters():  # biases start at zero: make them count
        torch.nn.init.normal_(parameter)
    assert mlp(torch.zeros(2, 0, 10, dtype=torch.float64)).shape == (6, 0, mlp.outputs)
    x = torch.randn(groups, batch, 10, dtype=torch.float64, requires_grad=True)
    found, expected = mlp(x), []
    for expert in range(6):
        h = x[expert * groups // 6]
        for number, linear in enumerate(mlp.layers):
            h = F.linear(h, linear.weight[expert], linear.bias[expert])
            if norm == "layer":
                h = F.layer_norm(h, h.shape[1:], mlp.norms[number].scale[expert], mlp.norms[number].shift[expert])
            elif norm == "rms":
                h = F.rms_norm(h, h.shape[1:], mlp.norms[number].scale[expert], eps=1e-5)
            h = ACTIVATIONS[activation](h)
        expected.append(h)
    torch.testing.assert_close(found, torch.stack(expected))
    wanted, upstream = [x, *mlp.parameters()], torch.randn_like(found)
    gradients = (torch.autograd.grad(out, wanted, upstream) for out in (found, torch.stack(expected)))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(("k", "dtype"), [(1, torch.float32), (2, torch.float64), (4, torch.float32)])
def test_a_sparse_gate_is_a_softmax_over_its_highest_scores(k, dtype):
    scores = torch.randn(3, 7, 5, dtype=dtype, requires_grad=True)
    experts = torch.randn(5, 7, 4, dtype=dtype, requires_grad=True)
    found = mix(largest(scores, k), experts)[0]
    rows = []
    for gate in range(3):
        for sample in range(7):
            values, chosen = scores[gate, sample].sort(descending=True)
            rows.append(values[:k].softmax(0) @ experts[chosen[:k], sample])
    expected = torch.stack(rows).view(3, 7, 4)
    torch.testing.assert_close(found, expected)
    upstream = torch.randn_like(found)
    gradients = (torch.autograd.grad(out, [scores, experts], upstream) for out in (found, expected))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("gate_layers", [(), (6,), (6, 5)])
def test_a_deep_gate_is_a_relu_network(gate_layers):
    gates = Gates(3, 8, 4, ExpertConfig(gate_layers=gate_layers)).double()
    x = torch.randn(1, 7, 8, dtype=torch.float64)
    found = gates(*together(x, [gates.first]))
    for gate in range(3):
        h = x[0]
        for layer in gates.hidden.layers:
            h = F.relu(F.linear(h, layer.weight[gate], layer.bias[gate]))
        torch.testing.assert_close(found[gate], F.linear(h, gates.linear.weight[gate]))


def test_weights_have_the_variance_that_keeps_activations_their_size():
    linear = BatchedLinear(4, 300, 200, gain=2**0.5)
    assert not linear.bias.any()
    for expert in linear.weight:  # each slice as its own layer would be: fan-in 300, not 4 * 300
        assert expert.var().item() == pytest.approx(2 / 300, rel=0.03)
    deep = BatchedMLP(3, 256, [256] * 6)
    power = deep(torch.randn(1, 512, 256)).square().mean(dim=(1, 2))
    assert (power > 0.4).all()
    assert (power < 2.5).all()


@pytest.mark.parametrize(("layers", "whole"), [((400,), 6), ((300, 400), 1801)])
def test_dropout_falls_on_each_expert_apart_and_only_in_training(layers, whole):
    mlp = BatchedMLP(2, 5, layers, dropout=0.25)
    for parameter in mlp.parameters():
        torch.nn.init.ones_(parameter)
    x = torch.ones(1, 50, 5)
    given = mlp(x)
    dropped = given == 0
    assert dropped.double().mean().item() == pytest.approx(0.25, abs=0.02)
    assert not torch.equal(dropped[0], dropped[1])
    torch.testing.assert_close(given[~dropped].mean(), torch.tensor(whole / 0.75), rtol=0.01, atol=0)
    assert (given[~dropped].std() < 1e-3) == (len(layers) == 1)  # hidden layers are dropped, too
    assert (mlp.eval()(x) == whole).all()
