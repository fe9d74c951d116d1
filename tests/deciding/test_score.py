"""How a pick is served: the score, how long it is trained, and prediction intervals against known
truth.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.core.errors import UserError
from bench.core.schema import Task
from bench.deciding.retraining import Length, length_of, place, prediction_intervals
from bench.deciding.score import Score, prediction_names
from bench.ledger.fusion import fused

TASKS = (Task("click"), Task("buy", parent="click"), Task("watch", "regression", parent="click"))
SAID = {name: np.array([0.25, 0.5]) for task in TASKS for name in prediction_names(task)}


def test_sum_and_power():
    some = {"click": 2.0, "buy.ctcvr": -0.5}
    np.testing.assert_allclose(Score(weights=some).of(TASKS).apply(SAID), [0.375, 0.75])
    np.testing.assert_allclose(
        Score(weights=some, rates={"click": 0.5}).of(TASKS).apply(SAID), [0.875, 1.75]
    )
    power = Score(kind="power", weights=some).of(TASKS).apply(SAID)
    np.testing.assert_allclose(np.exp(power), [0.125, 0.25 / np.sqrt(0.5)])


@given(st.data(), st.sampled_from(["power", "sum"]))
def test_a_picked_fusion_is_fused_bit_for_bit(data, kind):
    """Zero, tiny and negative predictions (of a regression), and tasks of weight 0 among them."""
    value = st.sampled_from([0.0, 1e-30, 0.2, 0.7, 1.0])
    rows = data.draw(
        st.lists(
            st.tuples(value, value, st.sampled_from([-3.0, 0.0, 2.5, 90.0])),
            min_size=1,
            max_size=20,
        )
    )
    joint = np.array(rows, np.float32)
    weights = data.draw(st.tuples(*[st.sampled_from([0.0, 1e-4, 0.3, 1.0])] * 3))
    rates = (0.2, 0.01, 12.0)
    names = [task.name for task in TASKS]
    score = Score.fusion(
        kind, dict(zip(names, weights, strict=True)), dict(zip(names, rates, strict=True)), TASKS
    )
    assert score.on == "raw"
    again = Score.model_validate(score.model_dump(mode="json"))
    scores = again.apply(
        {"click": joint[:, 0], "buy.ctcvr": joint[:, 1], "watch.ctcvr": joint[:, 2]}
    )
    np.testing.assert_array_equal(scores, fused(kind, joint, weights, rates))


def test_without_weights_joint_probabilities_are_added():
    assert Score().of(TASKS).weights == {"click": 1.0, "buy.ctcvr": 1.0}
    assert Score().of((Task("watch", "regression"),)).apply({"watch": np.ones(3)}).tolist() == [
        0,
        0,
        0,
    ]


def test_mistakes():
    with pytest.raises(UserError, match=r"score.weights: unknown prediction 'buy'"):
        Score(weights={"buy": 1.0}).of(TASKS)
    with pytest.raises(UserError, match=r"score.rates: unknown prediction 'buy'"):
        Score(weights={"click": 1.0}, rates={"buy": 1.0}).of(TASKS)
    with pytest.raises(ValidationError, match="expected no rates beside kind = 'power'"):
        Score(kind="power", rates={"click": 0.1})


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
    assert length_of(replace(whole, until=300), objectives).by_metric == {
        "click.auc": 1.0,
        "like.auc": 0.5,
    }


def confirmed(point, rng, points=4, runs=3, sd=0.01):
    """Points of one true value each; click moves by `sd` from seed to seed."""
    return [
        point(
            i,
            runs=tuple(
                ((0.7, 0.8), (0.7 + 0.02 * i + rng.normal(0, sd), 0.8)) for _ in range(runs)
            ),
        )
        for i in range(points)
    ]


def test_without_two_seeds_nothing_is_known_and_that_is_said(point, objectives):
    points = [point(0), point(1, runs=(((0.7, 0.8), (0.7, 0.8)),))]
    for single in points:
        with pytest.raises(
            UserError, match=r"^retrain.confidence: expected points confirmed on two seeds"
        ):
            prediction_intervals(single, points, objectives, 0.9, 1)


@pytest.mark.parametrize("new", [1, 3])
def test_new_trainings_fall_within_the_interval_as_often_as_it_says(point, objectives, new):
    rng, inside = np.random.default_rng(1), 0
    for _ in range(400):
        points = confirmed(point, rng)
        interval = prediction_intervals(points[1], points, objectives, 0.9, new)[objectives[0]]
        value = 0.72 + rng.normal(0, 0.01, new).mean()
        inside += place(objectives[0], interval, value) == "within"
    assert inside / 400 == pytest.approx(0.9, abs=0.04)
