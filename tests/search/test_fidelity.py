"""Trials of different rungs in one order."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bench.objectives import Objective
from bench.search.fidelity import best_first_across_rungs, full_length
from bench.search.ranking import best_first

TWO = (Objective("a.auc", "maximize"), Objective("b.logloss", "minimize"))
AT = {"a.auc": 0.0, "b.logloss": 1.0}


def test_what_is_ahead_is_the_median_step() -> None:
    results = [
        [(0.5, 0.6), (0.6, 0.4), (0.9, 0.1)],
        [(0.4, 0.6), (0.6, 0.3)],
        [(0.3, 0.5), (0.3, -0.3)],
        [(0.2, 0.7)],
    ]
    # first step: .1, .2, 0 and -.2, -.3, -.8; second: .3 and -.3
    expected = [(0.9, 0.1), (0.9, 0.0), (0.6, -0.6), (0.2 + 0.1 + 0.3, 0.7 - 0.3 - 0.3)]
    np.testing.assert_allclose(full_length(results, 2), expected, atol=1e-12)


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
            steps = moved[those] - np.array([results[i][-1] for i in those])
            np.testing.assert_allclose(steps, np.broadcast_to(steps[0], steps.shape), atol=1e-12)


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
