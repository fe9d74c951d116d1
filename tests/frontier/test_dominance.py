"""Dominance against its definition, written out pair by pair."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench.frontier.dominance import UNRANKED, nondominated, ranks
from bench.objectives import Objective

MIXED = (Objective("a.auc", "maximize"), Objective("b.logloss", "minimize"), Objective("c.auc", "maximize"))
# few distinct values, so that ties and duplicates are common
POINTS = arrays(float, st.tuples(st.integers(0, 14), st.just(3)), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0]))
MONOTONE = {
    "affine": lambda x: 3 * x - 7,
    "exp": np.exp,
    "cube": lambda x: x**3,
    "tiny scale": lambda x: x * 1e-10,
    "huge scale": lambda x: x * 1e15,
}


def dominates(x, y, objectives):
    better = [sign * (a - b) for a, b, sign in zip(x, y, [o.sign for o in objectives], strict=True)]
    return min(better) >= 0 and max(better) > 0


def slow_nondominated(values, objectives):
    return [not any(dominates(other, point, objectives) for other in values) for point in values]


def slow_ranks(values, objectives):
    left, result, rank = list(range(len(values))), [UNRANKED] * len(values), 0
    while left:
        front = [i for i in left if not any(dominates(values[j], values[i], objectives) for j in left)]
        for i in front:
            result[i] = rank
        left, rank = [i for i in left if i not in front], rank + 1
    return result


@given(POINTS)
def test_equals_the_definition(values):
    before = values.copy()
    assert nondominated(values, MIXED).tolist() == slow_nondominated(values, MIXED)
    assert ranks(values, MIXED).tolist() == slow_ranks(values, MIXED)
    np.testing.assert_array_equal(values, before)  # moocore must not work in place


@given(POINTS, st.randoms(use_true_random=False))
def test_permutation_equivariant(values, random):
    order = list(range(len(values)))
    random.shuffle(order)
    np.testing.assert_array_equal(nondominated(values[order], MIXED), nondominated(values, MIXED)[order])
    np.testing.assert_array_equal(ranks(values[order], MIXED), ranks(values, MIXED)[order])


@pytest.mark.parametrize("transform", MONOTONE.values(), ids=MONOTONE)
@given(values=POINTS)
def test_invariant_under_monotone_transforms_of_an_objective(transform, values):
    moved = values.copy()
    moved[:, 1] = transform(moved[:, 1])
    np.testing.assert_array_equal(ranks(moved, MIXED), ranks(values, MIXED))


@given(POINTS)
def test_reversed_direction_is_a_negated_objective(values):
    flipped = tuple(Objective(o.name, "minimize" if o.direction == "maximize" else "maximize") for o in MIXED)
    np.testing.assert_array_equal(ranks(-values, flipped), ranks(values, MIXED))


def test_all_duplicates_of_a_front_point_are_kept(objectives):
    values = np.array([[0.9, 0.1], [0.5, 0.5], [0.9, 0.1], [0.4, 0.4], [0.9, 0.1]])
    assert nondominated(values, objectives).tolist() == [True, True, True, False, True]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_unmeasured_rows_are_never_on_the_front_and_dominate_nothing(objectives, bad):
    values = np.array([[bad, 1.0], [0.5, 0.5], [1.0, bad], [0.4, 0.6]])
    assert nondominated(values, objectives).tolist() == [False, True, False, True]
    assert ranks(values, objectives).tolist() == [UNRANKED, 0, UNRANKED, 0]


def test_all_rows_unmeasured(objectives):
    assert not nondominated(np.full((3, 2), np.nan), objectives).any()
    assert ranks(np.full((3, 2), np.nan), objectives).tolist() == [UNRANKED] * 3


def test_one_objective_keeps_the_best():
    only = (Objective("a.logloss", "minimize"),)
    values = np.array([[0.3], [0.1], [0.2], [0.1]])
    assert nondominated(values, only).tolist() == [False, True, False, True]
    assert ranks(values, only).tolist() == [2, 0, 1, 0]
