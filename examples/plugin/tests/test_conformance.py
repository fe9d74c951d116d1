"""Both entries do what every balancer and every sharing must do."""

import pytest

from bench.testing import checks


@pytest.mark.parametrize("check", checks("balancing", "loss_power"), ids=str)
def test_the_balancer(check):
    check()


@pytest.mark.parametrize("check", checks("sharing", "linear_residual"), ids=str)
def test_the_sharing(check):
    check()
