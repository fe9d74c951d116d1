import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.core.errors import UserError
from bench.core.schema import Task
from bench.frontier.score import Score, prediction_names
from bench.results.fusion import fused

TASKS = (Task("click"), Task("buy", parent="click"), Task("watch", "regression", parent="click"))
SAID = {name: np.array([0.25, 0.5]) for task in TASKS for name in prediction_names(task)}


def test_sum_and_power():
    some = {"click": 2.0, "buy.ctcvr": -0.5}
    np.testing.assert_allclose(Score(weights=some).of(TASKS).apply(SAID), [0.375, 0.75])
    np.testing.assert_allclose(Score(weights=some, rates={"click": 0.5}).of(TASKS).apply(SAID), [0.875, 1.75])
    power = Score(kind="power", weights=some).of(TASKS).apply(SAID)
    np.testing.assert_allclose(np.exp(power), [0.125, 0.25 / np.sqrt(0.5)])


@given(st.data(), st.sampled_from(["power", "sum"]))
def test_a_picked_fusion_is_fused_bit_for_bit(data, kind):
    """Zero, tiny and negative predictions (of a regression), and tasks of weight 0 among them."""
    value = st.sampled_from([0.0, 1e-30, 0.2, 0.7, 1.0])
    rows = data.draw(
        st.lists(st.tuples(value, value, st.sampled_from([-3.0, 0.0, 2.5, 90.0])), min_size=1, max_size=20)
    )
    joint = np.array(rows, np.float32)
    weights = data.draw(st.tuples(*[st.sampled_from([0.0, 1e-4, 0.3, 1.0])] * 3))
    rates = (0.2, 0.01, 12.0)
    names = [task.name for task in TASKS]
    score = Score.fusion(kind, dict(zip(names, weights, strict=True)), dict(zip(names, rates, strict=True)), TASKS)
    assert score.on == "raw"
    again = Score.model_validate(score.model_dump(mode="json"))
    found = again.apply({"click": joint[:, 0], "buy.ctcvr": joint[:, 1], "watch.ctcvr": joint[:, 2]})
    np.testing.assert_array_equal(found, fused(kind, joint, weights, rates))


def test_without_weights_joint_probabilities_are_added():
    assert Score().of(TASKS).weights == {"click": 1.0, "buy.ctcvr": 1.0}
    assert Score().of((Task("watch", "regression"),)).apply({"watch": np.ones(3)}).tolist() == [0, 0, 0]


def test_mistakes():
    with pytest.raises(UserError, match=r"score.weights: unknown prediction 'buy'"):
        Score(weights={"buy": 1.0}).of(TASKS)
    with pytest.raises(UserError, match=r"score.rates: unknown prediction 'buy'"):
        Score(weights={"click": 1.0}, rates={"buy": 1.0}).of(TASKS)
    with pytest.raises(ValidationError, match="expected no rates beside kind = 'power'"):
        Score(kind="power", rates={"click": 0.1})
