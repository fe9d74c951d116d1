"""For how long to train: where validation saw a training best."""

from dataclasses import replace

from bench.frontier.length import Length, length_of

CURVE = [
    {"samples": 100.0, "epoch": 0.5, "valid/click.auc": 0.60, "valid/like.auc": 0.70},
    {"samples": 200.0, "epoch": 1.0, "valid/click.auc": 0.64, "valid/like.auc": 0.69},
    {"samples": 300.0, "epoch": 1.5, "valid/click.auc": 0.62, "valid/like.auc": 0.68},
    {"samples": 400.0, "epoch": 2.0, "valid/click.auc": 0.70},
]


def test_the_best_mean_and_each_metrics_own_best(point, objectives):
    found = length_of(replace(point(0), curve=CURVE), objectives)
    assert found == Length(1.0, {"click.auc": 2.0, "like.auc": 0.5})


def test_a_point_short_of_full_length_looks_no_further(trial, objectives):
    from bench.records import RungResult

    (stopped,) = replace(trial(0), curve=CURVE, state="pruned", rungs=(RungResult(300, 0, {}),)).points
    assert length_of(stopped, objectives).own == {"click.auc": 1.0, "like.auc": 0.5}


def test_without_evaluations_it_is_the_whole_schedule(point, objectives):
    assert length_of(point(0), objectives) == Length()
