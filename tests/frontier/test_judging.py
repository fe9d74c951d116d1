"""Guards with confidence, bands and probabilities; what they advise where nothing is left is enough."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.errors import UserError
from bench.frontier.breach import round_up
from bench.frontier.frontier import frontier
from bench.frontier.guard import Guard
from bench.frontier.judging import Judge
from bench.frontier.pick import pick
from bench.frontier.policy import Policy

SINGLE, SHARED = (0.700, 0.702, 0.701), (0.699, 0.704, 0.703)


def runs(clicks, like=0.8):
    return tuple(((click, like), (click, like)) for click in clicks)


@pytest.fixture
def confirmed(trial):
    """A single-task model, and a shared one that is better by the means of click, but not surely."""
    return [trial(0, kind="single_task", runs=runs(SINGLE, 0.79)), trial(1, runs=runs(SHARED))]


def with_confidence(confidence, allowed):
    return Guard(max_loss_vs_single_task={"click.auc": allowed, "like.auc": 1.0}, confidence=confidence)


@pytest.mark.parametrize("allowed", [-0.003, -0.001, 0.0, 0.001, 0.002, 0.003])
@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.99])
def test_confidence_is_that_of_the_two_sample_t_test(confirmed, objectives, allowed, confidence):
    """The point passes exactly where the test rejects that it loses more than is allowed."""
    pvalue = stats.ttest_ind([click + allowed for click in SHARED], SINGLE, alternative="greater").pvalue
    found = Judge(with_confidence(confidence, allowed), frontier(confirmed, objectives), objectives)
    assert (found.broken(confirmed[1]) == []) == (pvalue <= 1 - confidence)


def test_the_baseline_itself_surely_loses_nothing(confirmed, objectives):
    judge = Judge(with_confidence(0.99, 0.0), frontier(confirmed, objectives), objectives)
    assert judge.broken(confirmed[0]) == []


def test_it_says_both_the_bound_and_the_mean(confirmed, objectives):
    judge = Judge(with_confidence(0.9, 0.0), frontier(confirmed, objectives), objectives)
    (found,) = judge.broken(confirmed[1])
    assert re.fullmatch(
        r"it may be 0\.001\d* worse in click\.auc than single-task trial 0 \(0\.701\), where 0 is allowed with 90% "
        r"confidence \(by the means it is -0\.001\)",
        str(found),
    )


def test_confidence_without_replicates_is_refused(trial, objectives):
    records = [trial(0, kind="single_task"), trial(1, 0.71, 0.81)]
    with pytest.raises(UserError, match=r"guard.confidence: expected points confirmed on two seeds or more"):
        Judge(with_confidence(0.9, 0.0), frontier(records, objectives), objectives)


def test_a_band_holds_both_ends(trial, objectives):
    records = [trial(i, 0.7 + i / 100, 0.8 - i / 100, pcoc=value) for i, value in enumerate((0.8, 1.0, 1.3))]
    judge = Judge(Guard(within={"cost/pcoc": (0.9, 1.1)}), frontier(records, objectives), objectives)
    low, inside, high = (judge.broken(each) for each in records)
    assert inside == []
    assert [str(each) for each in (*low, *high)] == [
        "its cost/pcoc is 0.8, where at least 0.9 is allowed",
        "its cost/pcoc is 1.3, where at most 1.1 is allowed",
    ]
    assert low[0].remedy == "set guard.within 'cost/pcoc' to [0.8, 1.1]"
    assert high[0].remedy == "set guard.within 'cost/pcoc' to [0.9, 1.3]"


def test_what_surely_belongs_to_the_front_passes(trial, objectives):
    sure, unsure = trial(0, runs=runs((0.80, 0.801), 0.9)), trial(1, runs=runs((0.7, 0.701), 0.9001))
    other = trial(2, runs=runs((0.7005, 0.7), 0.9))
    front = frontier([sure, unsure, other], objectives)
    judge = Judge(Guard(p_nondominated=0.9), front, objectives)
    assert judge.broken(sure) == []
    (found,) = judge.broken(other)
    assert found.remedy.startswith("set guard.p_nondominated to 0")
    unknown = [trial(0), trial(1, 0.71, 0.79)]
    (found,) = Judge(Guard(p_nondominated=0.9), frontier(unknown, objectives), objectives).broken(unknown[0])
    assert str(found) == "its P(non-dominated) was not measured, where at least 0.9 is allowed"
    assert found.remedy == "leave out guard.p_nondominated, which was not measured there"


@pytest.mark.parametrize(
    "guard",
    [{"at_most": {"cost/parameters": 100.0}}, {"at_least": {"like.auc": 0.9}}, {"within": {"click.auc": [0.1, 0.2]}}],
)
def test_the_advice_lets_a_point_through(trial, objectives, guard):
    records = [trial(i, 0.71234567 + i / 97, 0.81234567 - i / 89, parameters=1234567.0 + i) for i in range(3)]
    front = frontier(records, objectives)
    with pytest.raises(UserError) as error:
        pick(front, records, objectives, Policy.model_validate({"guard": guard}))
    key, name, value = re.search(r"set guard\.(\w+) '([\w./]+)' to ([\d.e+]+|\[.*\])$", str(error.value)).groups()
    number = [float(each) for each in value.strip("[]").split(",")]
    relaxed = {"guard": {key: {name: number if len(number) > 1 else number[0]}}}
    assert pick(front, records, objectives, Policy.model_validate(relaxed)).trial in (0, 1, 2)


def test_epsilon_holds_the_other_and_says_what_to_relax(trial, objectives):
    records = [trial(0, 0.70, 0.82), trial(1, 0.72, 0.80), trial(2, 0.74, 0.78)]
    front = frontier(records, objectives)

    def choose(like):
        table = {"best": "click.auc", "subject_to": {"like.auc": like}}
        return pick(front, records, objectives, Policy.model_validate({"rule": "epsilon", "epsilon": table}))

    assert [choose(like).trial for like in (0.7, 0.79, 0.81)] == [2, 1, 0]
    assert "has the best click.auc of the 2 points, 0.72. " in choose(0.79).reason
    assert "It keeps the guard's bounds: like.auc at least 0.79." in choose(0.79).reason
    assert choose(0.79).removed[0].reason == "its like.auc is 0.78, where at least 0.79 is allowed"
    with pytest.raises(UserError, match=r"set epsilon.subject_to 'like.auc' to 0.82"):
        choose(0.9)


@given(st.floats(1e-6, 1e9), st.sampled_from([3, 6]))
def test_rounding_up_never_goes_below(value, digits):
    assert value <= float(round_up(value, digits)) <= value * (1 + 3 * 10.0 ** (1 - digits))
    assert -value <= float(round_up(-value, digits))
