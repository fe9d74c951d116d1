"""The tuned single-task models that others are measured against."""

import pytest

from bench.frontier.gains import baselines


@pytest.fixture
def records(point):
    return [
        point(0, 0.70, 0.83, kind="single_task"),
        point(1, 0.72, 0.80, kind="single_task", balancing="uncertainty"),
        point(2, 0.73, 0.82),
        point(3, 0.71, 0.84, balancing="uncertainty"),
    ]


def numbers(points, objectives):
    return {name: point.number for name, point in baselines(points, objectives).items()}


def test_each_objective_has_its_own_best_single_task_trial(records, objectives):
    assert numbers(records, objectives) == {"click.auc": 1, "like.auc": 0}


def test_without_a_single_task_trial_there_is_none(point, objectives):
    assert baselines([point(0)], objectives) == {}


def test_a_confirmed_baseline_counts_by_its_replicates(point, objectives):
    lucky = point(0, 0.80, 0.80, kind="single_task")
    sure = point(1, 0.75, 0.80, kind="single_task", runs=(((0.70, 0.80), (0.69, 0.78)),))
    assert numbers([lucky, sure], objectives)["click.auc"] == 1


def test_a_baseline_that_was_not_confirmed_is_none_beside_confirmed_points(point, objectives):
    seen_once = point(0, 0.80, 0.80, kind="single_task")
    assert baselines([seen_once, point(1, runs=(((0.72, 0.8), (0.7, 0.8)),))], objectives) == {}
