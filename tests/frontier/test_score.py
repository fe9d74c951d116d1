from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from bench.errors import UserError
from bench.frontier.score import Score, prediction_names
from bench.schema import Task

TASKS = (Task("click"), Task("buy", parent="click"), Task("watch", "regression", parent="click"))
SAID = {name: np.array([0.25, 0.5]) for task in TASKS for name in prediction_names(task)}


def test_sum_and_power() -> None:
    some = {"click": 2.0, "buy.ctcvr": -0.5}
    np.testing.assert_allclose(Score(weights=some).of(TASKS).apply(SAID), [0.375, 0.75])
    np.testing.assert_allclose(Score(kind="power", weights=some).of(TASKS).apply(SAID), [0.125, 0.25 / np.sqrt(0.5)])
    assert str(Score(kind="power", weights=some)) == "click^2 * buy.ctcvr^-0.5"
    assert str(Score(weights=some)) == "2 click + -0.5 buy.ctcvr"


def test_without_weights_joint_probabilities_are_added() -> None:
    assert Score().of(TASKS).weights == {"click": 1.0, "buy.ctcvr": 1.0}
    assert Score().of((Task("watch", "regression"),)).apply({"watch": np.ones(3)}).tolist() == [0, 0, 0]


def test_toml_nests_dotted_names() -> None:
    assert Score.model_validate({"weights": {"buy": {"ctcvr": 1.0}}}).weights == {"buy.ctcvr": 1.0}


def test_mistakes() -> None:
    with pytest.raises(UserError, match=r"score.weights: unknown prediction 'buy'"):
        Score(weights={"buy": 1.0}).of(TASKS)
    with pytest.raises(UserError, match="'watch' is a regression"):
        Score(kind="power", weights={"watch": 1.0}).of(TASKS)
    with pytest.raises(ValidationError, match="expected a finite weight of 'click', found inf"):
        Score(weights={"click": float("inf")})
