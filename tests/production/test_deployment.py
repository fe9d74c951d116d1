"""Deploying a pick: its fusion becomes the score of one network, or a sentence refuses before any training."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bench.core.errors import UserError
from bench.core.records import Kind, Point, Scalar
from bench.core.schema import Task
from bench.core.several import as_one
from bench.frontier.policy import Policy
from bench.results.points import parts_of
from bench.run.deployment import Deployment, _score

TASKS = (Task("click"), Task("buy", parent="click"))


def point(kind: Kind, number: int | None = None, **config: Scalar) -> Point:
    return Point(kind, config, str(config.get("sharing.kind", kind)), number)


SINGLE = [point("trial", at, **{"sharing.kind": "single_task"}) for at in (3, 5)]


def composite(click: int, buy: int) -> Point:
    trials = {"single_task.click": str(click), "single_task.buy": str(buy)}
    return point("single_task", **{"sharing.kind": "single_task", **trials})


TREES = point("trees", **{"trees.click.leaves": 7})
NAMES = [task.name for task in TASKS]


def test_most_points_are_trained_as_they_are() -> None:
    network = point("trial", 7, **{"sharing.kind": "mmoe"})
    for each in (network, TREES, point("equal_weights", **{"sharing.kind": "ple"})):
        assert parts_of(each, SINGLE, NAMES) == [(each, (1.0, 1.0))]


def test_an_ensemble_has_half_of_each_task_from_either_model() -> None:
    config, halves = {"optim.lr": 0.1}, {"click": 0.5, "buy": 0.5}
    every = parts_of(point("ensemble", **as_one([(config, halves)] * 2)), SINGLE, NAMES)
    assert every == [(point("ensemble", **config), (0.5, 0.5))] * 2


def test_the_best_single_task_models_come_from_one_point_or_several() -> None:
    assert parts_of(composite(5, 5), SINGLE, NAMES) == [(SINGLE[1], (1.0, 1.0))]
    assert parts_of(composite(5, 3), SINGLE, NAMES) == [(SINGLE[0], (0.0, 1.0)), (SINGLE[1], (1.0, 0.0))]


def test_a_blend_has_the_network_and_the_trees_where_it_takes_some_of_both() -> None:
    def blend(click: float, buy: float) -> Any:
        shares = {"blend.share.click": click, "blend.share.buy": buy}
        made = point("blend", **{"blend.network": "5", "blend.trees": "trees", **shares})
        return parts_of(made, [*SINGLE, TREES], NAMES)

    assert blend(0.75, 0.0) == [(SINGLE[1], (0.75, 0.0)), (TREES, (0.25, 1.0))]
    assert blend(1.0, 1.0) == [(SINGLE[1], (1.0, 1.0))]


def test_what_cannot_be_trained_is_refused_in_a_sentence() -> None:
    with pytest.raises(UserError, match="current model has no configuration that could be trained; pick a model"):
        parts_of(point("current"), SINGLE, NAMES)
    with pytest.raises(UserError, match="expected '9' among the run's points, as a part of best single-task models"):
        parts_of(composite(9, 5), SINGLE, NAMES)


def test_a_pick_that_seldom_holds_says_so() -> None:
    def unsure(holds: float | None, *points: tuple[str, float | None]) -> str:
        shares = [SimpleNamespace(point=name, name=f"trial {name}", by_rule=share) for name, share in points]
        pick: Any = SimpleNamespace(point="0", stability=SimpleNamespace(holds=holds, points=shares))
        nothing: Any = None
        return Deployment(nothing, nothing, pick, SINGLE[0], "shop", False, 0, nothing).unsure

    assert unsure(0.43, ("4", 0.31), ("0", 0.3), ("7", 0.0)) == (
        "This pick holds in 43% of retrainings; in the others it breaks a limit or another choice is better "
        "(trial 4 comes first in 31%)."
    )
    assert unsure(0.43, ("0", 1.0)).endswith("another choice is better.")
    assert [unsure(0.8), unsure(None)] == ["", ""]


def test_the_score_is_the_picks_fusion_or_the_policys_own() -> None:
    serving = SimpleNamespace(rates={"click": 0.2, "buy": 0.01})

    def score(policy: dict[str, Any], **pick: Any) -> str:
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
