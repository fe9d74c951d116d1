"""Outcomes of items: measured, guarded and told as others are, and a guard that is kept where the
truth is known.
"""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import bench
from bench.core.errors import UserError
from bench.core.rows import CONFIRM, TEST
from bench.core.schema import Task
from bench.deciding.judging import Judge
from bench.deciding.pick import pick
from bench.deciding.plan.ab_test import plan
from bench.deciding.plan.plan_options import PlanOptions
from bench.deciding.policy import Policy
from bench.ledger.fusion import fused
from bench.measure.outcomes import Measure
from bench.measure.spaces import Labelled

GUARDED = "author.distinct@5"
ASKED = {
    "labels": ["click", "buy"],
    "models": {"today": ["p_click", "p_buy"], "candidate": ["q_click", "q_buy"]},
    "weights": "p_click^0.2 * p_buy^0.8",
    "group": "request",
    "unseen": True,
    "items": {"author": "author_id"},
    "item_numbers": {"age": "age_days"},
}


def log_of(requests, seed=0):
    """Requests of 20 rows. Few authors have most of the clicks, but not of the purchases."""
    rng, rows = np.random.default_rng(seed), 20 * requests
    author = np.minimum(rng.geometric(0.02, rows) - 1, 299)
    fame, x = 1.5 * np.exp(-author / 8), rng.normal(size=(rows, 2))
    odds = {"click": -2 + 1.2 * fame + 0.6 * x[:, 0], "buy": -2 - 0.4 * fame + 0.9 * x[:, 1]}
    columns = {
        "request": np.arange(rows) // 20,
        "author_id": author,
        "age_days": rng.exponential(10, rows),
    }
    for task, logits in odds.items():
        columns[task] = (rng.random(rows) < expit(logits)).astype(int)
        columns |= {
            f"{name}_{task}": expit(logits + error * rng.normal(size=rows))
            for name, error in (("p", 0.5), ("q", 0.2))
        }
    return pd.DataFrame(columns)


def most_clicks(confidence):
    """The most clicks, whose only limit is how varied the first places are."""
    guard = {"confidence": confidence, "max_loss_vs_current": {"buy.ndcg@5": float("inf")}}
    guard |= {"at_least": {GUARDED: "98% of current"}}
    return Policy.model_validate(
        {"rule": "epsilon", "epsilon": {"best": "click.ndcg@5"}, "guard": guard}
    )


def test_what_a_pick_shows_is_what_its_formula_shows_in_the_log():
    table, ages = log_of(250), "age.below7@5"
    table.loc[::9, "age_days"] = np.nan
    result = bench.decide(
        table, **ASKED, outcomes=["click.ndcg@5", "buy.ndcg@5", GUARDED, ages]
    ).found
    served, row = result.decision.serving.served, result.decision.pick.row
    facts = served.table.iloc[row]
    columns = dict(zip(("today", "candidate"), "pq", strict=True))[facts["point"]]
    predictions = table[[f"{columns}_click", f"{columns}_buy"]].to_numpy(np.float32)
    table["score"] = fused(
        facts["kind"], predictions, list(facts["weights"].values()), result.rows[CONFIRM].rates
    )
    judged = table[np.isin(table["request"], result.rows[TEST].group)].sort_values(
        "score", ascending=False
    )
    authors = judged.groupby("request").head(5).groupby("request")["author_id"].nunique().mean() / 5
    young = (
        judged.dropna(subset="age_days")
        .groupby("request")
        .head(5)["age_days"]
        .lt(7)
        .groupby(judged["request"])
    )
    values = dict(zip(served.names, served.at(TEST)[row], strict=True))
    assert values[GUARDED] == pytest.approx(authors, rel=1e-6)
    assert values[ages] == pytest.approx(young.mean().mean(), rel=1e-6)
    # what is shown is no event
    assert {metric["task"] for metric in plan(result.decision, PlanOptions())["metrics"]} == {
        "",
        "click",
        "buy",
    }
    share = 1 + served.effects(row)[GUARDED].value
    assert f"{authors:.1%} of the rows, {share:.1%} of today's (" in result.decision.readings[-2]


def test_a_rule_weighs_what_is_listed_and_not_what_is_limited_and_value_never():
    names = ["click.recall@10%", "buy.recall@10%", "author.distinct@10%"]
    weights = {"click.recall@10%": 1.0, "buy.recall@10%": 1.0}
    bound = {"guard": {"at_least": {names[2]: 0.3}}}
    assert Policy().weighed(names) == weights | {names[2]: 1.0}
    assert Policy.model_validate(bound).weighed(names) == weights
    table = log_of(250).drop(columns="request")
    asked = ASKED | {"group": None, "policy": {"guard": {"at_least": {names[2]: "90% of current"}}}}
    result = bench.decide(table, **asked, values={"click": 1, "buy": 4}).found
    served = result.decision.serving.served
    assert list(served.names) == names
    assert result.decision.serving.aims[0].weights[2] == 0
    # tasks' outcomes have expected labels; what is shown is as it was measured
    assert len(served.expected)
    np.testing.assert_allclose(served.expected[:, 2], served.at(CONFIRM)[:, 2], rtol=1e-9)


def test_without_todays_ranking_nothing_is_held_to_the_variety_of_a_random_order():
    asked = ASKED | {"weights": None, "policy": {"guard": {"at_least": {GUARDED: 0.5}}}}
    decision = bench.decide(log_of(250), **asked).decision
    limits = [str(limit) for limit in Judge(decision.policy, decision.choices).limits]
    assert not any("random order" in limit and "author" in limit for limit in limits)
    assert decision.pick is not None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"items": {"click": "author_id"}},
            "names that no label or other column of items has, found 'click'",
        ),
        (
            {"items": {"author": "p_click"}},
            "expected 'p_click' for one purpose, found it as a number, too",
        ),
        ({"outcomes": ["age.distinct@5"]}, "expected an outcome of items such as age.below7@5"),
        ({"outcomes": ["click.distinct@5"]}, "expected an outcome such as click.ndcg@5"),
        (
            {"policy": {"guard": {"at_least": {"autor.distinct@5": 0.5}}}},
            "unknown task or column of items 'autor'",
        ),
    ],
)
def test_a_mistake_with_items_gets_one_sentence(change, sentence):
    with pytest.raises(UserError) as error:
        bench.decide(log_of(30), **(ASKED | change))
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_a_guard_on_distinct_authors_is_kept_where_it_asks_for_confidence():
    """60 logs: by the pick's true outcomes, which are those of 30,000 other requests."""
    truth, names = log_of(30_000, seed=10**6), ["click.ndcg@5", "buy.ndcg@5", GUARDED]
    rows = Labelled(truth[["click", "buy"]].to_numpy(np.float32), truth["request"].to_numpy())
    items = {"author": truth["author_id"].to_numpy(float)}
    measure = Measure((Task("click"), Task("buy")), names, rows, items=items)
    predictions = {
        name: truth[list(columns)].to_numpy() for name, columns in ASKED["models"].items()
    }
    now = measure.values(np.log(predictions["today"]) @ [0.2, 0.8])[0]
    within_guard = dict.fromkeys((0.5, 0.75, 0.95), 0)
    policy = most_clicks(0.75).model_dump(exclude_unset=True)
    for seed in range(60):
        result = bench.decide(log_of(600, seed), **ASKED, policy=policy, recalibrate=False).found
        for confidence in within_guard:
            facts = result.decision.choices.table.iloc[
                pick(result.decision.choices, [], most_clicks(confidence)).row
            ]
            shares = list(facts["weights"].values())
            true = measure.values(
                fused(
                    facts["kind"], predictions[facts["point"]], shares, result.rows[CONFIRM].rates
                )
            )[0]
            within_guard[confidence] += bool(true[2] >= 0.98 * now[2])
    print(within_guard)
    # by means alone it is about a third, see docs/before-the-test.md
    assert within_guard[0.5] <= 35 < within_guard[0.75]
    assert within_guard[0.95] >= 60 * 0.95 - 2 * np.sqrt(60 * 0.95 * 0.05)
