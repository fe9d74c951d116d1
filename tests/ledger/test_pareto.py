"""Dominance, ranks and hypervolume against definitions and other code."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench.core.objectives import Objective
from bench.ledger.pareto import (
    UNRANKED,
    Growing,
    contributions,
    hypervolume,
    nondominated,
    ranks,
)

MIXED = (
    Objective("a.auc", "maximize"),
    Objective("b.logloss", "minimize"),
    Objective("c.auc", "maximize"),
)
# few distinct values, so that ties and duplicates are common
POINTS = arrays(
    float,
    st.tuples(st.integers(0, 14), st.just(3)),
    elements=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
)


def dominates(x, y, objectives):
    better = [sign * (a - b) for a, b, sign in zip(x, y, [o.sign for o in objectives], strict=True)]
    return min(better) >= 0 and max(better) > 0


def slow_nondominated(values, objectives):
    return [not any(dominates(value, point, objectives) for value in values) for point in values]


def slow_ranks(values, objectives):
    remaining, result, rank = list(range(len(values))), [UNRANKED] * len(values), 0
    while remaining:
        front = [
            i
            for i in remaining
            if not any(dominates(values[j], values[i], objectives) for j in remaining)
        ]
        for i in front:
            result[i] = rank
        remaining, rank = [i for i in remaining if i not in front], rank + 1
    return result


@given(POINTS)
def test_equals_the_definition(values):
    before = values.copy()
    assert nondominated(values, MIXED).tolist() == slow_nondominated(values, MIXED)
    assert ranks(values, MIXED).tolist() == slow_ranks(values, MIXED)
    np.testing.assert_array_equal(values, before)  # moocore must not work in place


@pytest.mark.parametrize("unit", [1e-10, 1e15])
@given(values=POINTS)
def test_the_unit_of_an_objective_does_not_matter(unit, values):
    np.testing.assert_array_equal(ranks(values * [1, unit, 1], MIXED), ranks(values, MIXED))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_unmeasured_rows_are_never_on_the_front_and_dominate_nothing(objectives, bad):
    values = np.array([[bad, 1.0], [0.5, 0.5], [1.0, bad], [0.4, 0.6]])
    assert nondominated(values, objectives).tolist() == [False, True, False, True]
    assert ranks(values, objectives).tolist() == [UNRANKED, 0, UNRANKED, 0]


REFERENCE = {"a.auc": 0.25, "b.logloss": 0.75, "c.auc": 0.0}
CONTINUOUS = arrays(
    float, st.tuples(st.integers(0, 8), st.just(3)), elements=st.floats(0, 1, width=16)
)


def slow_hypervolume(values, objectives, reference):
    """Volume of a union of boxes: the sum over subsets of their intersection's volume, with
    alternating sign.
    """
    signs = np.array([o.sign for o in objectives])
    corner = np.array([reference[o.name] for o in objectives])
    sides = np.maximum(0, (values - corner) * signs)
    return sum(
        (-1) ** (size + 1) * np.prod(np.min(subset, axis=0))
        for size in range(1, len(sides) + 1)
        for subset in combinations(sides, size)
    )


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_equals_inclusion_exclusion_in_other_dimensions(count):
    objectives = tuple(
        Objective(f"t{i}.auc", "maximize" if i % 2 else "minimize") for i in range(count)
    )
    reference = {o.name: 0.5 for o in objectives}
    values = np.random.default_rng(count).random((9, count))
    expected = slow_hypervolume(values, objectives, reference)
    assert hypervolume(values, objectives, reference) == pytest.approx(expected, rel=1e-9)


@given(CONTINUOUS)
def test_contribution_is_what_the_front_loses(values):
    front = np.flatnonzero(nondominated(values, MIXED))
    losses = contributions(values, MIXED, REFERENCE)
    for i in range(len(values)):
        rest = values[front[front != i]]
        lost = slow_hypervolume(values[front], MIXED, REFERENCE) - slow_hypervolume(
            rest, MIXED, REFERENCE
        )
        assert losses[i] == pytest.approx(lost, abs=1e-9)


@given(CONTINUOUS)
def test_growing_is_the_volume_of_each_prefix_and_never_falls(values):
    growing = Growing(MIXED, REFERENCE)
    volumes = [growing.add(point) for point in values]
    expected = [slow_hypervolume(values[: i + 1], MIXED, REFERENCE) for i in range(len(values))]
    np.testing.assert_allclose(volumes, expected, atol=1e-9)
    assert (np.diff(volumes) >= 0).all()
