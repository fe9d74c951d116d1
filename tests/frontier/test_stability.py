"""How a pick changes with weights and seeds: small cases by hand, and against a closed form."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from bench.frontier.rules import PICK_RULES, Frame
from bench.frontier.stability import grid_of, stability_of
from bench.objectives import Objective


def stability(points, objectives, rule="weights"):
    values = np.array([[np.mean([run.metrics[o.key("confirm")] for run in p.replicates] or p.metrics[o.key("valid")])
                        for o in objectives] for p in points])  # fmt: skip
    return stability_of(points, objectives, PICK_RULES[rule], Frame.around(values), points)


@pytest.mark.parametrize("objectives", [1, 2, 3, 4, 5])
def test_the_grid_is_even_over_the_simplex(objectives):
    grid = grid_of(objectives)
    assert len(grid) <= 231
    np.testing.assert_allclose(grid.sum(axis=1), 1)
    assert len(np.unique(grid, axis=0)) == len(grid)
    assert {tuple(row) for row in np.eye(objectives)} <= {tuple(row) for row in grid}


def test_of_two_points_each_wins_where_its_objective_weighs_more(point, objectives):
    found = stability([point(0, 0.7, 0.8), point(1, 0.8, 0.7)], objectives)
    assert [(each.trial, each.share) for each in found.points] == [(0, 11 / 21), (1, 10 / 21)]  # a tie to the first
    for weights, winner in zip(found.weights, found.winners, strict=True):
        assert found.points[winner].trial == (1 if weights[0] > 0.5 else 0)
    assert found.sure is None
    assert found.points[0].probability is None


def test_a_hollow_point_never_wins_and_a_bulge_wins_the_middle(point, objectives):
    found = stability([point(0, 0.7, 0.8), point(1, 0.73, 0.73), point(2, 0.8, 0.7), point(3, 0.78, 0.78)], objectives)
    shares = {each.trial: each.share for each in found.points}
    assert shares[1] == 0
    assert found.points[0].trial == 3
    assert sum(shares.values()) == pytest.approx(1)
    assert all(a.share >= b.share for a, b in pairwise(found.points))


def test_with_one_objective_it_is_students_t(point):
    """P(the first is best) of two points is the pooled two-sample t-test's."""
    first, second = (0.70, 0.72, 0.71), (0.695, 0.715, 0.711)
    points = [point(i, runs=tuple(((v, 0.8), (v, 0.8)) for v in values)) for i, values in enumerate((first, second))]
    found = stability(points, (Objective("click.auc", "maximize"),))
    expected = 1 - stats.ttest_ind(first, second, alternative="greater").pvalue
    assert found.points[0].trial == 0
    assert found.points[0].probability == pytest.approx(expected, abs=0.06)
    assert found.points[0].by_rule == found.points[0].probability
    assert found.sure == (found.points[0].probability,)


@pytest.mark.parametrize("rule", ["weights", "knee"])
def test_a_loss_counts_downwards(point, rule):
    points = [point(0, 0.6, runs=(((0.6, 1), (0, 0)),) * 2), point(1, 0.3, runs=(((0.3, 1), (0, 0)),) * 2)]
    found = stability(points, (Objective("click.auc", "minimize"),), rule)
    assert [(each.trial, each.share, each.by_rule) for each in found.points] == [(1, 1.0, 1.0), (0, 0.0, 0.0)]
