from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.models.layers import BatchedLinear, BatchedMLP


def slow_mlp(mlp: BatchedMLP, x: Tensor) -> Tensor:
    """The same by one `F.linear` for each expert and layer."""
    out = []
    for expert in range(mlp.experts):
        h = x[expert * len(x) // mlp.experts]
        for layer in mlp.layers:
            h = F.relu(F.linear(h, layer.weight[expert], layer.bias[expert]))
        out.append(h)
    return torch.stack(out)


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize(("layers", "batch"), [((), 7), ((5,), 1), ((8, 4), 0), ((8, 4, 3), 7)])
def test_equals_a_loop_over_experts_in_value_and_gradient(groups, layers, batch):
    mlp = BatchedMLP(6, 10, layers).double()
    for parameter in mlp.parameters():  # biases start at zero: make them count
        torch.nn.init.normal_(parameter)
    x = torch.randn(groups, batch, 10, dtype=torch.float64, requires_grad=True)
    fast, slow = mlp(x), slow_mlp(mlp, x)
    assert fast.shape == (6, batch, mlp.outputs)
    torch.testing.assert_close(fast, slow)
    upstream, wanted = torch.randn_like(slow), [x, *mlp.parameters()]
    for a, b in zip(
        torch.autograd.grad(fast, wanted, upstream), torch.autograd.grad(slow, wanted, upstream), strict=True
    ):
        torch.testing.assert_close(a, b)


def test_weights_have_the_variance_that_keeps_activations_their_size():
    linear = BatchedLinear(4, 300, 200, gain=2**0.5)
    assert linear.bias is not None
    assert not linear.bias.any()
    for expert in linear.weight:  # each slice as its own layer would be: fan-in 300, not 4 * 300
        assert expert.var().item() == pytest.approx(2 / 300, rel=0.03)
    deep = BatchedMLP(3, 256, [256] * 6)
    power = deep(torch.randn(1, 512, 256)).square().mean(dim=(1, 2))
    assert (power > 0.4).all()
    assert (power < 2.5).all()


def test_experts_start_apart():
    weight = BatchedMLP(2, 5, (4,)).layers[0].weight
    assert not torch.equal(weight[0], weight[1])


def test_dropout_falls_on_each_expert_apart_and_only_in_training():
    mlp = BatchedMLP(2, 5, (400,), dropout=0.25)
    for parameter in mlp.parameters():
        torch.nn.init.ones_(parameter)
    x = torch.ones(1, 50, 5)
    dropped = mlp(x) == 0
    assert dropped.double().mean().item() == pytest.approx(0.25, abs=0.02)
    assert not torch.equal(dropped[0], dropped[1])
    torch.testing.assert_close(mlp(x).max(), torch.tensor(6 / 0.75))
    assert (mlp.eval()(x) == 6).all()


def test_a_second_layer_gets_its_input_without_a_copy():
    hidden = BatchedMLP(8, 16, (32,))(torch.randn(1, 64, 16))
    assert hidden.is_contiguous()
