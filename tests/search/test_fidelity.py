"""Trials of different rungs in one order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.objectives import Objective
from bench.search.fidelity import SLOPES, best_first_across_rungs, full_length, to_full_length
from bench.search.ranking import best_first

TWO = (Objective("a.auc", "maximize"), Objective("b.logloss", "minimize"))
AT = {"a.auc": 0.0, "b.logloss": 1.0}


def test_a_step_is_a_line_by_medians() -> None:
    results = [
        [(0.5, 0.6), (0.6, 0.4), (0.9, 0.1)],
        [(0.4, 0.6), (0.6, 0.3)],
        [(0.3, 0.5), (0.3, -0.3)],
        [(0.2, 0.7)],
    ]
    # First step, first objective: slopes between pairs 0, 1.5 and 3, of which the median, 1.5, counts for 3/4; what is
    # left is .6 - .6875, .6 - .55 and .3 - .4125. Second objective: 7 and 6, the pair of equals being none.
    slopes = 1 + 0.75 * 0.5, 1 + 0.75 * 5.5
    assert slopes[1] > SLOPES[1] == 5  # what is left by a slope of 5: -2.6, -2.7, -2.8
    offset = 0.6 - slopes[0] * 0.5
    # second step, of one trial: .3 and -.3
    ends = [(0.9, 0.1), (0.9, 0.0), (0.6, -0.6), (slopes[0] * 0.2 + offset + 0.3, 5 * 0.7 - 2.7 - 0.3)]
    np.testing.assert_allclose(full_length(results, 2), ends, atol=1e-12)


def test_lines_are_those_of_another_library() -> None:
    rng = np.random.default_rng(0)
    low = rng.normal(size=(40, 2))
    high = np.array([0.4, 1.7]) * low + 0.1 * rng.normal(size=(40, 2))
    ahead = to_full_length([[tuple(a), tuple(b)] for a, b in zip(low, high, strict=True)], 2)
    for m in range(2):
        slope = stats.theilslopes(high[:, m], low[:, m]).slope
        assert ahead.slopes[0, m] == pytest.approx(1 + (slope - 1) * 40 / 41)
        np.testing.assert_allclose(np.median(ahead.at(0, low)[:, m] - high[:, m]), 0, atol=0.02)
    np.testing.assert_array_equal(ahead.at(1, high), high)


def test_one_that_is_far_behind_early_is_less_so_at_full_length() -> None:
    ends = np.linspace(0.8, 0.9, 8)
    results = [[(end - 4 * (0.9 - end), 0.0), (end, 0.0)] for end in ends[3:]] + [[(ends[0] - 0.4, 0.0)]]
    assert full_length(results, 2)[-1, 0] == pytest.approx(ends[0], abs=0.06)  # by the others' median step it were .51


def test_a_rung_that_no_finite_step_leads_to_counts_as_nothing() -> None:
    results = [[(0.5, 0.6), (np.nan, 0.1)], [(0.4, 0.6)]]
    np.testing.assert_allclose(full_length(results, 2), [(np.nan, 0.1), (0.4, 0.6)])


CURVES = st.lists(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=4), min_size=1, max_size=20
)


@given(CURVES)
def test_at_one_rung_the_order_is_that_of_the_values(results: list) -> None:
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


@given(CURVES)
def test_where_all_are_at_full_length_nothing_is_moved(results: list) -> None:
    last = [curve[-1:] for curve in results]
    order = best_first_across_rungs(last, TWO, AT)
    np.testing.assert_array_equal(order, best_first(np.array(last)[:, 0], TWO, AT))


def test_trials_without_a_result_are_last() -> None:
    results = [[], [(0.1, 0.9)], [], [(0.2, 0.8), (0.3, 0.7)]]
    assert best_first_across_rungs(results, TWO, AT).tolist() == [3, 1, 0, 2]
    assert best_first_across_rungs([[]], TWO, AT).tolist() == [0]
    assert best_first_across_rungs([], TWO, AT).tolist() == []
