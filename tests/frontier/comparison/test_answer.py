"""The answer about gradient methods: yes, no, cannot tell, or why the run cannot say."""

from __future__ import annotations

import numpy as np
import pytest

from bench.frontier.comparison.answer import Answer, answer
from bench.frontier.comparison.families import Member
from bench.objectives import Objective

BOTH = (Objective("click.auc", "maximize"), Objective("like.auc", "maximize"))
AT = {"click.auc": 0.5, "like.auc": 0.5}


@pytest.fixture
def point(trial):
    """A confirmed point on an arc at `angle`; static where it has a weight."""

    def make(angle: float, weight: float | None = None, ahead: float = 0.0, runs: int = 10, sd: float = 1e-4) -> Member:
        rng = np.random.default_rng(int(1e6 * angle) + (weight is None))
        values = 0.75 + 2e-3 * np.array([np.sin(angle), np.cos(angle)]) + ahead + rng.normal(0, sd, (runs, 2))
        made = trial(0, runs=tuple((tuple(each), tuple(each)) for each in values))
        method = "pcgrad" if weight is None else "static"
        shares = None if weight is None else (weight, 1 - weight)
        return Member("first", "shop", "tpe", made.points[0], method, shares, gradient=weight is None)

    return make


def ask(*members: Member) -> Answer:
    return answer(members, BOTH, AT, "test", "first")


def statics(point, count: int = 9, **options: float) -> list[Member]:
    return [point(each * np.pi / 2, each, **options) for each in np.linspace(0, 1, count)]


def test_one_untuned_static_point_is_no_front(point) -> None:
    """Ten replicates two margins beyond it: the run cannot say."""
    found = ask(point(0.8, 0.5), point(0.8, ahead=1e-3))
    assert found.verdict == "cannot say"
    assert found.sentence == (
        "This run cannot say: 1 static weight, at least 7 are needed; `seesaw confirm first --static 7` adds them."
    )


def test_a_weight_counts_once_and_with_two_replicates(point) -> None:
    again = [*statics(point, 6), *statics(point, 6), point(0.7, 0.7, runs=1)]
    assert "6 static weights, at least 7 are needed" in ask(*again, point(0.8)).sentence


def test_equal_fronts_are_not_yes(point) -> None:
    found = ask(*statics(point), point(0.5), point(1.1))
    assert found.verdict == "no"
    assert found.sentence.startswith(
        "No: no gradient method lies beyond the front of 9 static weights by more than the margin of 0.5 AUC x 1000; "
    )


def test_two_margins_beyond_are_yes(point) -> None:
    found = ask(*statics(point), point(0.5, ahead=1e-3), point(1.1))
    assert found.verdict == "yes"
    assert found.sentence.startswith(
        "Yes: pcgrad lies beyond the front of 9 static weights by more than the margin of "
    )
    assert "(90% CI +0." in found.sentence


def test_cannot_tell_says_what_could(point) -> None:
    found = ask(*statics(point, runs=2, sd=4e-4), point(0.5, runs=2, sd=4e-4))
    assert found.verdict == "cannot tell"
    assert "replicates of each point would bring both to 80%" in found.sentence
    ends = point(0.0, ahead=3e-4), point(1.57, ahead=3e-4)
    along = ask(*(point(0.8, weight) for weight in np.linspace(0.1, 0.9, 9)), *ends)
    assert along.verdict == "cannot tell"
    assert along.sentence.endswith("add static weights.")


def test_without_gradient_points_or_a_second_task_there_is_nothing_to_say(point) -> None:
    assert "no gradient method has a confirmed point" in ask(*statics(point)).sentence
    assert "no gradient method has a confirmed point" in ask(*statics(point), point(0.5, runs=1)).sentence
    found = answer(statics(point), BOTH[:1], AT, "test", "first")
    assert found.verdict == "cannot say"
    assert "click is the only task measured; one task needs no balancing" in found.sentence
