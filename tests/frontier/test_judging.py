"""Guards with confidence, bands and probabilities; what they advise where nothing is left is enough."""

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.dotted import flatten, nest
from bench.errors import UserError
from bench.frontier.breach import round_up
from bench.frontier.frontier import frontier
from bench.frontier.guard import Guard
from bench.frontier.intervals import differences
from bench.frontier.judging import Judge
from bench.frontier.pick import NothingPasses, pick
from bench.frontier.policy import Policy
from bench.frontier.samples import sample
from bench.plain import parse_toml

SINGLE, SHARED = (0.700, 0.702, 0.701), (0.699, 0.704, 0.703)


def runs(clicks, like=0.8):
    return tuple(((click, like), (click, like)) for click in clicks)


@pytest.fixture
def confirmed(trial):
    """A single-task model, and a shared one that is better by the means of click, but not surely."""
    return [trial(0, kind="single_task", runs=runs(SINGLE, 0.79)), trial(1, runs=runs(SHARED))]


def with_confidence(confidence, allowed):
    return Guard(max_loss_vs_single_task={"click.auc": allowed, "like.auc": 1.0}, confidence=confidence)


@pytest.mark.slow
@pytest.mark.parametrize("allowed", [-0.003, -0.001, 0.0, 0.001, 0.002, 0.003])
@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.99])
def test_confidence_is_that_of_the_two_sample_t_test(confirmed, objectives, allowed, confidence):
    """The point passes exactly where the test rejects that it loses more than is allowed."""
    pvalue = stats.ttest_ind([click + allowed for click in SHARED], SINGLE, alternative="greater").pvalue
    found = Judge(with_confidence(confidence, allowed), frontier(confirmed, objectives), objectives)
    assert (found.broken(confirmed[1].points[0]) == []) == (pvalue <= 1 - confidence)


def test_the_baseline_itself_surely_loses_nothing(confirmed, objectives):
    judge = Judge(with_confidence(0.99, 0.0), frontier(confirmed, objectives), objectives)
    assert judge.broken(confirmed[0].points[0]) == []


def test_it_says_both_the_bound_and_the_mean(confirmed, objectives):
    judge = Judge(with_confidence(0.9, 0.0), frontier(confirmed, objectives), objectives)
    (found,) = judge.broken(confirmed[1].points[0])
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
    low, inside, high = (judge.broken(each.points[0]) for each in records)
    assert inside == []
    assert [str(each) for each in (*low, *high)] == [
        "its cost/pcoc is 0.8, where at least 0.9 is allowed",
        "its cost/pcoc is 1.3, where at most 1.1 is allowed",
    ]
    assert str(low[0].remedy) == "guard.within 'cost/pcoc' were [0.8, 1.1]"
    assert str(high[0].remedy) == "guard.within 'cost/pcoc' were [0.9, 1.3]"


def test_what_surely_belongs_to_the_front_passes(trial, objectives):
    sure, unsure = trial(0, runs=runs((0.80, 0.801), 0.9)), trial(1, runs=runs((0.7, 0.701), 0.9001))
    other = trial(2, runs=runs((0.7005, 0.7), 0.9))
    front = frontier([sure, unsure, other], objectives)
    judge = Judge(Guard(p_nondominated=0.9), front, objectives)
    assert judge.broken(sure.points[0]) == []
    (found,) = judge.broken(other.points[0])
    assert str(found.remedy).startswith("guard.p_nondominated were 0")
    unknown = [trial(0), trial(1, 0.71, 0.79)]
    (found,) = Judge(Guard(p_nondominated=0.9), frontier(unknown, objectives), objectives).broken(unknown[0].points[0])
    assert str(found) == "its P(non-dominated) was not measured, where at least 0.9 is allowed"
    assert str(found.remedy) == "guard.p_nondominated, which was not measured there, were left out"


def noisy(click, like):
    """Three replicates about these values."""
    return tuple(((click + d, like - d), (click, like)) for d in (-0.001, 0.0, 0.001))


@pytest.fixture
def torn(trial):
    """Each single-task model is far better at its own task, so that every point loses much in one of them."""
    return [
        trial(0, kind="single_task", runs=noisy(0.74, 0.75), parameters=1234567.0),
        trial(1, kind="single_task", runs=noisy(0.70, 0.84), parameters=1234568.0),
        trial(2, kind="mmoe", runs=noisy(0.7212345, 0.8212345), parameters=1234569.0),
        trial(3, kind="ple", runs=noisy(0.73, 0.81), parameters=1234570.0),
        trial(4, kind="ple", runs=noisy(0.71, 0.8301), parameters=1234571.0),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "guard.max_loss_in_standard_errors = 5",
        "guard.max_loss_vs_single_task = 0.001",
        "guard.max_loss_vs_single_task = 0.001\nguard.confidence = 0.9",
        "guard.max_loss_vs_single_task = { click.auc = -0.03, like.auc = -0.0061234 }\nguard.confidence = 0.9",
        "guard.max_loss_vs_single_task = { click.auc = -0.03 }",
        'guard.at_most."cost/parameters" = 100.0',
        'guard.at_least."like.auc" = 0.9\nguard.at_least."click.auc" = 0.9',
        'guard.within."like.auc" = [0.1, 0.2]',
        'rule = "epsilon"\nepsilon.best = "click.auc"\nepsilon.subject_to."like.auc" = 0.9',
        "guard.p_nondominated = 1.0",
        'simplest = true\nguard.at_least."click.auc" = 0.9',
    ],
)
def test_the_nearest_is_picked_exactly_where_the_guard_is_as_the_advice_has_it(torn, objectives, text):
    front, values = frontier(torn, objectives), parse_toml(text, "policy")
    with pytest.raises(NothingPasses, match=r"^no point of the front passes the guard; the nearest is trial") as error:
        pick(front, torn, objectives, Policy.model_validate(values))
    changes = flatten(parse_toml("\n".join(change.toml for change in error.value.changes), "advice"))
    told = str(error.value)
    assert f"the nearest is trial {error.value.pick.trial} " in told
    assert all(f"{value:g}" in told for value in changes.values() if isinstance(value, float))
    found = pick(front, torn, objectives, Policy.model_validate(nest(flatten(values) | changes)))
    assert found == error.value.pick


def test_a_loss_is_counted_in_standard_errors_of_the_paired_difference(torn, objectives):
    front = frontier(torn, objectives)
    judge = Judge(Guard(), front, objectives)
    error = judge.standard_error(torn[3].points[0], objectives[0])
    own = [sample(each, ["confirm/click.auc"]) for each in torn]
    (apart,) = differences(own).intervals(3, 0)
    assert error == pytest.approx(math.hypot(apart.seed, apart.data)) == pytest.approx(0.001 * math.sqrt(2 / 3))
    assert [each.objective for each in judge.broken(torn[3].points[0])] == ["click.auc", "like.auc"]
    assert str(judge.broken(torn[3].points[0])[0]) == (
        "it is 0.01 worse in click.auc than single-task trial 0 (0.74), 12.2 standard errors of that difference, where "
        "2 are allowed"
    )
    lenient = Judge(Guard(max_loss_in_standard_errors=12.3), front, objectives)
    assert [each.objective for each in lenient.broken(torn[3].points[0])] == ["like.auc"]
    assert [judge.standard_error(torn[at].points[0], each) for at, each in enumerate(objectives)] == [0.0, 0.0]


def test_what_the_rows_do_to_both_is_no_noise_of_their_difference(torn, objectives):
    """Every model moves alike on a resample, by far more than the models differ."""
    moves = [0.05, -0.05] * 20
    rows = {"confirm/click.auc": moves, "confirm/like.auc": moves}
    moved = [replace(p, replicates=tuple(replace(run, resampled=rows) for run in p.replicates)) for p in torn]
    errors = [Judge(Guard(), frontier(each, objectives), objectives).standard_error(each[3].points[0], objectives[0])
              for each in (torn, moved)]  # fmt: skip
    assert 0 < errors[1] <= errors[0]


def test_without_two_replicates_the_reason_says_what_could_not_be_judged(trial, objectives):
    records = [trial(0, kind="single_task", runs=runs((0.7,))), trial(1, runs=runs((0.6,), 0.9))]
    found = pick(frontier(records, objectives), records, objectives, Policy())
    assert "could not judge click.auc, like.auc: no point has two replicates, which tell the noise." in found.reason
    assert found.removed == ()


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
    with pytest.raises(UserError, match=r"it would be picked if epsilon.subject_to 'like.auc' were 0.82"):
        choose(0.9)


@given(st.floats(1e-6, 1e9), st.sampled_from([3, 6]))
def test_rounding_up_never_goes_below(value, digits):
    assert value <= float(round_up(value, digits)) <= value * (1 + 3 * 10.0 ** (1 - digits))
    assert -value <= float(round_up(-value, digits))
