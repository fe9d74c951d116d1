"""Every pick rule, and in small cases worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.frontier.policy import PICK_RULES, Terms

RULES = pytest.mark.parametrize("rule", PICK_RULES.values(), ids=PICK_RULES)
GAINS = st.lists(st.tuples(*[st.floats(-0.9, 3)] * 2), min_size=1, max_size=6).map(np.array)


def terms(*weights, signs=None, linear=False):
    of = np.array(weights, dtype=float)
    return Terms(of / of.sum(), np.array(signs or [1.0] * len(of)), np.full(len(of), linear))


@RULES
@given(gains=GAINS, seed=st.integers(0, 99))
def test_scores_go_with_their_rows_and_never_fall_as_a_gain_rises(rule, gains, seed):
    found = rule.score(gains, terms(2, 1))
    order = np.random.default_rng(seed).permutation(len(gains))
    np.testing.assert_allclose(rule.score(gains[order], terms(2, 1)), found[order], atol=1e-12)
    worlds = np.stack([gains, gains[order]])  # over draws, each by itself
    np.testing.assert_allclose(rule.score(worlds, terms(2, 1))[1], found[order], atol=1e-12)
    better = np.concatenate([gains, gains[:1] + np.array([0.1, 0.0])])
    scores = rule.score(better, terms(2, 1))
    assert scores[-1] >= scores[0]


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
