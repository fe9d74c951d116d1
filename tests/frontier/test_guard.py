"""What the guard allows, and what it says."""

import math

import pytest

from bench.errors import UserError
from bench.frontier.breach import round_up
from bench.frontier.frontier import frontier
from bench.frontier.guard import Guard, Limit
from bench.frontier.judging import Judge
from bench.frontier.pick import pick
from bench.frontier.policy import Policy
from bench.objectives import Objective
from bench.validation import validate

COST = Objective("cost/parameters", "minimize")


TWO = Limit(2.0, in_errors=True)
SOME = Guard(max_loss_vs_single_task=0.002)


@pytest.mark.parametrize(
    ("given", "limits"),
    [
        ({}, [TWO, TWO, None]),
        ({"max_loss_in_standard_errors": 3}, [Limit(3.0, True), Limit(3.0, True), None]),
        ({"max_loss_in_standard_errors": math.inf}, [None, None, None]),
        ({"max_loss_vs_single_task": 0.01}, [Limit(0.01, False), Limit(0.01, False), None]),
        ({"max_loss_vs_single_task": math.inf}, [None, None, None]),
        ({"max_loss_vs_single_task": {"like.auc": 0, "cost/parameters": 50}}, [TWO, Limit(0, False), Limit(50, False)]),
        ({"max_loss_vs_single_task": {"like": {"auc": math.inf}}}, [TWO, None, None]),  # unquoted, TOML nests it
    ],
)
def test_what_is_allowed_in_tasks_and_costs(objectives, given, limits):
    guard = validate(Guard, given, "p.toml")
    assert [guard.limit(each) for each in (*objectives, COST)] == limits


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"confidence": 0.9}, "confidence: expected max_loss_vs_single_task beside it"),
        ({"max_loss_in_standard_errors": 2, "max_loss_vs_single_task": 0.1}, "found max_loss_vs_single_task = 0.1"),
        (
            {"max_loss_in_standard_errors": -1},
            "standard_errors: expected a number greater than or equal to 0",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(given, says):
    with pytest.raises(UserError, match=says):
        validate(Guard, given, "p.toml")


@pytest.mark.parametrize("given", [True, "0.1", math.nan, {"like.auc": "much"}, {"like": {"auc": [1]}}])
def test_what_is_no_number_is_refused(given):
    with pytest.raises(UserError, match=r"^p.toml: max_loss_vs_single_task: expected a number, or a table"):
        validate(Guard, {"max_loss_vs_single_task": given}, "p.toml")


def test_an_unknown_objective_is_refused(objectives):
    with pytest.raises(UserError, match=r"max_loss_vs_single_task: unknown objective 'like.acu' .*'like.auc'"):
        Guard(max_loss_vs_single_task={"like.acu": 0.1}).check(objectives)


@pytest.fixture
def judged(trial, objectives):
    """What the guard has against a trial, beside single-task ones of click 0.7 and like 0.8."""

    def judge(guard, click, like, single=True):
        records = [trial(0, 0.7, 0.5, kind="single_task"), trial(1, 0.5, 0.8, kind="single_task")] * single
        point = trial(2, click, like)
        return Judge(guard, frontier([*records, point], objectives), objectives).broken(point.points[0])

    return judge


def test_a_loss_of_exactly_the_allowed_passes(judged):
    assert judged(Guard(max_loss_vs_single_task=0.002), 0.698, 0.8) == []  # 0.0020000000000000018


def test_more_than_the_allowed_is_named(judged):
    assert [str(each) for each in judged(SOME, 0.8, 0.7959)] == [
        "it is 0.0041 worse in like.auc than single-task trial 1 (0.8), where 0.002 is allowed"
    ]


def test_below_zero_asks_for_a_gain(judged):
    assert len(judged(Guard(max_loss_vs_single_task=-0.01), 0.705, 0.82)) == 1


def test_infinity_allows_anything(judged):
    assert judged(Guard(max_loss_vs_single_task=math.inf), 0.2, 0.3) == []


def test_an_objective_without_a_baseline_is_not_guarded(judged):
    assert judged(SOME, 0.2, 0.3, single=False) == []


def test_without_replicates_nothing_tells_the_noise_and_nothing_is_excluded(judged):
    assert judged(Guard(), 0.2, 0.3) == []


@pytest.mark.parametrize("value", [0.0, 0.002, 0.0041234567, 1234.5, -0.0041239, 1e-12, 0.1 + 0.2])
def test_rounding_never_goes_below_and_hardly_above(value):
    assert value <= float(round_up(value)) <= value + abs(value) * 0.01


def test_bounds_hold_on_metrics_and_costs_that_are_no_objectives(trial, objectives):
    records = [trial(0, 0.70, 0.80, kind="single_task", parameters=9.0), trial(1, 0.72, 0.81, parameters=5e6)]
    records += [trial(2, 0.71, 0.82, parameters=1e6)]
    front = frontier(records, objectives)
    bounded = Policy.model_validate(
        {"guard": {"at_most": {"cost/parameters": 2e6}, "at_least": {"click": {"auc": 0.7}}}}
    )
    found = pick(front, records, objectives, bounded)
    assert found.trial == 2
    assert [(each.trial, each.reason) for each in found.removed] == [
        (1, "its cost/parameters is 5e+06, where at most 2e+06 is allowed")
    ]
    assert "cost/parameters at most 2e+06, click.auc at least 0.7" in found.reason
    tight = Policy.model_validate({"guard": {"at_most": {"cost/parameters": 10}}})
    with pytest.raises(UserError, match=r"the nearest is trial 2 .* if guard.at_most 'cost/parameters' were 1e\+06"):
        pick(front, records, objectives, tight)
    with pytest.raises(UserError, match=r"unknown metric 'click\.acu'"):
        pick(front, records, objectives, Policy.model_validate({"guard": {"at_least": {"click.acu": 0.5}}}))
