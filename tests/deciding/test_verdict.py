"""Verdicts about fronts whose relation is known."""

import re
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from ledger_toys import GAINS, made_served, noisy
from scipy import stats

from bench.core.errors import UserError
from bench.core.objectives import Objective
from bench.core.records import Point, Replicate
from bench.deciding.aims import aims_of
from bench.deciding.answering import verdict_of
from bench.deciding.attribution import attributed
from bench.deciding.case import Case
from bench.deciding.choices import served_choices
from bench.deciding.contest import Contest, Contests
from bench.deciding.judging import Judge
from bench.deciding.pick import pick
from bench.deciding.policy import Policy
from bench.ledger.effect import Effect
from bench.ledger.ledger import PARTS

CLICK, LIKE = NAMES = ("click.recall@10%", "like.recall@10%")
OUTCOMES = tuple(Objective(name, "maximize") for name in NAMES)
NOW, RATES = "the current model", {"click": 0.1, "like": 0.02}
ANYTHING = {"guard": {"max_loss_vs_current": float("inf")}}


def front_of(rows, sd=0.001, with_draws=True, slices=None, today=True, test=None, chance=0.0):
    """A served front of rows (point, role, weight of like, clicks, likes), of which the first one
    is current.

    All values err by `sd`, as a share, alike in all rows of a point. `test`: values in place of
    these there.
    """
    table = pd.DataFrame(rows, columns=("point", "role", "like", *NAMES))
    values = table[[*NAMES]].to_numpy(float)
    points = table["point"].tolist()
    errors = np.random.default_rng(0).normal(size=(400, len(set(points)), 2)) * sd
    noise = errors[:, [sorted(set(points)).index(point) for point in points]]
    moved = (1 + np.concatenate([noise, -noise]))[: None if with_draws else 0]
    splits = {"confirm": values, "test": values if test is None else np.array(test)}
    draws = {
        split: (split_values * moved).astype(np.float32) for split, split_values in splits.items()
    }
    facts = pd.DataFrame(
        {
            "point": points,
            "name": [f"model {point}" for point in points],
            "architecture": "mmoe",
            "role": table["role"],
            "kind": "power",
            "weights": [{"click": 1 - w, "like": w} for w in table["like"]],
            "on_front": True,
            "p_nondominated": np.nan,
        }
    )
    served = made_served(OUTCOMES, facts, splits, draws, 0, slices, today)
    return replace(served, random=np.full(2, chance))


def judged(served, policy=None):
    policy = Policy.model_validate(policy or {})
    aims = aims_of(policy, served.names, RATES, served.today)
    choices = served_choices(served, [], aims[0])
    return Judge(policy, choices), aims, pick(choices, [], policy)


def case_of(served, judge, row, aims, turned=None, **extra):
    """The case of a verdict on a row."""
    contests = Contests(served, judge, aims, 0, row, turned).of_verdict()
    return Case(contests=contests, judge=judge, pick=row, against=NOW, **extra)


def told(served, policy=None, row=None, **extra):
    """The verdict on the policy's own pick, or on a row."""
    judge, aims, chosen = judged(served, policy)
    row, extra = (
        (chosen.row, {"unlimited": chosen.unlimited} | extra) if row is None else (row, extra)
    )
    verdict = verdict_of(case_of(served, judge, row, aims, **extra))
    assert 1 <= len(verdict.answer) <= (4 if "attributed" in extra else 2)
    for sentence in verdict.answer:
        assert len(re.sub(r"\([^)]*\)", "", sentence).split()) <= 25, sentence
    return verdict


CURRENT = ("now", "current", 0.5, 0.40, 0.40)
BETTER = ("now", "current", 0.6, 0.41, 0.42)


def test_a_model_that_alone_gains_is_switched_to():
    verdict = told(front_of([CURRENT, ("7", "trial", 0.5, 0.44, 0.42)]))
    assert (verdict.kind, verdict.row, verdict.weights) == ("model", 1, None)
    gain = (
        f"Switch to model 7 (mmoe): it gains {verdict.both.utility} on average over the outcomes."
    )
    assert verdict.answer == (gain,)
    limit = "at least 95% of current with 75% confidence"
    assert verdict.notes[-1] == f"Limits in force: {CLICK} and {LIKE} {limit}."
    assert verdict.both.utility.value == pytest.approx(np.sqrt(1.1 * 1.05) - 1, abs=0.001)
    headers, rows = verdict.table
    assert headers == ["model 7 (mmoe)", "model alone"]
    assert rows[1][0] == CLICK
    assert rows[1][1].startswith("+10.0% (")
    assert verdict.changes[LIKE].value == pytest.approx(0.05, abs=0.001)


def test_what_weights_alone_gain_is_not_the_models():
    verdict = told(front_of([CURRENT, BETTER, ("7", "trial", 0.5, 0.44, 0.44)]))
    assert verdict.kind == "model"
    alone = np.sqrt((0.44 / 0.41) * (0.44 / 0.42)) - 1
    assert verdict.model.utility.value == pytest.approx(alone, abs=0.001)
    assert verdict.weights.utility.value == pytest.approx(np.sqrt(1.025 * 1.05) - 1, abs=0.001)
    combined = (1 + verdict.weights.utility.value) * (1 + verdict.model.utility.value) - 1
    assert verdict.both.utility.value == pytest.approx(combined)
    headers, rows = verdict.table
    assert headers[1:] == ["weights alone", "model alone", "both"]
    assert rows[0][1:] == [
        str(part.utility) for part in (verdict.weights, verdict.model, verdict.both)
    ]


def test_where_only_weights_gain_the_model_is_kept():
    verdict = told(front_of([CURRENT, BETTER, ("7", "trial", 0.5, 0.41, 0.4201)], 0.0001))
    assert (verdict.kind, verdict.row, verdict.model) == ("weights", 1, None)
    assert verdict.answer == (
        (
            f"Keep your model and change its weights: they gain {verdict.weights.utility} on average "
            "over the outcomes."
        ),
        "No other model adds more than 0.5%.",
    )
    assert verdict.both == verdict.weights
    open_ = told(front_of([CURRENT, BETTER, ("7", "trial", 0.5, 0.414, 0.42)], 0.01), row=2)
    assert open_.kind == "weights"


@pytest.mark.parametrize(
    ("rows", "sd"),
    [
        ([("7", "trial", 0.5, 0.4001, 0.3999)], 0.0003),
        ([("8", "trial", 0.5, 0.41, 0.40), ("7", "trial", 0.5, 0.32, 0.33)], 0.03),
    ],
)
def test_where_nothing_gains_what_there_is_is_kept(rows, sd):
    verdict = told(front_of([CURRENT, *rows], sd), ANYTHING, row=len(rows))
    assert (verdict.kind, verdict.keep, verdict.row) == ("keep", True, None)
    assert NOW in verdict.sentence


def test_new_weights_that_gain_too_little_are_not_advised():
    rows = [CURRENT, ("now", "trial", 0.6, 0.4012, 0.4012)]
    assert told(front_of(rows, 0.0003), row=1).kind == "keep"
    assert told(front_of(rows, 0.0003), Policy(least_gain=0.001), row=1).kind == "weights"


def test_what_cannot_be_told_says_what_this_test_can_show():
    """The difference of two means of two logarithms, each with an error of 3%: one of 3%."""
    verdict = told(front_of([CURRENT, ("7", "trial", 0.5, 0.41, 0.412)], 0.03), row=1)
    assert verdict.kind == "unknown"
    smallest = 1.25 * (stats.norm.isf(0.05) + stats.norm.isf(0.2)) * 0.03
    assert verdict.detectable == pytest.approx(smallest, rel=0.1)
    # but not surely
    behind = told(front_of([CURRENT, ("7", "trial", 0.5, 0.395, 0.395)], 0.03), row=1)
    assert behind.kind == "unknown"
    assert behind.both.utility.value < 0 < behind.both.utility.high


@pytest.mark.parametrize("seed", range(4))
def test_no_candidate_that_the_limits_admit_is_surely_ahead_of_the_answer_without_being_named(seed):
    """Whatever row the verdict is asked about."""
    rng = np.random.default_rng(seed)
    rows = [CURRENT] + [
        (str(number), "trial", w, *rng.uniform(0.38, 0.5, 2))
        for number in range(3)
        for w in (0.3, 0.6)
    ]
    served = front_of(rows, 0.0005)
    judge, aims, _ = judged(served)
    true = np.log(served.at("test")).mean(axis=1)
    for row in range(len(rows)):
        verdict = verdict_of(case_of(served, judge, row, aims))
        answer_row = verdict.row if verdict.row is not None else 0 if verdict.keep else row
        ahead = {
            name
            for name, level, ok in zip(served.table["name"], true, judge.passing, strict=True)
            if ok
            and level > true[answer_row] + 0.005
            and name != served.table["name"].iloc[answer_row]
        }
        assert all(name in verdict.sentence.lower() for name in ahead), verdict.sentence


# Where nobody said what is served


SINGLE = ("single_task", "baseline", 0.5, 0.40, 0.40)


def test_without_a_current_point_models_alone_are_compared_at_anchors():
    """By weights (1/2, 1/2), (3/4, 1/4), (1/4, 3/4), each model at what is best for it."""
    rows = [SINGLE, ("7", "trial", 0.5, 0.44, 0.41), ("7", "trial", 0.8, 0.40, 0.46)]
    verdict = told(front_of(rows, today=False))
    assert (verdict.kind, verdict.weights, verdict.both) == ("model", None, verdict.model)
    logs = np.log(np.array([row[3:] for row in rows]) / 0.4)
    weights = np.array([(0.5, 0.5), (0.75, 0.25), (0.25, 0.75)])
    average, *names = verdict.anchors
    expected = dict(zip(names, np.expm1((logs @ weights.T).max(axis=0)).tolist(), strict=True))
    assert {name: verdict.anchors[name].value for name in names} == pytest.approx(
        expected, abs=0.005
    )
    assert names == ["all count alike", f"{CLICK} counts 3 times", f"{LIKE} counts 3 times"]
    assert verdict.anchors[average].value == pytest.approx(np.mean([*expected.values()]), abs=0.002)
    ahead = f"Use model 7 (mmoe): it is ahead of single-task models by {verdict.anchors[average]}"
    assert verdict.answer[0] == f"{ahead} on average over the outcomes."
    worst = min(expected, key=expected.get)
    assert verdict.table[1][:2] == [
        ["all outcomes, on average over 3 weightings", str(verdict.anchors[average])],
        [f"the same where {worst}: the least", str(verdict.anchors[worst])],
    ]


@pytest.mark.parametrize(
    ("values", "sd", "expected"),
    [((0.4001, 0.4), 0.0003, ("keep", None)), ((0.41, 0.405), 0.03, ("unknown", 1))],
)
def test_without_one_a_model_may_be_as_good_or_not_be_told(values, sd, expected):
    verdict = told(front_of([SINGLE, ("7", "trial", 0.5, *values)], sd, today=False), row=1)
    assert (verdict.kind, verdict.row) == expected


def test_without_one_single_task_models_are_not_told_as_rivals_of_themselves():
    """The pick has settings of its own, but shares nothing, as what it is compared with."""
    rows = [SINGLE, ("twin", "baseline", 0.5, 0.4001, 0.4), ("7", "trial", 0.5, 0.398, 0.4)]
    served = front_of(rows, 0.03, today=False)
    served.table["architecture"] = ["single_task", "single_task", "mmoe"]
    verdict = told(served, row=1)
    assert verdict.kind == "unknown"
    assert "single-task models: model 7 (mmoe) is at " in verdict.answer[0]


def test_without_one_no_loss_is_excluded_but_what_is_below_a_random_order():
    rows = [SINGLE, ("7", "trial", 0.5, 0.60, 0.32), ("8", "trial", 0.5, 0.90, 0.08)]
    judge, _, chosen = judged(front_of(rows, today=False, chance=0.1))
    assert judge.passing.tolist() == [True, True, False]
    assert chosen.row == 1


def test_without_one_a_lone_model_and_one_that_alone_keeps_the_limits_are_told_apart():
    below_chance = ("8", "trial", 0.5, 0.90, 0.08)
    served = front_of([SINGLE, below_chance, below_chance], today=False, chance=0.1)
    limited = told(served)
    assert (limited.kind, limited.both) == ("unknown", None)
    assert limited.answer == (
        "Nothing is compared: only model single_task keeps the limits, and every other model "
        "breaks one at all of its weights.",
    )
    assert limited.notes[-1] == (
        f"Limits in force: {CLICK} and {LIKE} at least that of a random order."
    )
    assert [bool(model.refused) for model in limited.models] == [True]

    by_policy = told(front_of([SINGLE, PICKED], today=False), {"guard": {"at_most": {CLICK: 0.41}}})
    assert by_policy.answer[0] == limited.answer[0]
    assert by_policy.answer[1].startswith("model 7 (mmoe) is ahead of the pick by +10.0% ")
    assert by_policy.notes[-1].startswith(f"Limits in force: {CLICK} at most 0.41; ")

    alone = told(front_of([SINGLE], today=False))
    assert alone.answer[0].startswith("Nothing is compared: there is one model, and nobody said ")


@pytest.mark.parametrize(
    "guard", [{"at_least": {CLICK: "98% of current"}}, {"segments": {"max_loss": 0.02}}], ids=str
)
def test_without_one_a_policy_that_says_of_current_is_refused_with_the_remedy(guard):
    served = front_of(
        [SINGLE, ("7", "trial", 0.5, 0.44, 0.44)],
        today=False,
        slices=cells_of({"home": (0.1, 0.1)}),
    )
    with pytest.raises(UserError, match="nobody said what is served today; name it"):
        judged(served, {"guard": guard})
    assert judged(served, ANYTHING)[2].row == 1


# Values, noise, segments


def test_by_values_what_earns_most_is_switched_to():
    """Per impression .1 clicks of 1 and .02 likes of 40: likes are worth eight times as much."""
    served = front_of([CURRENT, ("7", "trial", 0.5, 0.60, 0.39), ("8", "trial", 0.5, 0.39, 0.44)])
    assert told(served).row == 1
    verdict = told(served, {"rule": "value", "values": {"click": 1, "like": 40}})
    assert (verdict.kind, verdict.row) == ("model", 2)
    assert verdict.both.utility.value == pytest.approx(
        (0.1 * 0.39 + 0.8 * 0.44) / (0.9 * 0.4) - 1, abs=0.001
    )
    far = front_of(
        [("now", "current", 0.5, 0.10, 0.10), ("7", "trial", 0.5, 0.60, 0.39)], 0.1, today=True
    )
    ratio = told(
        far, {"rule": "value", "values": {"click": 1, "like": 40}, **ANYTHING}
    ).both.utility
    # what today earns is as uncertain as what it is compared with: relative errors of both, not of
    # one
    assert ratio.high - ratio.low > 1.2 * (ratio.value + 1) * 2 * 1.64 * 0.1 * np.hypot(1, 8) / 9
    assert not verdict.ahead


def test_under_values_nothing_is_limited_unless_asked_and_the_largest_loss_is_told_first():
    served = front_of([CURRENT, ("7", "trial", 0.5, 0.30, 0.60)])
    by_values = {"rule": "value", "values": {"click": 1, "like": 40}}
    verdict = told(served, by_values)
    assert (verdict.kind, verdict.row, verdict.limits) == ("model", 1, ())
    assert verdict.answer[1].startswith(f"It loses most in {CLICK}: -25.0% (")
    assert verdict.notes[-1] == "No limit is in force, as your values say what a loss costs."
    limited = told(served, by_values | {"guard": {"max_loss_vs_current": {CLICK: 0.1}}})
    assert limited.keep
    assert limited.limits == (f"{CLICK} at least 90% of current with 75% confidence",)


def test_what_is_ahead_and_refused_by_a_limit_is_told_with_its_gain_its_loss_and_the_option_that_allows_it():
    served = front_of([CURRENT, ("7", "trial", 0.5, 0.42, 0.41), ("8", "trial", 0.5, 0.36, 0.60)])
    verdict = told(served)
    assert verdict.answer[0].startswith("Switch to model 7")
    assert verdict.ahead == ("model 8",)
    refusal = rf"model 8 \(mmoe\) is ahead of the pick by \+1[0-9.]+% \(.*\), but changes {CLICK} by -10.0% \(.*\), "
    assert re.match(refusal + r"beyond the limit \(at least 95% of current\)\.", verdict.answer[1])
    option = re.search(r'--at-least "(.*)=(.*)"', verdict.notes[0])
    assert told(served, {"guard": {"at_least": {option[1]: option[2]}}}).row == 2
    refused = {model.point: model.refused for model in verdict.models}
    assert refused == {"8": f"{CLICK} at least 95% of current", "7": ""}


def test_what_is_ahead_and_was_not_chosen_is_told_with_what_the_rows_that_chose_put_first():
    rows = [CURRENT, ("7", "trial", 0.5, 0.42, 0.42), ("8", "trial", 0.5, 0.41, 0.41)]
    verdict = told(front_of(rows, test=[(0.40, 0.40), (0.42, 0.42), (0.44, 0.44)]))
    assert verdict.row == 1
    assert re.fullmatch(
        r"model 8 \(mmoe\) is ahead of the pick by \+4\.\d% \(.*\), but the rows that chose put "
        r"model 7 \(mmoe\) first\.",
        verdict.answer[1],
    )


@pytest.mark.parametrize("today", [True, False])
def test_a_row_that_is_the_mean_of_two_tests_says_so(today):
    served = front_of(
        [CURRENT, ("7", "trial", 0.5, 0.42, 0.42), ("8", "trial", 0.5, 0.41, 0.41)], today=today
    )
    judge, aims, chosen = judged(served)

    ways = {}
    for turned in (None, (served, judge)):
        verdict = verdict_of(case_of(served, judge, chosen.row, aims, turned))
        ways[turned is not None] = verdict.table[1][0][0], verdict.by_model[0][1]
    for one_way, both_ways in zip(ways[False], ways[True], strict=True):
        assert both_ways == f"{one_way} (mean of two tests)"
        assert "mean of two tests" not in one_way


def test_each_model_at_its_best_weights_stands_in_one_table_the_largest_gain_first():
    rows = [
        CURRENT,
        BETTER,
        ("7", "trial", 0.5, 0.44, 0.44),
        ("7", "trial", 0.8, 0.41, 0.41),
        ("8", "trial", 0.5, 0.38, 0.40),
    ]
    verdict = told(front_of(rows))
    headers, lines = verdict.by_model
    assert headers == [
        "each model at its best weights",
        "all outcomes, on average",
        CLICK,
        LIKE,
        "refused by",
    ]
    assert [bool(line[-1]) for line in lines] == [False, False, True]
    assert [line[0] for line in lines] == ["model 7 (mmoe)", "model now", "model 8 (mmoe)"]
    assert lines[0][2].startswith("+10.0% (")
    assert lines[1][2].startswith("+2.5% (")
    alone = told(front_of([CURRENT, ("7", "trial", 0.5, 0.44, 0.44)]))
    assert alone.by_model == ([], [])


def test_the_reference_that_nobody_serves_has_the_weights_that_all_gains_are_over():
    """The verdict begins from the very row that cells are over, whatever other weights the
    reference has.
    """
    rows = [SINGLE, ("single_task", "baseline", 0.6, 0.401, 0.401), ("7", "trial", 0.5, 0.44, 0.42)]
    served = front_of(rows, today=False)
    judge, aims, chosen = judged(served)
    assert Contest(served, judge, aims[0], 0, chosen.row).start == served.current


def test_models_that_are_behind_on_test_are_not_said_to_look_better():
    rows = [CURRENT, ("7", "trial", 0.5, 0.42, 0.385), ("8", "trial", 0.5, 0.42, 0.384)]
    worse = told(front_of(rows, 0.03, test=[(0.4, 0.4), (0.39, 0.37), (0.39, 0.37)]))
    assert "looks better" not in " ".join((*worse.answer, *worse.notes))


def test_test_rows_choose_nothing():
    served = front_of(
        [CURRENT, BETTER, ("7", "trial", 0.5, 0.44, 0.42), ("8", "trial", 0.4, 0.43, 0.42)], 0.02
    )
    results = []
    for front in (served, noisy(served)):
        judge, aims, chosen = judged(front)
        results.append(
            (Contest(front, judge, aims[0], 0, chosen.row).best, judge.passing.tolist(), chosen.row)
        )
    assert results[0] == results[1]


def test_it_is_told_by_test_alone():
    rows = [CURRENT, ("7", "trial", 0.5, 0.44, 0.42)]
    verdict = told(front_of(rows, test=[(0.40, 0.40), (0.40, 0.36)]), row=1)
    assert verdict.keep
    assert verdict.both.utility.lost


def test_a_pick_that_rarely_holds_is_never_told_without_saying_so():
    served = front_of([CURRENT, ("7", "trial", 0.5, 0.42, 0.41)])
    rarely = told(served, holds=0.49, first_instead=("trial 8", "trial 9"), suspicion="Check it.")
    rarely = " ".join((*rarely.answer, *rarely.notes))
    assert (
        "may change the pick: it holds in 49% of retrainings; trial 8 and trial 9 come first in "
        "the others"
    ) in rarely
    assert "Check it." in rarely
    assert "The pick holds in 90% of retrainings." in told(served, holds=0.9).notes
    unchanged = told(front_of([CURRENT, ("7", "trial", 0.5, 0.36, 0.36)]), holds=0.49)
    assert "retrainings" not in " ".join(unchanged.notes), (
        "nobody retrains what is not to be served"
    )


def configured(point, kind="trial", **settings):
    """A confirmed point; `numeric` and `lr` stand for all settings beside sharing."""
    config = {
        {"sharing": "sharing.kind", "numeric": "numeric.kind", "lr": "optim.lr"}.get(
            key, key
        ): value
        for key, value in settings.items()
    }
    number = int(point) if kind == "trial" else None
    label = point.removeprefix("twin ") if kind == "twin" else ""
    return Point(kind, config, kind, number=number, label=label, replicates=(Replicate(1, 1, {}),))


ALONE, PLE = {"sharing": "single_task"}, {"sharing": "ple"}
BUCKET, PIECEWISE = {"numeric": "bucket", "lr": 0.1}, {"numeric": "piecewise_linear", "lr": 0.1}
PICKED = ("7", "trial", 0.5, 0.44, 0.44)


def answer_of(twin=None, of_twin=PIECEWISE, of_reference=BUCKET, pick=PICKED, further_points=()):
    """The last sentence of a verdict about a pick, where single-task models with its settings have
    such outcomes.
    """
    points = [
        configured("0", **ALONE, **of_reference),
        configured("7", **PLE, **PIECEWISE),
        Point(
            "single_task", {"sharing.kind": "single_task", "single_task.click": "0"}, "single_task"
        ),
        *([configured("twin 7", "twin", **ALONE, **of_twin)] if twin else []),
        *further_points,
    ]
    rows = [SINGLE, pick, *([("twin 7", "baseline", 0.5, twin, twin)] if twin else [])]
    rows += [("trees", "baseline", 0.5, 0.43, 0.43)] if pick[0] == "blend" else []
    rows += [PICKED] if pick[0] == "blend" else []
    verdict = told(front_of(rows, today=False), attributed=partial(attributed, points), row=1)
    assert verdict.kind == "model"
    return verdict.answer[-1]


def test_the_part_of_a_gain_that_is_settings_and_not_sharing_is_told():
    """Single-task models with the pick's settings tell it, by the same contest. Parts multiply:
    shares are of logs.
    """
    settings = re.escape("the way numbers enter (piecewise_linear)")
    share = np.log(1.05) / np.log(1.1)
    sentence = answer_of(twin=0.42)
    assert re.fullmatch(
        rf"{share:.0%} of it is {settings}; sharing adds \+4\.8% \(\S+ to \S+\)\.", sentence
    ), sentence
    assert np.isclose((1 + 0.05) * (1 + 0.44 / 0.42 - 1), 1.1)
    all_of_it = answer_of(twin=0.44)
    assert re.match(rf"All of it is {settings}; sharing adds \+0\.0% ", all_of_it), all_of_it
    none_of_it = answer_of(twin=0.39)
    assert re.match(rf"No part of it is {settings}; sharing adds \+12\.8% ", none_of_it), none_of_it


def test_shares_of_a_gain_are_of_what_the_policy_adds_up():
    """By values gains are fractions of one amount and add up, by the default they multiply."""
    part, whole = Effect(0.05), Effect(0.1)
    policies = Policy(), Policy.model_validate({"rule": "value", "values": {"click": 1}})
    knee, values = (aims_of(policy, NAMES, RATES, today=False)[0] for policy in policies)
    assert knee.share(part, whole) == pytest.approx(np.log(1.05) / np.log(1.1))
    assert values.share(part, whole) == pytest.approx(0.5)


def test_where_sizes_differ_too_these_are_named_and_where_nothing_differs_nothing_is_said():
    other_settings = {**BUCKET, "lr": 0.2}
    assert "is the way numbers enter (piecewise_linear) and other settings; " in answer_of(
        0.42, of_reference=other_settings
    )
    fewer = {**PIECEWISE, "lr": 0.2}
    assert " of it is sizes and training settings; sharing adds " in answer_of(
        twin=0.42, of_reference=fewer
    )
    assert answer_of(of_reference=PIECEWISE).startswith("Use model 7")  # the only sentence


def test_without_a_measurement_what_differs_is_named_and_no_number_is_made_up():
    sentence = answer_of()
    assert sentence == (
        "A part of it may be the way numbers enter (piecewise_linear), not sharing: that was not "
        "measured."
    )
    assert answer_of(twin=0.42, of_twin=BUCKET) == sentence  # a twin of another point


def test_a_pick_with_trees_is_said_to_be_another_kind_of_model():
    trees = configured("trees", "trees")
    sentence = answer_of(pick=("trees", "baseline", 0.5, 0.44, 0.44), further_points=[trees])
    assert (
        sentence
        == "Boosted trees are another kind of model, one for each task: no part of this is sharing."
    )
    parts = {"blend.network": "7", "blend.trees": "trees"}
    blend = Point("blend", parts, "blend", replicates=(Replicate(1, 1, {}),))
    of_network = (
        "A part of the network's gain may be the way numbers enter (piecewise_linear), "
        "not sharing: "
    )
    picked = "blend", "baseline", 0.5, 0.45, 0.45
    assert (
        answer_of(pick=picked, further_points=[trees, blend])
        == f"{of_network}that was not measured."
    )
    measured = answer_of(twin=0.42, pick=picked, further_points=[trees, blend])
    assert re.match(
        "51% of the network's gain is the way numbers enter .*; sharing adds ", measured
    ), measured
    sentence = answer_of(of_reference=PIECEWISE, pick=picked, further_points=[trees, blend])
    pattern = r"A part of this is boosted trees, another kind of model: the network alone is at \+10\.0% .*, the trees "
    assert re.match(pattern + r"alone at \+7\.5% ", sentence), sentence


def cells_of(gains, error=0.01):
    """Cells of both splits: by scenario the gains of row 1 in both outcomes, NaN for too few
    positives.
    """
    cells = {
        (split, f"scenario={name}"): np.full((2, 2, len(PARTS)), np.nan)
        for split in ("confirm", "test")
        for name in gains
    }
    for (_, name), cell in cells.items():
        gain = np.array(gains[name.partition("=")[2]])
        cell[1, :, GAINS] = gain, gain - 1.645 * error, gain + 1.645 * error
    return cells


def test_the_segment_that_loses_most_is_named_with_intervals_for_all_of_them():
    gains = {
        "home": (0.2, 0.0),
        "search": (0.0, -0.2),
        "cart": (0.02, -0.1),
        "rare": (np.nan, np.nan),
    }
    rows = [CURRENT, ("7", "trial", 0.5, 0.42, 0.41)]
    verdict = told(front_of(rows, slices=cells_of(gains)))
    assert verdict.answer[1] == f"It loses most in scenario=search: {LIKE} -20.0% (-22.4 to -17.6)."
    assert verdict.table[0][-1] == "loses most in"
    assert [row[-1] for row in verdict.table[1]] == [
        "",
        "",
        "scenario=search -20.0% (-22.4 to -17.6)",
    ]
    segments = verdict.to_json()["segments"]
    assert segments["scenario=rare"] == dict.fromkeys(NAMES)
    ends = segments["scenario=home"][CLICK]
    # six at once
    assert 0.2 - ends["low"] == pytest.approx(0.01 * stats.norm.isf(0.05 / 6), rel=1e-3)
    assert (
        "loses most in" not in told(front_of(rows, slices=cells_of({"home": (0.2, 0.0)}))).table[0]
    )
