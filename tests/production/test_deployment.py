"""Deploying a pick: its fusion becomes the score of one network, or a sentence refuses before any training."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bench.errors import UserError
from bench.frontier.policy import Policy
from bench.records import Kind, Point, Scalar
from bench.results.points import network_of
from bench.run.deployment import Deployment, _score
from bench.schema import Task

TASKS = (Task("click"), Task("buy", parent="click"))


def point(kind: Kind, number: int | None = None, **config: Scalar) -> Point:
    return Point(kind, config, str(config.get("sharing.kind", kind)), number)


SINGLE = [point("trial", at, **{"sharing.kind": "single_task"}) for at in (3, 5)]


def composite(click: int, buy: int) -> Point:
    trials = {"single_task.click": str(click), "single_task.buy": str(buy)}
    return point("single_task", **{"sharing.kind": "single_task", **trials})


def test_what_is_a_network_is_deployed() -> None:
    for each in (point("trial", 7, **{"sharing.kind": "mmoe"}), point("equal_weights", **{"sharing.kind": "ple"})):
        assert network_of(each, SINGLE) is each
    assert network_of(composite(5, 5), SINGLE) is SINGLE[1]


@pytest.mark.parametrize(
    ("picked", "sentence"),
    [
        (point("trees"), "the pick is boosted trees, which is no network"),
        (point("ensemble", **{"ensemble.sharing.kind": "single_task"}), "an ensemble of half-size models"),
        (point("current"), "the pick is current model, which is no network"),
        (composite(3, 5), "several configurations .trials 3, 5."),
    ],
)
def test_all_else_is_refused_in_a_sentence(picked: Point, sentence: str) -> None:
    with pytest.raises(UserError, match=rf"{sentence}.*pick a network with --policy FILE"):
        network_of(picked, SINGLE)


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
    assert score({}, kind="power", weights=weights) == "0.8 log click + 0.2 log buy.ctcvr (raw)"
    assert score({}, kind="sum", weights=weights) == "4 click + 20 buy.ctcvr (raw)"
    own = {"score": {"weights": {"click": 1.0}}}
    assert score(own, kind="power", weights=weights) == "1 click (calibrated)"
    assert score({}, kind=None, weights=None) == "1 click + 1 buy.ctcvr (calibrated)"
