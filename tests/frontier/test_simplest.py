"""The simplest within one standard error."""

import numpy as np
import pytest

from bench.errors import UserError
from bench.frontier.frontier import frontier
from bench.frontier.pick import pick
from bench.frontier.points import points
from bench.frontier.policy import Policy
from bench.frontier.rules import PICK_RULES, Frame
from bench.frontier.samples import sample
from bench.frontier.simplest import simplest
from bench.frontier.variance import seed_noise

POLICY = Policy.model_validate({"rule": "weights", "simplest": True, "weights": {"click.auc": 1}})


def point(trial, number, clicks, like=0.8, parameters=100.0):
    return trial(number, runs=tuple(((click, like), (0.5, 0.5)) for click in clicks), parameters=parameters)


@pytest.fixture
def records(trial):
    """2 is best in click; 1 is a third of its size, dominated, and behind by less than the noise; 0 is far behind."""
    return [
        point(trial, 0, (0.70, 0.71), 0.80, parameters=1),
        point(trial, 1, (0.734, 0.744), 0.7899, parameters=30),
        point(trial, 2, (0.735, 0.745), 0.79),
    ]


def test_a_smaller_model_within_the_noise_is_picked_even_where_it_is_dominated(records, objectives):
    front = frontier(records, objectives)
    assert [each.number for each in front.on_front] == [2, 0]
    found = pick(front, records, objectives, POLICY)
    assert found.trial == 1
    assert found.reason.startswith(
        "Trial 1 (mmoe, static) is picked because it is the simplest, with 30 parameters, of 2 points within one "
        "standard error ("
    )
    assert "of the best score by the rule 'weights', that of trial 2 (mmoe, static)." in found.reason
    assert [each.trial for each in found.runners_up] == [2, 0]
    assert pick(front, records, objectives, Policy.model_validate(POLICY.model_dump() | {"simplest": False})).trial == 2


def test_a_guard_holds_for_what_joins_from_off_the_front(records, objectives):
    values = POLICY.model_dump() | {"guard": {"at_least": {"like.auc": 0.79}}}
    found = pick(frontier(records, objectives), records, objectives, Policy.model_validate(values))
    assert found.trial == 2
    assert "no other is within one standard error" in found.reason


def test_the_error_of_a_weighted_sum_is_the_closed_form(records, objectives):
    """A linear score's standard error is that of the mean: the root of w' covariance w / n."""
    values = np.array([[0.705, 0.80], [0.74, 0.79]])
    frame = Frame.around(values)
    every = points(records, objectives)
    ranked = [(1.0, every[2]), (0.0, every[0])]
    found = simplest(ranked, [], PICK_RULES["weights"], frame, objectives, every)
    keys = [objective.key("valid") for objective in objectives]
    covariance = seed_noise([sample(each, keys) for each in records]).within[2]
    slope = frame.weights / frame.span
    assert found.error == pytest.approx(np.sqrt(slope @ covariance @ slope / 2), rel=0.05)


def test_without_replicates_it_is_refused(trial, objectives):
    records = [trial(0, 0.7, 0.8), trial(1, 0.8, 0.7)]
    with pytest.raises(UserError, match="simplest: expected points confirmed on two seeds or more"):
        pick(frontier(records, objectives), records, objectives, POLICY)
