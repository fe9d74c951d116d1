"""Every pick rule, see `bench.testing.rules`, and in small cases worked by hand."""

import numpy as np
import pytest

from bench.frontier.policy import PICK_RULES, Terms
from bench.testing import checks

EVERY = [pytest.param(check, id=f"{name}-{check}") for name in PICK_RULES for check in checks("rule", name)]


def terms(*weights, signs=None, linear=False):
    of = np.array(weights, dtype=float)
    return Terms(of / of.sum(), np.array(signs or [1.0] * len(of)), np.full(len(of), linear))


@pytest.mark.parametrize("check", EVERY)
def test_a_rule(check):
    check()


def test_the_knee_is_where_a_percent_buys_a_percent():
    """Of outcomes x and 1 / x the product is the same everywhere: all score alike, in any unit; a bulge wins."""
    ratio = np.array([0.5, 0.8, 1.0, 1.25, 2.0])
    alike = np.stack([ratio - 1, 1 / ratio - 1], axis=1)
    np.testing.assert_allclose(PICK_RULES["knee"].score(alike, terms(1, 1)), 0, atol=1e-12)
    bulge = np.concatenate([alike, [[0.01, 0.0]]])
    assert PICK_RULES["knee"].score(bulge, terms(1, 1)).argmax() == 5


def test_the_knee_counts_half_the_cost_as_twice_the_outcome():
    halved = np.array([[0.0, 0.5]])  # a cost of one half: a gain of .5
    twice = np.array([[1.0, 0.0]])
    of = terms(1, 1, signs=[1.0, -1.0])
    np.testing.assert_allclose(PICK_RULES["knee"].score(halved, of), PICK_RULES["knee"].score(twice, of))


def test_utopia_is_nearest_to_the_best_of_each():
    gains = np.array([[0.0, 0.4], [0.3, 0.3], [0.4, 0.0]])
    found = PICK_RULES["utopia"].score(gains, terms(1, 1))
    assert found.argmax() == 1
    assert found[1] == pytest.approx(-0.1)
