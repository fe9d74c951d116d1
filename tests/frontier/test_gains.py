"""Gains over the tuned single-task model."""

import numpy as np
import pytest

from bench.frontier.gains import Baseline, baselines, gain
from bench.objectives import Objective


@pytest.fixture
def records(point):
    return [
        point(0, 0.70, 0.83, kind="single_task"),
        point(1, 0.72, 0.80, kind="single_task", balancing="uncertainty"),
        point(2, 0.73, 0.82),
        point(3, 0.71, 0.84, balancing="uncertainty"),
    ]


def test_each_objective_has_its_own_best_single_task_trial(records, objectives):
    assert baselines(records, objectives) == {"click.auc": Baseline(1, 0.72), "like.auc": Baseline(0, 0.83)}


def test_gain_is_against_that_trial(records, objectives):
    against = baselines(records, objectives)
    found = [list(gain(record, objectives, against).values()) for record in records[:4]]
    np.testing.assert_allclose(found, [[-0.02, 0], [0, -0.03], [0.01, -0.01], [-0.01, 0.01]], atol=1e-12)


def test_gain_of_a_minimised_metric_is_positive_where_it_is_lower(point):
    size = (Objective("cost/parameters", "minimize"),)
    records = [point(0, kind="single_task", parameters=100.0), point(1, parameters=60.0)]
    assert gain(records[1], size, baselines(records, size)) == {"cost/parameters": 40}


def test_without_a_single_task_trial_there_is_no_gain(point, objectives):
    assert baselines([point(0)], objectives) == {}
    assert np.isnan(list(gain(point(0), objectives, {}).values())).all()


def test_a_confirmed_baseline_counts_by_its_replicates(point, objectives):
    lucky = point(0, 0.80, 0.80, kind="single_task")
    sure = point(1, 0.75, 0.80, kind="single_task", runs=(((0.70, 0.80), (0.69, 0.78)),))
    assert baselines([lucky, sure], objectives)["click.auc"] == Baseline(1, 0.70)


def test_a_baseline_that_was_not_confirmed_is_none_beside_confirmed_points(point, objectives):
    seen_once = point(0, 0.80, 0.80, kind="single_task")
    assert baselines([seen_once, point(1, runs=(((0.72, 0.8), (0.7, 0.8)),))], objectives) == {}
