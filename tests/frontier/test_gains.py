"""Gains over the tuned single-task model."""

import numpy as np
import pytest

from bench.frontier.gains import Baseline, baselines, gains
from bench.objectives import Objective


@pytest.fixture
def records(trial, failed):
    return [
        trial(0, 0.70, 0.83, kind="single_task"),
        trial(1, 0.72, 0.80, kind="single_task", balancing="uncertainty"),
        trial(2, 0.73, 0.82),
        trial(3, 0.71, 0.84, balancing="uncertainty"),
        failed(4),
    ]


def test_each_objective_has_its_own_best_single_task_trial(records, objectives):
    assert baselines(records, objectives) == {"click.auc": Baseline(1, 0.72), "like.auc": Baseline(0, 0.83)}


def test_gain_is_against_that_trial(records, objectives):
    table = gains(records, objectives)
    assert table.index.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(table["click.auc"], [-0.02, 0, 0.01, -0.01], atol=1e-12)
    np.testing.assert_allclose(table["like.auc"], [0, -0.03, -0.01, 0.01], atol=1e-12)


def test_gain_of_a_minimised_metric_is_positive_where_it_is_lower(trial):
    size = (Objective("cost/parameters", "minimize"),)
    table = gains([trial(0, kind="single_task", parameters=100.0), trial(1, parameters=60.0)], size)
    assert table["cost/parameters"].tolist() == [0, 40]


def test_without_a_single_task_trial_there_is_no_gain(trial, objectives):
    assert baselines([trial(0)], objectives) == {}
    assert gains([trial(0)], objectives).isna().all(axis=None)


def test_a_confirmed_baseline_counts_by_its_replicates(trial, objectives):
    lucky = trial(0, 0.80, 0.80, kind="single_task")
    sure = trial(1, 0.75, 0.80, kind="single_task", runs=(((0.70, 0.80), (0.69, 0.78)),))
    assert baselines([lucky, sure], objectives)["click.auc"] == Baseline(1, 0.70)


def test_on_test_the_baseline_is_still_chosen_on_validation(trial, objectives):
    better_on_valid = trial(0, kind="single_task", runs=(((0.72, 0.8), (0.60, 0.8)),))
    better_on_test = trial(1, kind="single_task", runs=(((0.71, 0.8), (0.75, 0.8)),))
    shared = trial(2, runs=(((0.71, 0.8), (0.65, 0.8)),))
    records = [better_on_valid, better_on_test, shared]
    assert baselines(records, objectives, "test")["click.auc"] == Baseline(0, 0.60)
    assert gains(records, objectives, "test").at[2, "click.auc"] == pytest.approx(0.05)
