"""Each entry does what every balancer, sharing or pick rule must do."""

import pytest

from bench.testing import checks


@pytest.mark.parametrize("check", checks("balancing", "loss_power"), ids=str)
def test_the_balancer(check):
    check()


@pytest.mark.parametrize("check", checks("sharing", "linear_residual"), ids=str)
def test_the_sharing(check):
    check()


@pytest.mark.parametrize("check", checks("rule", "least_gain"), ids=str)
def test_the_rule(check):
    check()
