"""What loss weightings do beyond what all must."""

import pytest
import torch

from bench.balancing import BALANCING, works_on_gradients
from bench.testing import balancing as of


@pytest.mark.parametrize("name", [name for name in BALANCING if not works_on_gradients(name)])
def test_weights_are_positive(name):
    balancer = of.build(name, 6)
    for seed in range(10):
        losses = torch.rand(6, generator=torch.Generator().manual_seed(seed)) + 0.01
        assert (of.weights(balancer, losses) > 0).all()
