"""Prediction intervals against a simulation with known truth."""

import numpy as np
import pytest

from bench.core.errors import UserError
from bench.frontier.retraining import place, prediction_intervals


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
