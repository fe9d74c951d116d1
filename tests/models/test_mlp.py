from __future__ import annotations

import pytest
import torch

from bench.models.layers import BatchedLinear, BatchedMLP


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
