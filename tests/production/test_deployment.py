"""Deploying a pick: its fusion becomes the score of one network, or a sentence refuses before any training."""

from types import SimpleNamespace
from typing import Any

from bench.core.records import Point
from bench.core.schema import Task
from bench.frontier.policy import Policy
from bench.results.points import parts_of
from bench.runs.deployment import _score

TASKS = (Task("click"), Task("buy", parent="click"))


def point(kind, number=None, **config):
    return Point(kind, config, str(config.get("sharing.kind", kind)), number)


SINGLE = [point("trial", at, **{"sharing.kind": "single_task"}) for at in (3, 5)]


TREES = point("trees", **{"trees.click.leaves": 7})
NAMES = [task.name for task in TASKS]


def test_a_blend_has_the_network_and_the_trees_where_it_takes_some_of_both():
    def blend(click, buy):
        shares = {"blend.share.click": click, "blend.share.buy": buy}
        made = point("blend", **{"blend.network": "5", "blend.trees": "trees", **shares})
        return parts_of(made, [*SINGLE, TREES], NAMES)

    assert blend(0.75, 0.0) == [(SINGLE[1], (0.75, 0.0)), (TREES, (0.25, 1.0))]
    assert blend(1.0, 1.0) == [(SINGLE[1], (1.0, 1.0))]


def test_the_score_is_the_picks_fusion_or_the_policys_own():
    serving = SimpleNamespace(rates={"click": 0.2, "buy": 0.01})

    def score(policy, **pick):
        run = SimpleNamespace(tasks=TASKS)
        result: Any = SimpleNamespace(run=run, serving=serving, policy=Policy.model_validate(policy))
        chosen: Any = SimpleNamespace(**pick)
        found = _score(result, chosen)
        return f"{found} ({found.on})"

    weights = {"click": 0.8, "buy": 0.2}
    assert score({}, kind="power", weights=weights) == "p_click^0.8 * p_buy^0.2 (raw)"
    assert score({}, kind="sum", weights=weights) == "1 p_click + 5 p_buy (raw)"
    own = {"score": {"weights": {"click": 1.0}}}
    assert score(own, kind="power", weights=weights) == "1 p_click (calibrated)"
    assert score({}, kind=None, weights=None) == "1 p_click + 1 p_buy (calibrated)"
