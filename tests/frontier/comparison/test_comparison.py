"""Families of trials against each other, and the answer to the question about gradient methods."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.frontier.comparison.answer import answer
from bench.frontier.comparison.compared import COLUMNS, Compared, Group
from bench.frontier.comparison.comparison import compare
from bench.frontier.comparison.families import FAMILIES, Member, families
from bench.objectives import Objective

BOTH = (Objective("click.auc", "maximize"), Objective("like.auc", "maximize"))
AT = {"click.auc": 0.5, "like.auc": 0.5}
NOISE = np.random.default_rng(0).normal(0, 2e-4, (99, 3, 2))


@pytest.fixture
def member(trial):
    def make(
        number: int, balancing: str, click: float, like: float, kind: str = "mmoe", runs: int = 3, seen: float = 0
    ):
        values = np.array([click, like]) + NOISE[number]
        made = trial(
            number, click + seen, like + seen, kind, balancing, tuple((tuple(v), tuple(v)) for v in values[:runs])
        )
        replicates = tuple(replace(run, seed=100 * number + run.replicate) for run in made.replicates)
        return Member("first", "shop", "tpe", replace(made, replicates=replicates))

    return make


def ask(*members: Member):
    return answer(members, BOTH, AT, "test", 0, {"pcgrad", "upgrad"})


def test_a_family_stands_for_the_member_that_the_search_found_best(member) -> None:
    """Not for the one whose replicates came out best: those are what is compared."""
    lucky, best = member(1, "pcgrad", 0.73, 0.8), member(2, "pcgrad", 0.72, 0.8, seen=0.05)
    found = compare(families([member(0, "static", 0.7, 0.8), lucky, best], "balancing"), BOTH, AT, "test", 0)
    test = next(test for test in found.metrics if test.objective.name == "click.auc")
    assert (test.left, test.right, test.members[0].point.number) == ("pcgrad", "static", 2)
    assert test.difference.value == pytest.approx(0.02, abs=1e-3)
    assert test.told(0.05)
    assert test.better == "pcgrad"


def test_members_fall_into_families(member) -> None:
    made = [member(0, "static", 0.7, 0.8), member(1, "pcgrad", 0.7, 0.8, "ple"), member(2, "static", 0.7, 0.8, "ple")]
    assert {name: len(group) for name, group in families(made, "sharing").items()} == {"mmoe": 1, "ple": 2}
    assert {name: list(families(made, name)) for name in FAMILIES}["sampler"] == ["tpe"]


def test_yes(member) -> None:
    found = ask(member(0, "static", 0.72, 0.78), member(1, "static", 0.70, 0.80), member(2, "pcgrad", 0.715, 0.795))
    assert found.verdict == "yes"
    assert found.sentence.startswith("Yes: pcgrad leaves the front of static weights")
    assert "95% CI" in found.sentence
    assert "AUC x 1000" in found.sentence


def test_no(member) -> None:
    found = ask(member(0, "static", 0.72, 0.80), member(2, "pcgrad", 0.71, 0.79), member(3, "upgrad", 0.70, 0.79))
    assert found.verdict == "no"
    assert found.sentence.startswith("No: static weights are ahead of all gradient methods by +")


def test_cannot_tell(member) -> None:
    near = ask(member(0, "static", 0.72, 0.80), member(2, "pcgrad", 0.72005, 0.80))
    assert near.verdict == "cannot tell"
    assert "seeds of each point would tell" in near.sentence
    once = ask(member(0, "static", 0.72, 0.80, runs=1), member(2, "pcgrad", 0.9, 0.9, runs=1))
    assert once.verdict == "cannot tell"
    assert "no point has two replicates" in once.sentence


def test_models_that_share_nothing_are_no_static_weights(member) -> None:
    alone = member(0, "static", 0.9, 0.9, kind="single_task")
    found = ask(alone, member(2, "pcgrad", 0.72, 0.80))
    assert (found.verdict, found.test) == ("cannot tell", None)
    assert "static weights" in found.sentence
    assert ask(alone, member(1, "static", 0.7, 0.7), member(2, "pcgrad", 0.72, 0.80)).verdict == "yes"


def test_the_table_has_every_test_once(member) -> None:
    made = [member(i, name, 0.7 + i / 100, 0.8) for i, name in enumerate(("static", "pcgrad", "upgrad"))]
    comparison = compare(families(made, "balancing"), BOTH, AT, "test", 0)
    group = Group("shop", ("f00d",), ("first",), comparison, "", ("dwa",), ask(*made))
    found = Compared("balancing", "test", (group,), None, ())
    assert list(found.table) == COLUMNS
    assert len(found.table) == 3 * (len(BOTH) + 4)
    assert set(found.table["unit"]) == {"AUC x 1000", "hypervolume", "times"}
    document = found.to_json()
    assert document["groups"][0]["answer"]["verdict"] == "yes"
    assert [family["name"] for family in document["groups"][0]["families"]] == ["pcgrad", "static", "upgrad"]


def test_objectives_of_unlike_units_are_counted_by_their_way_from_the_reference(member) -> None:
    cost = Objective("cost/parameters", "minimize")

    def sized(number: int, balancing: str, click: float, parameters: float) -> Member:
        made = member(number, balancing, click, 0.8)
        runs = tuple(
            replace(run, metrics=run.metrics | {"cost/parameters": parameters}) for run in made.point.replicates
        )
        return replace(made, point=replace(made.point, replicates=runs))

    made = families([sized(0, "static", 0.7, 2000.0), sized(1, "pcgrad", 0.7, 1000.0)], "balancing")
    found = compare(made, (BOTH[0], cost), {"click.auc": 0.5, "cost/parameters": 3000.0}, "test", 0)
    assert found.unit.startswith("% of the way")
    assert found.fronts[0].beyond.estimate.value == pytest.approx(50.0, abs=0.5)


def test_data_sets_are_compared_by_metrics_and_have_no_front_in_common(member) -> None:
    made = [member(0, "static", 0.7, 0.8), replace(member(1, "static", 0.75, 0.8), dataset="other")]
    found = compare(families(made, "dataset"), BOTH, AT, "test", 0)
    assert found.fronts == ()
    assert [test.better for test in found.metrics if test.told(0.05)] == ["other"]


def test_of_one_task_it_is_said_that_there_is_nothing_to_balance(member) -> None:
    found = answer([member(0, "static", 0.7, 0.8)], BOTH[:1], AT, "test", 0, {"pcgrad"})
    assert found.verdict == "cannot tell"
    assert "click is the only task measured; one task needs no balancing" in found.sentence
