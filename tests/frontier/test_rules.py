"""Every pick rule, and in small cases worked by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.frontier.rules import PICK_RULES, Frame
from bench.frontier.rules import knee as knee_in

RULES = pytest.mark.parametrize("rule", PICK_RULES.values(), ids=PICK_RULES)
SCALED = [name for name in PICK_RULES if name not in ("epsilon", "revenue")]  # those two are about natural units
QUARTER = np.array([[0.0, 4.0], [1.0, 3.5], [3.0, 2.5], [3.5, 1.0], [4.0, 0.0]])


def score(rule, values):
    """In the values' own frame; a positive of either kind is worth one."""
    return rule.score(values, replace(Frame.around(values), worth=lambda each: each.sum(axis=1)))


def knee(values):
    return knee_in(values, Frame.around(values))


@st.composite
def fronts(draw):
    """Mutually non-dominated points of two objectives: one rises, the other falls."""
    rises = sorted(draw(st.sets(st.integers(0, 1000), min_size=2, max_size=8)))
    falls = sorted(draw(st.sets(st.integers(0, 1000), min_size=len(rises), max_size=len(rises))), reverse=True)
    return np.array([rises, falls], dtype=float).T


def distance_to_line(point, a, b):
    """Signed distance of a point beyond the line from a to b, by the cross product."""
    (dx, dy), (px, py) = b - a, point - a
    return (px * -dy + py * dx) / np.hypot(dx, dy)


@given(fronts())
def test_knee_is_the_distance_to_the_line_between_the_extremes(front):
    unit = (front - front.min(axis=0)) / (front.max(axis=0) - front.min(axis=0))
    expected = [distance_to_line(point, unit[0], unit[-1]) for point in unit]
    np.testing.assert_allclose(knee(front), expected, atol=1e-12)


@RULES
@given(front=fronts(), seed=st.integers(0, 99))
def test_permutation_equivariant(rule, front, seed):
    order = np.random.default_rng(seed).permutation(len(front))
    np.testing.assert_allclose(score(rule, front[order]), score(rule, front)[order], atol=1e-12)


@pytest.mark.parametrize("rule", [PICK_RULES[name] for name in SCALED], ids=SCALED)
@given(front=fronts())
@pytest.mark.parametrize(("scale", "shift"), [(1e-10, 0.0), (1e6, -5.0)])
def test_invariant_under_units(rule, front, scale, shift):
    moved = front * [1.0, scale] + [0.0, scale * shift]
    np.testing.assert_allclose(score(rule, moved), score(rule, front), atol=1e-9)


@RULES
def test_one_point_duplicates_and_a_constant_objective_have_finite_scores(rule):
    for values in ([[0.7, 0.8]], [[0.7, 0.8]] * 3, [[0.7, 0.8, 1.0], [0.8, 0.7, 1.0]]):
        assert np.isfinite(score(rule, np.array(values))).all()


@RULES
def test_the_reason_takes_score_and_points(rule):
    assert "5 points" in rule.because.format(score=0.5, distance=0.5, best="click.auc", points="5 points")


def test_knee_of_a_bulge_by_hand():
    assert knee(QUARTER).argmax() == 2
    assert knee(QUARTER)[2] == pytest.approx((0.75 + 0.625 - 1) / np.sqrt(2))
    np.testing.assert_allclose(knee(QUARTER)[[0, -1]], 0, atol=1e-12)


def test_knee_is_negative_where_the_front_is_hollow():
    assert knee(np.array([[0.0, 4.0], [1.0, 1.0], [4.0, 0.0]]))[1] < 0


def test_knee_of_three_objectives_by_hand():
    values = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [0.6, 0.6, 0.6]])
    np.testing.assert_allclose(knee(values), [0, 0, 0, 0.8 / np.sqrt(3)], atol=1e-12)


def test_weights_choose_along_the_front():
    for weights, best in (([1.0, 0.0], 4), ([0.0, 1.0], 0), ([0.5, 0.5], 2)):
        frame = replace(Frame.around(QUARTER), weights=np.array(weights))
        found = PICK_RULES["weights"].score(QUARTER, frame)
        assert found.argmax() == best
        np.testing.assert_allclose(found, QUARTER / 4 @ weights)


def test_utopia_is_the_nearest_to_the_ideal():
    found = PICK_RULES["utopia"].score(QUARTER, Frame.around(QUARTER))
    np.testing.assert_allclose(found, -np.linalg.norm(1 - QUARTER / 4, axis=1) / np.sqrt(2))
    assert found.argmax() == 2


def test_epsilon_looks_at_one_objective_in_its_own_unit():
    found = PICK_RULES["epsilon"].score(QUARTER, replace(Frame.around(QUARTER), best=1))
    np.testing.assert_array_equal(found, QUARTER[:, 1])


def test_a_point_off_the_front_is_scored_in_the_fronts_frame():
    frame = Frame.around(QUARTER)
    np.testing.assert_allclose(PICK_RULES["weights"].score(np.array([[2.0, 2.0]]), frame), [0.5])
