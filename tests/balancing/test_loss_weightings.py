"""What loss weightings do beyond what all must."""

import pytest
import torch

from bench.balancing import BALANCING
from bench.testing import balancing as of

WEIGHTINGS = [name for name in BALANCING if not of.is_of_gradients(name)]
STATEFUL = [name for name in WEIGHTINGS if "stateful" in of.build(name, 2).claims]


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_weights_are_positive(name):
    balancer = of.build(name, 6)
    for seed in range(10):
        losses = torch.rand(6, generator=torch.Generator().manual_seed(seed)) + 0.01
        assert (of.weights(balancer, losses) > 0).all()


@pytest.mark.parametrize("name", STATEFUL)
def test_the_state_matters(name):
    """Without it `it_goes_on_from_a_saved_state_bit_for_bit` could not fail."""
    whole = of.build(name, 4)
    of.losses_of(whole, 7, seed=0)
    assert not torch.equal(of.losses_of(whole, 9, seed=1), of.losses_of(of.build(name, 4), 9, seed=1))
