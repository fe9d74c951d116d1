"""Verdicts about fronts whose relation is known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from ledger_toys import GAINS, made_served

from bench.frontier.policy import Policy
from bench.frontier.verdict import verdict
from bench.frontier.words.verdict import ONLY_WEIGHTS
from bench.objectives import Objective
from bench.results.ledger import PARTS
from bench.results.served.distance import gain_of_all, rows_of

OUTCOMES = (Objective("click.recall@10%", "maximize"), Objective("like.recall@10%", "maximize"))
NOW = "the current model"
KNEE = Policy(rule="knee").worth([each.name for each in OUTCOMES])


def front_of(rows, sd=0.001, current=0, known=True, chance=1.0, slices=None):
    """A served front of rows (point, role, weight of like, clicks, likes); all err by `sd`, as a share, alone."""
    names = ("point", "role", "like", "click.recall@10%", "like.recall@10%")
    table = pd.DataFrame(rows, columns=names)
    values = table[[each.name for each in OUTCOMES]].to_numpy(float)
    noise = np.random.default_rng(0).normal(size=(400, *values.shape)) * sd
    draws = (values * (1 + np.concatenate([noise, -noise]))).astype(np.float32)[: None if known else 0]
    table = pd.DataFrame({
        "point": table["point"], "name": [f"model {each}" for each in table["point"]],
        "architecture": "mmoe", "role": table["role"], "kind": "power",
        "weights": [{"click": 1 - each, "like": each} for each in table["like"]],
        "on_front": True, "p_nondominated": chance,
    })  # fmt: skip
    both, reach = ("confirm", "test"), 2.5 if known else np.nan
    of = dict.fromkeys(both, values), {split: draws.copy() for split in both}
    return made_served(OUTCOMES, table, *of, current, slices, reach)


CURRENT = ("now", "current", 0.5, 0.40, 0.40)


@pytest.mark.parametrize(
    ("pick", "sd", "kind", "first", "told"),
    [
        ((0.42, 0.41), 0.001, "win", "Switch to model 7 (mmoe), power of click 0.5, like 0.5.", "It gains click"),
        ((0.44, 0.41), 0.01, "win", "Switch to", "shows no clear change in like.recall@10% +2.5%"),
        ((0.44, 0.36), 0.001, "trade", "if the gain is worth its cost to you.", "costs like.recall@10% -10.0%"),
        ((0.46, 0.396), 0.01, "trade", "if the gain is worth its cost to you.", "may cost like.recall@10% -1.0%"),
        ((0.48, 0.402), 0.02, "trade", "if the gain is", "does not rule out a loss in like.recall@10% +0.5%"),
        ((0.4004, 0.3996), 0.0003, "tie", "Keep the current model.", "No outcome changes by more than 0.5%"),
        ((0.36, 0.401), 0.01, "unknown", "Keep the current model.", "costs click.recall@10% -10.0%"),
        ((0.405, 0.401), 0.02, "unknown", "Cannot tell whether to switch to model 7", "+1.2%"),
    ],
)
def test_what_is_gained_and_what_it_costs(pick, sd, kind, first, told):
    found = verdict(front_of([CURRENT, ("7", "trial", 0.5, *pick)], sd), 1, NOW)
    assert found.kind == kind
    assert first in found.sentence.split(". ")[0] + "."
    assert told in found.sentence
    assert found.keep == first.startswith("Keep")
    assert list(found.changes) == [each.name for each in OUTCOMES]


def test_a_rival_that_cannot_be_told_is_compared_by_its_worst_outcome():
    rows = [CURRENT, ("7", "trial", 0.5, 0.44, 0.44), ("equal weights", "baseline", 0.5, 0.45, 0.43)]
    assert (
        "equal weights, power of click 0.5, like 0.5, at least -2.3% ("
        in verdict(front_of(rows, 0.01), 1, NOW).sentence
    )


@pytest.mark.parametrize(
    ("pick", "sd", "first", "told"),
    [
        ((0.44, 0.38), 0.001, "Switch to model 7 (mmoe), power of click 0.5, like 0.5.", "the gain is worth its cost"),
        ((0.42, 0.36), 0.001, "Keep the current model.", "is not worth its cost: all in all -2.8%"),
        ((0.44, 0.366), 0.01, "Switch to", "By the policy's rule this cannot be told: all in all +0.3%"),
    ],
)
def test_a_trade_says_whether_the_policys_rule_finds_it_worth_its_cost(pick, sd, first, told):
    worth = Policy(rule="knee").worth([each.name for each in OUTCOMES])
    found = verdict(front_of([CURRENT, ("7", "trial", 0.5, *pick)], sd), 1, NOW, worth=worth)
    assert found.kind == "trade"
    assert found.sentence.startswith(first)
    assert told in found.sentence
    assert found.keep == first.startswith("Keep")
    assert ("if the gain is worth its cost" in found.sentence) == ("cannot be told" in found.sentence)
    assert found.worth.value == pytest.approx(np.log(np.array(pick) / 0.4).mean(), abs=1e-6)


@pytest.mark.parametrize(
    ("pick", "sd", "kind", "told"),
    [
        ((0.413, 0.413), 0.01, "win", "shows no clear change in click.recall@10% +3.2%"),
        ((0.52, 0.52), 0.1, "trade", "does not rule out a loss in click.recall@10% +"),
    ],
)
def test_outcomes_that_are_gained_only_together_are_a_gain_by_the_policys_rule(pick, sd, kind, told):
    served = front_of([CURRENT, ("7", "trial", 0.5, *pick)], sd)
    assert verdict(served, 1, NOW).kind == "unknown"
    found = verdict(served, 1, NOW, worth=KNEE)
    assert found.kind == kind
    assert found.sentence.startswith("Switch to model 7 (mmoe), power of click 0.5, like 0.5. It gains all in all +")
    assert told in found.sentence
    assert found.sentence.count("policy's rule") == 1


def test_a_rule_that_reads_more_than_the_outcomes_says_nothing_of_worth():
    names = [each.name for each in OUTCOMES]
    assert Policy(rule="weights", weights={"cost/latency_ms": 1.0}).worth(names) is None
    one = Policy(rule="epsilon", epsilon={"best": names[1]}).worth(names)
    np.testing.assert_allclose(one(np.array([[0.5, 0.1], [0.0, 0.0]])), [0.1, 0.0])


def test_where_only_more_rows_would_show_a_gain_it_says_so():
    served = front_of([CURRENT, ("7", "trial", 0.5, 0.20, 0.48)], 0.08)
    noisy = replace(served, row_variance=np.full((2, 2), 0.0175))  # nearly all of the error
    found = verdict(noisy, 1, NOW)
    assert "costs click.recall@10% -50.0%" in found.sentence
    assert "and no gain is shown: like.recall@10% +20.0%" in found.sentence
    assert found.sentence.endswith("times as many rows of test would show such a gain; more replicates would not.")
    assert found.needed is None


def test_a_positive_estimate_is_never_told_as_a_cost():
    found = verdict(front_of([CURRENT, ("7", "trial", 0.5, 1.0, 0.43)], 0.03), 1, NOW)
    assert found.kind == "win"
    assert "cost" not in found.sentence


def test_where_every_point_is_behind_it_is_said_by_how_much():
    found = verdict(
        front_of([CURRENT, ("7", "trial", 0.5, 0.36, 0.39), ("8", "trial", 0.5, 0.30, 0.41)], 0.003), 0, NOW
    )
    assert (found.kind, found.keep) == ("tie", True)
    told = "Every other point loses in some outcome, the one nearest on confirmation rows -10.0% ("
    assert found.sentence.startswith(f"Keep the current model. {told}")


def test_where_only_the_limits_keep_the_current_model_it_is_said_what_they_cost():
    served = front_of([CURRENT, ("7", "trial", 0.5, 0.30, 0.60)])
    found = verdict(served, 0, NOW, unlimited=1)
    assert found.to_json()["keep"]
    assert found.sentence.startswith("Keep the current model: no point that the policy allows is better. Without its")
    assert "click.recall@10% -25.0%" in found.sentence
    assert "like.recall@10% +50.0%" in found.sentence


def test_a_trial_that_is_the_baseline_itself_is_told_as_the_baseline():
    """The searched single-task model may be the best one of every task, and so the model that stands for today's."""
    rows = [("single_task", "baseline", 0.5, 0.40, 0.40), ("8", "trial", 0.5, 0.40, 0.40)]
    served = front_of([*rows, ("7", "trial", 0.5, 0.30, 0.60)])
    served.draws["test"][:, 1] = served.draws["test"][:, 0]
    found = verdict(served, 1, NOW, unlimited=2)
    assert (found.kind, found.keep) == ("baseline", True)
    assert found.sentence.startswith("Keep the current model: no point that the policy allows is better. Without its")
    assert "like.recall@10% +50.0%" in found.sentence
    assert found.sentence.endswith("The pick, model 8 (mmoe), power of click 0.5, like 0.5, ranks exactly alike.")


@pytest.mark.parametrize("point", ["now", "equal_weights"])
def test_the_condition_of_a_trade_stands_beside_a_model_that_is_as_good(point):
    as_good = (point, "current" if point == "now" else "baseline", 0.6, 0.44, 0.36)
    found = verdict(front_of([CURRENT, ("7", "trial", 0.5, 0.44, 0.36), as_good]), 1, NOW)
    assert f"model {point}" in found.told[0]
    assert found.told[0].endswith("like 0.6 if the gain is worth its cost to you.")


def test_a_pick_that_a_baseline_beats_is_no_win_however_surely_it_is_on_the_front():
    """The baseline has more of all between two of its weights, at neither of which it has as much of both."""
    equal = [("equal_weights", "baseline", w, 0.47 - 0.2 * (w - 0.4), 0.39 + 0.2 * (w - 0.4)) for w in (0.3, 0.7)]
    served = front_of([CURRENT, ("7", "trial", 0.5, 0.42, 0.41), *equal], chance=0.9998)
    found = verdict(served, 1, NOW)
    assert found.kind == "baseline"
    assert found.sentence.startswith("Switch to a baseline: model equal_weights")
    assert "model 7 (mmoe)" in found.sentence
    assert gain_of_all(served, rows_of(served, roles=["baseline"]), 1)[0].low > 0


def test_a_baseline_that_cannot_be_told_from_the_pick_is_named_in_the_same_sentence():
    rows = [CURRENT, ("7", "trial", 0.5, 0.60, 0.60), ("trees", "baseline", 0.5, 0.59, 0.60)]
    found = verdict(front_of(rows, 0.02), 1, NOW)
    assert found.kind == "win"
    assert "model trees" in found.sentence.split(". ")[0]
    worse = [*rows[:2], ("trees", "baseline", 0.5, 0.50, 0.60)]
    assert "trees" not in verdict(front_of(worse, 0.01), 1, NOW).sentence


def test_new_weights_of_the_current_models_are_said_to_be_enough():
    current = [("single_task", "baseline", 0.5, 0.40, 0.40), ("single_task", "baseline", 0.6, 0.42, 0.41)]
    found = verdict(front_of([*current, ("7", "trial", 0.6, 0.42, 0.41)], 0.0005), 2, NOW)
    assert found.kind == "baseline"
    assert found.sentence.startswith(f"{ONLY_WEIGHTS}: model single_task, power of click 0.4, like 0.6.")
    own = verdict(front_of([CURRENT, ("now", "current", 0.6, 0.42, 0.41)]), 1, NOW)
    assert (own.kind, own.sentence.split(":")[0]) == ("win", ONLY_WEIGHTS)


def test_a_suspicion_comes_behind_what_is_said_of_trees():
    trees = [("trees", "baseline", w, 0.6 - 0.1 * w, 0.5 + 0.1 * w) for w in (0.2, 0.5, 0.8)]
    pick = ("7", "trial", 0.5, 0.42, 0.41)
    ahead = verdict(front_of([CURRENT, *trees, pick]), 4, NOW, suspicion="Check it.").sentence
    assert ahead.index("Boosted trees are") < ahead.index(" Check it. ") < ahead.index("It gains")
    assert verdict(front_of([CURRENT, pick]), 1, NOW, suspicion="Check it.").sentence.endswith(" Check it.")


def test_trees_ahead_of_every_network_come_first():
    trees = [("trees", "baseline", w, 0.6 - 0.1 * w, 0.5 + 0.1 * w) for w in (0.2, 0.5, 0.8)]
    networks = [("7", "trial", w, 0.5 - 0.1 * w, 0.4 + 0.1 * w) for w in (0.4, 0.5, 0.6)]
    found = verdict(front_of([CURRENT, *trees, *networks]), 5, NOW, 0.9)
    assert (found.kind, found.keep) == ("trees", False)
    first = "Boosted trees are ahead of every network; without them: switch to model 7 (mmoe), power of click 0.5,"
    assert found.sentence.startswith(first), "the first sentence says whether to switch"
    assert "Trees are ahead of the networks by click.recall@10% +" in found.sentence
    now = verdict(front_of([CURRENT, *trees, *networks]), 0, NOW, 0.9)
    assert now.keep
    assert "retrainings" not in now.sentence


def test_a_pick_that_rarely_holds_is_never_told_without_saying_so():
    served = front_of([CURRENT, ("7", "trial", 0.5, 0.42, 0.41)])
    rarely = verdict(served, 1, NOW, 0.49, ("trial 8", "trial 9")).sentence
    assert "may change the pick: it holds in 49% of retrainings; trial 8 and trial 9 come first in the others" in rarely
    assert "holds in 90% of retrainings" in verdict(served, 1, NOW, 0.9).sentence
    worse = front_of([CURRENT, ("7", "trial", 0.5, 0.36, 0.36)])
    assert "retrainings" not in verdict(worse, 1, NOW, 0.49).sentence, "nobody retrains what is not to be served"


def test_one_far_draw_does_not_widen_the_intervals():
    served = front_of([CURRENT, ("7", "trial", 0.5, 0.44, 0.41)], 0.01)
    served.draws["test"][0, 0] = 1e-4  # few replicates have such draws: a gain of 400,000% in one of 800
    found = verdict(served, 1, NOW)
    assert found.kind == "win"
    score = verdict(served, 1, NOW, worth=KNEE).worth
    assert all(each.high - each.low < 0.1 for each in (*found.changes.values(), score))


def test_an_outcome_that_the_current_point_has_none_of_is_left_open():
    found = verdict(front_of([("now", "current", 0.5, 0.40, 0.0), ("7", "trial", 0.5, 0.44, 0.1)], 0.01), 1, NOW)
    assert found.kind == "trade"
    assert "does not rule out a loss in like.recall@10% (no per cent: the current one is 0)" in found.sentence
    assert "nan" not in found.sentence
    assert found.to_json()["changes"]["like.recall@10%"] is None


def test_one_training_each_tells_nothing():
    found = verdict(front_of([CURRENT, ("7", "trial", 0.5, 0.42, 0.41)], known=False), 1, NOW)
    assert found.kind == "unknown"
    assert "no intervals" in found.sentence


def cells_of(gains, error=0.01):
    """Cells of test: by scenario the gains of row 1 in both outcomes, NaN for too few positives."""
    cells = {("test", f"scenario={name}"): np.full((2, 2, len(PARTS)), np.nan) for name in gains}
    for own, gain in zip(cells.values(), map(np.array, gains.values()), strict=True):
        own[1, :, GAINS] = gain, gain - 1.645 * error, gain + 1.645 * error
    return cells


def test_gains_are_told_by_scenario_with_intervals_for_all_of_them():
    gains = {"home": (0.2, 0.0), "search": (0.0, -0.2), "cart": (0.02, 0.0), "rare": (np.nan, np.nan)}
    rows = [CURRENT, ("7", "trial", 0.5, 0.42, 0.41)]
    made = front_of(rows, slices=cells_of(gains))
    found = verdict(made, 1, NOW)
    assert (
        "By scenario: it gains in home; it costs like.recall@10% -20.0% (-22.9 to -17.1) in search; "
        "cannot tell in cart and rare (1 with too few positives)." in found.sentence
    )
    told = found.to_json()["segments"]
    assert told["scenario=rare"] == dict.fromkeys([each.name for each in OUTCOMES])
    ends = told["scenario=home"]["click.recall@10%"]
    assert 0.2 - ends["low"] == pytest.approx(0.0287, abs=0.0002)  # 2.5 standard errors, for three scenarios at once
    many = {str(at): (0.2, 0.2) for at in range(9)}
    assert "it gains in 9 scenarios." in verdict(front_of(rows, slices=cells_of(many)), 1, NOW).sentence
    assert "By scenario" not in verdict(made, 0, NOW).sentence
