"""The order of trials, at one rung and across rungs."""

import math

import moocore
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from bench.core.objectives import Objective
from bench.results.pareto import contributions, ranks
from bench.search.ranking import (
    COMPARED,
    NET,
    SLOPES,
    Order,
    best_first,
    epsilon_net,
    full_length,
    merits,
    to_full_length,
)

TWO = (Objective("a.auc", "maximize"), Objective("b.logloss", "minimize"))
AT = {"a.auc": -0.5, "b.logloss": 1.5}
# few distinct values, so that ties and copies are common
POINTS = arrays(float, st.tuples(st.integers(0, 14), st.just(2)), elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))
LINE = np.array([[0.0, 1.0], [0.1, 0.9], [0.5, 0.6], [0.95, 0.05], [1.0, 0.0]])


@given(values=POINTS, random=st.randoms(use_true_random=False))
def test_the_order_of_values_does_not_depend_on_the_order_of_rows(values, random):
    shuffled = values[random.sample(range(len(values)), len(values))]
    np.testing.assert_array_equal(values[best_first(values, TWO, AT)], shuffled[best_first(shuffled, TWO, AT)])


@given(POINTS)
def test_ties_go_by_hypervolume_contribution(values):
    """Against `bench.frontier`, which takes the hypervolume of the front without each point in turn."""
    front = np.unique(values[ranks(values, TWO) == 0], axis=0)
    gain = contributions(front, TWO, AT)[best_first(front, TWO, AT)]
    assert (np.diff(gain) <= 1e-12).all()


def test_epsilon_net_takes_the_farthest_next():
    # from the middle (largest sum): both ends, then the inner points, each by its distance to what is taken
    order = np.argsort(-epsilon_net(LINE), kind="stable")
    assert order[0] == 2
    taken = [order[0]]
    for nxt in order[1:]:
        gap = {i: min(math.dist(LINE[i], LINE[j]) for j in taken) for i in range(5) if i not in taken}
        assert gap[nxt] == pytest.approx(max(gap.values()))
        taken.append(nxt)


def test_unmeasured_rows_are_last():
    values = np.array([[math.nan, 0.0], [0.1, 0.9], [math.inf, 0.0], [0.2, 0.1]])
    assert best_first(values, TWO, AT).tolist() == [3, 1, 0, 2]
    assert best_first(values[[0, 2]], TWO, AT).tolist() == [0, 1]


@settings(max_examples=30)
@given(values=POINTS, random=st.randoms(use_true_random=False))
def test_what_is_asked_of_an_order_is_what_stands_there_once_all_is_in_order(values, random):
    values = np.vstack([values, [[math.nan, 0.0]]])
    whole = best_first(values, TWO, AT)
    order = Order(values, TWO, AT)
    named = np.array([random.random() < 0.3 for _ in values])
    ranked = [(place, row) for place, row in enumerate(whole[: order.measured]) if named[row]]
    assert order.measured == len(values) - 1
    assert order.first(named) == (ranked[0] if ranked else None)
    places = np.array(random.sample(range(len(values)), min(3, len(values))))
    np.testing.assert_array_equal(order.at(places), whole[places])


def test_of_a_large_front_the_first_to_cover_it_are_compared_and_the_rest_come_by_their_distance():
    rng = np.random.default_rng(0)
    points = np.abs(rng.normal(size=(NET + 100, 4)))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    net = np.argsort(-epsilon_net(points), kind="stable")
    scaled = (points - points.min(axis=0)) / np.ptp(points, axis=0)
    apart = np.linalg.norm(scaled[net, None] - scaled[net[None, :NET]], axis=2).min(axis=1)
    assert (np.diff(apart[NET:]) <= 1e-12).all()
    assert apart[NET] <= min(np.linalg.norm(scaled[a] - scaled[b]) for a in net[:NET:8] for b in net[:NET:8] if a < b)
    order = np.argsort(-merits(points, np.zeros(4)), kind="stable")
    assert set(order[:COMPARED]) == set(net[:COMPARED])
    left = np.sort(order[COMPARED:])
    np.testing.assert_array_equal(order[COMPARED:], left[np.argsort(-epsilon_net(points[left]), kind="stable")])
    gain = moocore.hv_contributions(points[order[:COMPARED]], ref=np.zeros(4), maximise=True)
    assert (np.diff(gain) <= 0).all()


def test_a_step_is_a_line_by_medians():
    results = [[(0.5, 0.6), (0.6, 0.4), (0.9, 0.1)], [(0.4, 0.6), (0.6, 0.3)], [(0.3, 0.5), (0.3, -0.3)], [(0.2, 0.7)]]
    # First step, first objective: slopes between pairs 0, 1.5 and 3, of which the median, 1.5, counts for 3/4; what is
    # left is .6 - .6875, .6 - .55 and .3 - .4125. Second objective: 7 and 6, the pair of equals being none.
    slopes = 1 + 0.75 * 0.5, 1 + 0.75 * 5.5
    assert slopes[1] > SLOPES[1] == 5  # what is left by a slope of 5: -2.6, -2.7, -2.8
    offset = 0.6 - slopes[0] * 0.5
    # second step, of one trial: .3 and -.3
    ends = [(0.9, 0.1), (0.9, 0.0), (0.6, -0.6), (slopes[0] * 0.2 + offset + 0.3, 5 * 0.7 - 2.7 - 0.3)]
    np.testing.assert_allclose(full_length(results, 2), ends, atol=1e-12)


def test_lines_are_those_of_another_library():
    rng = np.random.default_rng(0)
    low = rng.normal(size=(40, 2))
    high = np.array([0.4, 1.7]) * low + 0.1 * rng.normal(size=(40, 2))
    ahead = to_full_length([[tuple(a), tuple(b)] for a, b in zip(low, high, strict=True)], 2)
    for m in range(2):
        slope = stats.theilslopes(high[:, m], low[:, m]).slope
        assert ahead.slopes[0, m] == pytest.approx(1 + (slope - 1) * 40 / 41)
        np.testing.assert_allclose(np.median(ahead.at(0, low)[:, m] - high[:, m]), 0, atol=0.02)
    np.testing.assert_array_equal(ahead.at(1, high), high)


CURVES = st.lists(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=4), min_size=1, max_size=20
)


@given(CURVES)
def test_at_one_rung_the_order_is_that_of_the_values(results):
    moved = full_length(results, 2)
    for rung in range(4):
        those = [i for i, curve in enumerate(results) if len(curve) == rung + 1]
        if those:
            last = np.array([results[i][-1] for i in those])
            for m in range(2):
                order = np.argsort(last[:, m], kind="stable")
                assert (np.diff(moved[those][order, m]) >= -1e-12).all()
                apart = np.diff(last[order, m]) > 1e-6
                assert (np.diff(moved[those][order, m])[apart] > 0).all()
