"""What a point is worth, against lists that are really drawn."""

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from bench.errors import UserError
from bench.frontier.frontier import frontier
from bench.frontier.pick import pick
from bench.frontier.policy import Policy
from bench.frontier.revenue import precision


@pytest.mark.parametrize(("rate", "share", "apart"), [(0.05, 0.1, 1.0), (0.3, 0.02, 0.5), (0.01, 0.5, 2.0)])
def test_positives_of_what_is_shown_as_in_a_simulation(rate, share, apart):
    rng = np.random.default_rng(0)
    labels = rng.random(400_000) < rate
    scores = rng.normal(apart * labels, 1.0)
    shown = np.argsort(-scores)[: int(share * len(scores))]
    auc = np.array([roc_auc_score(labels, scores)])
    assert precision(auc, labels.mean(), share)[0] == pytest.approx(labels[shown].mean(), rel=0.05)


def test_without_ranking_it_is_the_base_rate_and_with_a_perfect_one_all_that_there_is():
    found = precision(np.array([0.5, 1.0]), 0.05, 0.1)
    np.testing.assert_allclose(found, [0.05, 0.5], atol=1e-4)


def records(trial, with_losses):
    """Click rate 0.05, like rate 0.2."""
    made = [trial(0, 0.70, 0.82), trial(1, 0.74, 0.79)]
    for record in made if with_losses else ():
        for name, rate in (("click", 0.05), ("like", 0.2)):
            entropy = log_loss([1] * round(1000 * rate) + [0] * round(1000 * (1 - rate)), np.full(1000, rate))
            record.metrics.update({f"valid/{name}.logloss": 0.9 * entropy, f"valid/{name}.ne": 0.9})
    return made


def policy(click, like, **more):
    table = {"value": {"click.auc": click, "like.auc": like}, **more}
    return Policy.model_validate({"rule": "revenue", "revenue": table})


def test_what_is_worth_more_is_picked_by_rates_that_validation_shows(trial, objectives):
    made = records(trial, True)
    front = frontier(made, objectives)
    assert pick(front, made, objectives, policy(1.0, 0.0)).trial == 1
    found = pick(front, made, objectives, policy(0.1, 1.0))
    assert found.trial == 0
    worth = 1000 * (0.1 * precision(np.array([0.70]), 0.05, 0.1) + precision(np.array([0.82]), 0.2, 0.1))[0]
    assert f"is worth the most of the 2 points by the policy's values, {worth:,.2f} per 1,000" in found.reason
    given = pick(front, records(trial, False), objectives, policy(0.1, 1.0, rate={"click.auc": 0.05, "like.auc": 0.2}))
    assert given.runners_up[0].score == pytest.approx(found.runners_up[0].score)


def test_a_rate_that_nothing_tells_is_asked_for(trial, objectives):
    made = records(trial, False)
    with pytest.raises(UserError, match=r"expected the base rate of 'click.auc'.*add revenue.rate 'click.auc'"):
        pick(frontier(made, objectives), made, objectives, policy(1.0, 1.0))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rule": "revenue"}, "expected a table 'revenue' beside the rule 'revenue', found none"),
        ({"weights": {"click.auc": 1}}, "expected no table 'weights' beside the rule 'knee'"),
        ({"rule": "weights", "weights": {"click.auc": -1}}, "expected finite weights of at least 0"),
        ({"rule": "weights", "weights": {"click.auc": 0}}, "one of them above"),
        ({"rule": "revenue", "revenue": {"value": {"click.auc": 1}, "rate": {"click.auc": 1.5}}}, "between 0 and 1"),
        ({"guard": {"within": {"a.pcoc": [1.1, 0.9]}}}, "a band from low to high"),
    ],
)
def test_a_policy_that_contradicts_itself_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Policy.model_validate(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rule": "revenue", "revenue": {"value": {"click.acu": 1}}}, "revenue.value: unknown AUC on all impressions"),
        ({"rule": "weights", "weights": {"click.acu": 1}}, "weights: unknown objective 'click.acu'"),
        ({"rule": "epsilon", "epsilon": {"best": "lick.auc"}}, "epsilon: unknown objective 'lick.auc'"),
    ],
)
def test_names_are_checked_against_the_objectives(values, message, objectives):
    with pytest.raises(UserError, match=message):
        Policy.model_validate(values).check(objectives)
