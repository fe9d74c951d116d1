"""Verdicts about fronts whose relation is known."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from ledger_toys import GAINS, made_served, noisy
from scipy import stats

from bench.core.errors import UserError
from bench.core.objectives import Objective
from bench.core.records import Point
from bench.frontier.aims import aims_of
from bench.frontier.choices import served_choices
from bench.frontier.contest import Contest
from bench.frontier.decision import Decision
from bench.frontier.judging import Judge
from bench.frontier.lead import leads
from bench.frontier.pick import pick
from bench.frontier.policy import Policy
from bench.frontier.verdict import verdict
from bench.frontier.words.verdict import titles_of
from bench.results.ledger import PARTS

CLICK, LIKE = NAMES = ("click.recall@10%", "like.recall@10%")
OUTCOMES = tuple(Objective(name, "maximize") for name in NAMES)
NOW, RATES = "the current model", {"click": 0.1, "like": 0.02}
ANYTHING = {"guard": {"max_loss_vs_current": float("inf")}}


def front_of(rows, sd=0.001, known=True, slices=None, today=True, test=None, chance=0.0):
    """A served front of rows (point, role, weight of like, clicks, likes), of which the first one is current.

    All values err by `sd`, as a share, alike in all rows of a point. `test`: values in place of these there.
    """
    table = pd.DataFrame(rows, columns=("point", "role", "like", *NAMES))
    values = table[[*NAMES]].to_numpy(float)
    points = table["point"].tolist()
    of = np.random.default_rng(0).normal(size=(400, len(set(points)), 2)) * sd
    noise = of[:, [sorted(set(points)).index(each) for each in points]]
    moved = (1 + np.concatenate([noise, -noise]))[: None if known else 0]
    splits = {"confirm": values, "test": values if test is None else np.array(test)}
    draws = {split: (own * moved).astype(np.float32) for split, own in splits.items()}
    facts = pd.DataFrame({
        "point": points, "name": [f"model {each}" for each in points], "architecture": "mmoe",
        "role": table["role"], "kind": "power", "weights": [{"click": 1 - w, "like": w} for w in table["like"]],
        "on_front": True, "p_nondominated": np.nan,
    })  # fmt: skip
    served = made_served(OUTCOMES, facts, splits, draws, 0, slices, today)
    return replace(served, random=np.full(2, chance))


def judged(served, policy=None):
    policy = Policy.model_validate(policy or {})
    aims = aims_of(policy, served.names, RATES, served.today)
    choices = served_choices(served, [], aims[0])
    return Judge(policy, choices), aims, pick(choices, [], policy)


def told(served, policy=None, row=None, **more):
    """The verdict on the policy's own pick, or on a row."""
    judge, aims, chosen = judged(served, policy)
    row, more = (chosen.row, {"unlimited": chosen.unlimited} | more) if row is None else (row, more)
    found = verdict(served, judge, row, NOW, aims, **more)
    assert 1 <= len(found.answer) <= 2
    for each in found.answer:
        assert len(re.sub(r"\([^)]*\)", "", each).split()) <= 25, each
    return found


CURRENT = ("now", "current", 0.5, 0.40, 0.40)
BETTER = ("now", "current", 0.6, 0.41, 0.42)


def test_a_model_that_alone_gains_is_switched_to():
    found = told(front_of([CURRENT, ("7", "trial", 0.5, 0.44, 0.42)]))
    assert (found.kind, found.row, found.weights) == ("model", 1, None)
    assert found.answer == (f"Switch to model 7 (mmoe): it gains {found.both.utility} by the policy's rule.",)
    assert found.both.utility.value == pytest.approx(np.log([1.1, 1.05]).mean(), abs=0.001)
    headers, rows = found.table
    assert headers == ["model 7 (mmoe)", "model alone"]
    assert rows[1][0] == CLICK
    assert rows[1][1].startswith("+10.0% (")
    assert found.changes[LIKE].value == pytest.approx(0.05, abs=0.001)


def test_what_weights_alone_gain_is_not_the_models():
    found = told(front_of([CURRENT, BETTER, ("7", "trial", 0.5, 0.44, 0.44)]))
    assert found.kind == "model"
    alone = np.log([0.44 / 0.41, 0.44 / 0.42]).mean()
    assert found.model.utility.value == pytest.approx(alone, abs=0.001)
    assert found.weights.utility.value == pytest.approx(np.log([1.025, 1.05]).mean(), abs=0.001)
    assert found.both.utility.value == pytest.approx(found.weights.utility.value + found.model.utility.value)
    headers, rows = found.table
    assert headers[1:] == ["weights alone", "model alone", "both"]
    assert rows[0][1:] == [str(each.utility) for each in (found.weights, found.model, found.both)]


def test_where_only_weights_gain_the_model_is_kept():
    found = told(front_of([CURRENT, BETTER, ("7", "trial", 0.5, 0.41, 0.4201)], 0.0001))
    assert (found.kind, found.row, found.model) == ("weights", 1, None)
    assert found.answer == (
        f"Keep your model and change its weights: they gain {found.weights.utility} by the policy's rule.",
        "No other model adds more than 0.5%.",
    )
    assert found.both == found.weights
    open_ = told(front_of([CURRENT, BETTER, ("7", "trial", 0.5, 0.414, 0.42)], 0.01), row=2)
    assert open_.kind == "weights"
    assert "on top, which this test cannot tell from nothing" in open_.sentence


@pytest.mark.parametrize(
    ("rows", "sd", "why"),
    [
        ([("7", "trial", 0.5, 0.4001, 0.3999)], 0.0003, "nothing within its limits gains more than 0."),
        ([], 0.01, "nothing within its limits gains more than 0.0%"),
        (
            [("8", "trial", 0.5, 0.41, 0.40), ("7", "trial", 0.5, 0.32, 0.33)],
            0.03,
            "(mmoe) loses by the policy's rule",
        ),
    ],
)
def test_where_nothing_gains_what_there_is_is_kept(rows, sd, why):
    found = told(front_of([CURRENT, *rows], sd), ANYTHING, row=len(rows))
    assert (found.kind, found.keep, found.row) == ("keep", True, None)
    assert found.sentence.startswith(f"Keep {NOW}: ")
    assert why in found.sentence


def test_what_cannot_be_told_says_what_this_test_can_show():
    """The difference of two means of two logarithms, each with an error of 3%: one of 3%."""
    found = told(front_of([CURRENT, ("7", "trial", 0.5, 0.41, 0.412)], 0.03), row=1)
    assert found.kind == "unknown"
    assert found.answer[0].startswith("Cannot tell whether to switch: model 7 (mmoe) is at")
    least = 1.25 * (stats.norm.isf(0.05) + stats.norm.isf(0.2)) * 0.03
    assert found.least == pytest.approx(least, rel=0.1)
    assert f"This test shows gains of {100 * found.least:.1f}% or more four times in five." == found.answer[1]


def test_trees_that_are_ahead_are_what_to_switch_to():
    rows = [CURRENT, ("7", "trial", 0.5, 0.44, 0.42), ("trees", "baseline", 0.5, 0.6, 0.6)]
    assert told(front_of(rows)).sentence.startswith("Switch to model trees")


def test_what_is_ahead_in_every_head_is_in_the_answer():
    rows = [CURRENT, ("7", "trial", 0.5, 0.44, 0.42), ("8", "trial", 0.5, 0.43, 0.42)]
    found = told(front_of(rows, 0.02), heads=lambda point: ["model 8", "model trees"])
    assert found.answer[1] == "Ahead of the pick are model 8 in every head and model trees in every head."
    called = told(front_of(rows, 0.02), heads=lambda point: ["model 8"], titles={"model 7": "PLE", "model 8": "MMoE"})
    assert called.answer[0].startswith("Switch to PLE: it gains ")
    assert called.answer[1] == "MMoE is ahead of the pick in every head."
    assert called.table[0][0] == "PLE"
    assert found.ahead == ("model 8", "model trees")
    second = told(front_of(rows, 0.02), heads=lambda point: ["model 8"])
    assert second.answer[1] == "Model 8 is ahead of the pick in every head."


@pytest.mark.parametrize("seed", range(4))
def test_no_candidate_that_the_limits_admit_is_surely_ahead_of_the_answer_without_being_named(seed):
    """Whatever row the verdict is asked about."""
    rng = np.random.default_rng(seed)
    rows = [CURRENT] + [(str(each), "trial", w, *rng.uniform(0.38, 0.5, 2)) for each in range(3) for w in (0.3, 0.6)]
    served = front_of(rows, 0.0005)
    judge, aims, _ = judged(served)
    true = np.log(served.at("test")).mean(axis=1)
    for row in range(len(rows)):
        found = verdict(served, judge, row, NOW, aims)
        at = found.row if found.row is not None else 0 if found.keep else row
        ahead = {name for name, each, ok in zip(served.table["name"], true, judge.passing, strict=True)
                 if ok and each > true[at] + 0.005 and name != served.table["name"].iloc[at]}  # fmt: skip
        assert all(name in found.sentence.lower() for name in ahead), found.sentence


def test_what_the_limits_cost_is_said_and_what_noise_alone_excludes_is_counted():
    found = told(front_of([CURRENT, ("7", "trial", 0.5, 0.30, 0.60)]))
    assert (found.kind, found.row) == ("keep", None)
    assert found.sentence.startswith(
        f"Keep {NOW}: no point that the policy allows is better. Without its limits the po"
    )
    noise = told(front_of([CURRENT, ("7", "trial", 0.5, 0.385, 0.42)], 0.02))
    assert noise.kind == "keep"
    assert (
        noise.answer[1] == "One choice looks better and within the limits, but too few rows show that nothing is lost."
    )


# Where nobody said what is served


SINGLE = ("single_task", "baseline", 0.5, 0.40, 0.40)


def test_without_a_current_point_models_alone_are_compared_at_anchors():
    """By weights (1/2, 1/2), (3/4, 1/4), (1/4, 3/4), each model at what is best for it."""
    rows = [SINGLE, ("7", "trial", 0.5, 0.44, 0.41), ("7", "trial", 0.8, 0.40, 0.46)]
    found = told(front_of(rows, today=False))
    assert (found.kind, found.weights, found.both) == ("model", None, found.model)
    logs = np.log(np.array([row[3:] for row in rows]) / 0.4)
    weights = np.array([(0.5, 0.5), (0.75, 0.25), (0.25, 0.75)])
    average, *names = found.anchors
    expected = dict(zip(names, (logs @ weights.T).max(axis=0).tolist(), strict=True))
    assert {name: found.anchors[name].value for name in names} == pytest.approx(expected, abs=0.005)
    assert names == ["equal importance", f"3 times {CLICK}", f"3 times {LIKE}"]
    assert found.anchors[average].value == pytest.approx(np.mean([*expected.values()]), abs=0.002)
    assert found.answer == (f"Use model 7 (mmoe): it is ahead of single-task models by {found.anchors[average]}.",)
    assert "The average is over 3 ways to weigh the outcomes." in found.notes
    worst = min(expected, key=expected.get)
    assert found.table[1][:2] == [
        ["on average", str(found.anchors[average])],
        [f"at worst, {worst}", str(found.anchors[worst])],
    ]
    assert "are a start: 1% of each outcome counts alike." in " ".join(found.notes)


def test_leads_along_the_trade_are_the_verdicts_own_gains():
    rows = [SINGLE, ("7", "trial", 0.5, 0.44, 0.41), ("7", "trial", 0.8, 0.40, 0.46), ("9", "trial", 0.5, 0.41, 0.41)]
    served = front_of(rows, today=False)
    judge, aims, chosen = judged(served)
    found = leads([Contest(served, judge, aim, 0, chosen.row if aim is aims[0] else None) for aim in aims])
    assert [each.title for each in found] == [f"3 times {LIKE}", "equal importance", f"3 times {CLICK}"]
    said = told(served).anchors
    assert {each.title: each.gains["7"] for each in found} == {
        name: said[name] for name in said if name != "on average"
    }
    assert all(set(each.gains) == {"7", "9"} for each in found)
    with_current = front_of([CURRENT, BETTER, *rows[1:]])
    judge, aims, chosen = judged(with_current, ANYTHING)
    named = leads([Contest(with_current, judge, aim, 0, chosen.row if aim is aims[0] else None)
                   for aim in aims if aim.title != "no loss"])  # fmt: skip
    assert [each.title for each in named] == [f"3 times {LIKE}", "the policy", f"3 times {CLICK}"]
    assert named[1].gains["7"] == told(with_current, ANYTHING).model.utility
    assert all(set(each.gains) == {"7", "9"} for each in named)


@pytest.mark.parametrize(
    ("row", "today", "score"), [(0, True, "advised"), (None, True, "today"), (None, False, "pick")]
)
def test_where_what_there_is_is_kept_the_score_is_todays(row, today, score):
    served = SimpleNamespace(current=2, today=today)
    decision = SimpleNamespace(
        serving=SimpleNamespace(served=served), verdict=SimpleNamespace(row=row), pick=SimpleNamespace(row=1),
        formulas=["advised", "pick", "today"],
    )  # fmt: skip
    assert Decision.formula.fget(decision) == score


@pytest.mark.parametrize(
    ("of", "sd", "kind", "first"),
    [
        (
            (0.4001, 0.4),
            0.0003,
            "keep",
            "Single-task models are as good: no other model is ahead of them by more",
        ),
        ((0.41, 0.405), 0.03, "unknown", "Cannot tell whether any model is ahead of single-task models: the best, mo"),
    ],
)
def test_without_one_a_model_may_be_as_good_or_not_be_told(of, sd, kind, first):
    found = told(front_of([SINGLE, ("7", "trial", 0.5, *of)], sd, today=False), row=1)
    assert (found.kind, found.row) == (kind, None if kind == "keep" else 1)
    assert found.answer[0].startswith(first)


def test_without_one_no_loss_is_excluded_but_what_is_below_a_random_order():
    rows = [SINGLE, ("7", "trial", 0.5, 0.60, 0.32), ("8", "trial", 0.5, 0.90, 0.08)]
    judge, _, chosen = judged(front_of(rows, today=False, chance=0.1))
    assert judge.passing.tolist() == [True, True, False]
    assert chosen.row == 1
    assert f"its {LIKE} is 0.08, where a random order has 0.1" in str(judge.broken(2)[0])


@pytest.mark.parametrize(
    "guard",
    [
        {"at_least": {CLICK: "98% of current"}},
        {"max_loss_vs_current": 0.02},
        {"max_loss_vs_current": {CLICK: 0.02}},
        {"segments": {"max_loss": 0.02}},
    ],
    ids=str,
)
def test_without_one_a_policy_that_says_of_current_is_refused_with_the_remedy(guard):
    served = front_of([SINGLE, ("7", "trial", 0.5, 0.44, 0.44)], today=False, slices=cells_of({"home": (0.1, 0.1)}))
    with pytest.raises(UserError, match="nobody said what is served today; name it"):
        judged(served, {"guard": guard})
    assert judged(served, ANYTHING)[2].row == 1


# Values, noise, segments


def test_by_values_what_earns_most_is_switched_to():
    """Per impression .1 clicks of 1 and .02 likes of 40: likes are worth eight times as much."""
    served = front_of([CURRENT, ("7", "trial", 0.5, 0.60, 0.39), ("8", "trial", 0.5, 0.39, 0.44)])
    assert told(served).row == 1
    found = told(served, {"rule": "value", "values": {"click": 1, "like": 40}})
    assert (found.kind, found.row) == ("model", 2)
    assert found.both.utility.value == pytest.approx((0.1 * 0.39 + 0.8 * 0.44) / (0.9 * 0.4) - 1, abs=0.001)
    far = front_of([("now", "current", 0.5, 0.10, 0.10), ("7", "trial", 0.5, 0.60, 0.39)], 0.1, today=True)
    ratio = told(far, {"rule": "value", "values": {"click": 1, "like": 40}, **ANYTHING}).both.utility
    # what today earns is as uncertain as what it is compared with: relative errors of both, not of one
    assert ratio.high - ratio.low > 1.2 * (ratio.value + 1) * 2 * 1.64 * 0.1 * np.hypot(1, 8) / 9
    assert not found.ahead


def test_what_the_rule_weighs_beside_outcomes_is_said_to_be_left_out():
    served = front_of([CURRENT, ("7", "trial", 0.5, 0.44, 0.42)])
    judge, (aim, *_), chosen = judged(served)
    assert "leave out" not in " ".join(verdict(served, judge, chosen.row, NOW, [aim]).notes)
    policy = Policy.model_validate({"rule": "weights", "weights": {CLICK: 3, "cost/latency_ms": 1}})
    weighed = aims_of(policy, served.names, RATES, today=True)
    found = verdict(served, judge, chosen.row, NOW, weighed)
    assert found.notes[-1] == "The policy's rule also weighs cost/latency_ms, which these gains leave out."


def test_test_rows_choose_nothing():
    served = front_of([CURRENT, BETTER, ("7", "trial", 0.5, 0.44, 0.42), ("8", "trial", 0.4, 0.43, 0.42)], 0.02)
    found = []
    for each in (served, noisy(served)):
        judge, aims, chosen = judged(each)
        found.append((Contest(each, judge, aims[0], 0, chosen.row).best, judge.passing.tolist(), chosen.row))
    assert found[0] == found[1]


def test_it_is_told_by_test_alone():
    rows = [CURRENT, ("7", "trial", 0.5, 0.44, 0.42)]
    found = told(front_of(rows, test=[(0.40, 0.40), (0.40, 0.36)]), row=1)
    assert found.keep
    assert found.both.utility.lost


def test_one_training_each_tells_nothing():
    for today, first in ((True, CURRENT), (False, SINGLE)):
        found = told(front_of([first, ("7", "trial", 0.5, 0.42, 0.41)], known=False, today=today), row=1)
        assert found.kind == "unknown"
        assert "no intervals" in found.sentence
        assert "nan" not in found.sentence


def test_an_outcome_that_the_current_point_has_none_of_is_left_open():
    found = told(front_of([("now", "current", 0.5, 0.40, 0.0), ("7", "trial", 0.5, 0.44, 0.1)], 0.01), ANYTHING, row=1)
    assert found.table[1][2] == [LIKE, "(no per cent: the current one is 0)"]
    assert "nan" not in found.sentence
    assert found.to_json()["both"][LIKE]


def test_a_pick_that_rarely_holds_is_never_told_without_saying_so():
    served = front_of([CURRENT, ("7", "trial", 0.5, 0.42, 0.41)])
    rarely = told(served, holds=0.49, others=("trial 8", "trial 9"), suspicion="Check it.")
    rarely = " ".join((*rarely.answer, *rarely.notes))
    assert "may change the pick: it holds in 49% of retrainings; trial 8 and trial 9 come first in the others" in rarely
    assert rarely.endswith(" Check it.")
    assert "The pick holds in 90% of retrainings." in told(served, holds=0.9).notes
    kept = told(front_of([CURRENT, ("7", "trial", 0.5, 0.36, 0.36)]), holds=0.49)
    assert "retrainings" not in " ".join(kept.notes), "nobody retrains what is not to be served"


def cells_of(gains, error=0.01):
    """Cells of both splits: by scenario the gains of row 1 in both outcomes, NaN for too few positives."""
    cells = {(split, f"scenario={name}"): np.full((2, 2, len(PARTS)), np.nan)
             for split in ("confirm", "test") for name in gains}  # fmt: skip
    for (_, name), own in cells.items():
        gain = np.array(gains[name.partition("=")[2]])
        own[1, :, GAINS] = gain, gain - 1.645 * error, gain + 1.645 * error
    return cells


def test_the_segment_that_loses_most_is_named_with_intervals_for_all_of_them():
    gains = {"home": (0.2, 0.0), "search": (0.0, -0.2), "cart": (0.02, -0.1), "rare": (np.nan, np.nan)}
    rows = [CURRENT, ("7", "trial", 0.5, 0.42, 0.41)]
    found = told(front_of(rows, slices=cells_of(gains)))
    assert found.answer[1] == f"It loses most in scenario=search: {LIKE} -20.0% (-22.4 to -17.6)."
    assert found.table[0][-1] == "loses most in"
    assert [row[-1] for row in found.table[1]] == ["", "", "scenario=search -20.0% (-22.4 to -17.6)"]
    shown = found.to_json()["segments"]
    assert shown["scenario=rare"] == dict.fromkeys(NAMES)
    ends = shown["scenario=home"][CLICK]
    assert 0.2 - ends["low"] == pytest.approx(0.01 * stats.norm.isf(0.05 / 6), rel=1e-3)  # six at once
    assert "loses most in" not in told(front_of(rows, slices=cells_of({"home": (0.2, 0.0)}))).table[0]


def test_where_rows_are_few_both_ways_round_judge_the_gain_and_test_alone_the_outcomes():
    rows = [CURRENT, ("8", "trial", 0.5, 0.40, 0.40), ("7", "trial", 0.5, 0.44, 0.44)]
    served = front_of(rows, 0.02, test=[[0.40, 0.40], [0.40, 0.40], [0.44, 0.44]])
    other = front_of([*rows[:2], ("7", "trial", 0.9, 0.50, 0.39)], 0.02)
    other = replace(other, draws={split: own[::-1] for split, own in other.draws.items()})  # rows that err otherwise
    judge, aims, chosen = judged(served)
    turned = other, judged(other, ANYTHING)[0]
    one, both = Contest(served, judge, aims[0], 0, chosen.row), Contest(served, judge, aims[0], 0, chosen.row, turned)
    expected = one.goal.utility(np.array([[0.44, 0.44], [0.50, 0.39]])).mean()
    assert both.goal.utility(both.values_of_u[2]) == pytest.approx(expected, abs=0.005)
    assert both.moves(2, 0).outcomes == one.moves(2, 0).outcomes
    apart = [each.moves(2, 0).utility for each in (one, both)]
    assert apart[1].high - apart[1].low < apart[0].high - apart[0].low
    assert both.values_of_u[1] == pytest.approx(both.values_of_u[0])
    found = verdict(served, judge, chosen.row, NOW, aims, turned=turned)
    assert "the mean of two tests" in " ".join(found.notes)
    assert found.both.utility == both.moves(chosen.row, 0).utility


def test_trials_are_called_by_what_they_are_and_by_number_only_where_nothing_else_tells_them_apart():
    def trial(number, kind, balancing="static", until=None, **experts):
        of = {f"sharing.{kind}.{name}": many for name, many in experts.items()}
        config = {"sharing.kind": kind, "balancing.kind": balancing, "optim.lr": 0.01 if number < 8 else 0.0031} | of
        return Point("trial", config, kind, number=number, until=until)

    points = [
        trial(1, "ple", shared_experts=3, own_experts=2), trial(2, "mmoe", experts=4, until=16_384),
        trial(3, "shared_bottom"), trial(4, "shared_bottom", "dwa"), trial(5, "omoe", experts=1),
        trial(6, "omoe", experts=1), trial(7, "cgc"), trial(8, "cgc"),
        Point("trees", {}, "trees"),
    ]  # fmt: skip
    assert titles_of(points) == {
        "trial 1": "PLE, 3 shared and 2 own experts",
        "trial 2 stopped after 16,384 samples": "MMoE, 4 experts, stopped after 16,384 samples",
        "trial 3": "Shared-bottom, static",
        "trial 4": "Shared-bottom, dwa",
        "trial 5": "OMoE, 1 expert (trial 5)",
        "trial 6": "OMoE, 1 expert (trial 6)",
        "trial 7": "CGC, optim lr 0.01",
        "trial 8": "CGC, optim lr 0.0031",
    }
