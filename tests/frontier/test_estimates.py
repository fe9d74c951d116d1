"""Which value a trial is judged by, and which trials are judged together."""

import numpy as np

from bench.frontier.estimates import candidates, confirmed, estimate, estimates, replicated, rows_of
from bench.objectives import Objective

TEST = (0.6, 0.6)


def test_search_value_without_replicates(trial):
    assert estimate(trial(0, click=0.71), "click.auc") == 0.71


def test_replicate_mean_leaves_the_search_value_out(trial):
    record = trial(0, click=0.99, runs=(((0.70, 0.8), TEST), ((0.72, 0.8), TEST)), failed_runs=1)
    assert replicated(record, "confirm/click.auc") == [0.70, 0.72]
    assert np.isclose(estimate(record, "click.auc"), 0.71)
    assert np.isclose(estimate(record, "click.auc", "test"), 0.6)


def test_what_was_never_measured_is_nan(trial):
    assert np.isnan(estimate(trial(0), "click.auc", "test"))


def test_a_confirmed_trial_never_falls_back_to_the_search(trial):
    record = trial(0, click=0.99, runs=(((0.70, 0.8), TEST),))
    del record.replicates[0].metrics["confirm/click.auc"]
    assert np.isnan(estimate(record, "click.auc"))
    assert rows_of([record, trial(1)]) == "confirm"
    assert rows_of([trial(1)]) == "valid"


def test_costs_have_one_key_for_all_splits(trial):
    costs = (Objective("cost/parameters", "minimize"),)
    assert estimates([trial(0, parameters=5.0)], costs, "test").tolist() == [[5.0]]


def test_confirmed_takes_one_replicate_that_did_not_fail(trial):
    assert confirmed(trial(0, runs=(((0.7, 0.8), TEST),), failed_runs=1))
    assert not confirmed(trial(0, failed_runs=2))
    assert not confirmed(trial(0))


def test_candidates_are_all_until_one_is_confirmed(point):
    plain, sure = point(0), point(2, runs=(((0.7, 0.8), TEST),))
    assert candidates([plain]) == [plain]
    assert candidates([plain, sure]) == [sure]


def test_shape_without_trials(objectives):
    assert estimates([], objectives).shape == (0, 2)
