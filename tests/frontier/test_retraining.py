"""How long to train the pick, and prediction intervals against a simulation with known truth."""

from dataclasses import replace

import numpy as np
import pytest

from bench.core.errors import UserError
from bench.frontier.retraining import Length, length_of, place, prediction_intervals

CURVE = [
    {"samples": 100.0, "epoch": 0.5, "valid/click.auc": 0.60, "valid/like.auc": 0.70},
    {"samples": 200.0, "epoch": 1.0, "valid/click.auc": 0.64, "valid/like.auc": 0.69},
    {"samples": 300.0, "epoch": 1.5, "valid/click.auc": 0.62, "valid/like.auc": 0.68},
    {"samples": 400.0, "epoch": 2.0, "valid/click.auc": 0.70},
]


def test_the_best_mean_and_each_metrics_own_best(point, objectives):
    """Of a point short of full length, up to where it is."""
    whole = replace(point(0), curve=CURVE)
    assert length_of(whole, objectives) == Length(1.0, {"click.auc": 2.0, "like.auc": 0.5})
    assert length_of(replace(whole, until=300), objectives).own == {"click.auc": 1.0, "like.auc": 0.5}


def confirmed(point, rng, points=4, runs=3, sd=0.01):
    """Points of one true value each; click moves by `sd` from seed to seed."""
    return [
        point(i, runs=tuple(((0.7, 0.8), (0.7 + 0.02 * i + rng.normal(0, sd), 0.8)) for _ in range(runs)))
        for i in range(points)
    ]


def test_without_two_seeds_nothing_is_known_and_that_is_said(point, objectives):
    points = [point(0), point(1, runs=(((0.7, 0.8), (0.7, 0.8)),))]
    for each in points:
        with pytest.raises(UserError, match=r"^retrain.confidence: expected points confirmed on two seeds"):
            prediction_intervals(each, points, objectives, 0.9, 1)


@pytest.mark.parametrize("new", [1, 3])
def test_new_trainings_fall_within_the_interval_as_often_as_it_says(point, objectives, new):
    rng, kept = np.random.default_rng(1), 0
    for _ in range(400):
        points = confirmed(point, rng)
        interval = prediction_intervals(points[1], points, objectives, 0.9, new)[objectives[0]]
        value = 0.72 + rng.normal(0, 0.01, new).mean()
        kept += place(objectives[0], interval, value) == "within"
    assert kept / 400 == pytest.approx(0.9, abs=0.04)
