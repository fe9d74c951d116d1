"""Families against each other, and luck in tuning, against simulations with known truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.core.objectives import Objective
from bench.core.records import Point
from bench.results.comparison.beyond import answer
from bench.results.comparison.comparison import COLUMNS, Compared, Comparison, Group, Row, compare
from bench.results.comparison.families import FAMILIES, FamilyPoint, average, families
from bench.results.comparison.significance import best, tuning_luck
from bench.results.samples import Sample

BOTH = (Objective("click.auc", "maximize"), Objective("like.auc", "maximize"))
AT = {"click.auc": 0.5, "like.auc": 0.5}


@pytest.fixture
def family(trial):
    """Eight trials of a family, of which the first `confirmed` have replicates; each is a little worse than the last,
    as `seen` by the search and in truth."""

    def make(name: str, click: float, confirmed: int = 3, seen: float = 0.0) -> list[FamilyPoint]:
        rng = np.random.default_rng(sum(map(ord, name)))
        made = []
        for at in range(8):
            values = np.array([click - 1e-4 * at, 0.8]) + rng.normal(0, 1e-4, (3, 2))
            runs = tuple((tuple(v), tuple(v)) for v in values) if at < confirmed else ()
            point = trial(at, click - 1e-4 * at + seen, 0.8 - 1e-4 * at, "mmoe", name, runs)
            shared = tuple(replace(run, seed=run.replicate) for run in point.replicates)
            point = replace(point, speed={"samples_trained": 1000.0}, replicates=shared)
            made.append(FamilyPoint(name, "shop", "tpe", point.points[0], name))
        return made

    return make


def rows(found: Comparison, measure: str) -> list[Row]:
    return [row for row in found.tests if row["measure"] == measure]


def by_balancing(*of: list[FamilyPoint]) -> Comparison:
    return compare(families([each for members in of for each in members], "balancing"), BOTH, AT, "test", 0)


def test_a_family_that_is_better_throughout_is_found(family) -> None:
    found = by_balancing(family("static", 0.70), family("pcgrad", 0.72))
    (click,) = rows(found, "click.auc")
    assert (click["left"], click["right"], click["verdict"]) == ("pcgrad", "static", "pcgrad is better")
    assert (click["unit"], click["value"]) == ("AUC x 1000", pytest.approx(20, abs=1))
    assert click["paired"] == "by 3 seeds"
    assert found.members == 3
    assert [row["verdict"] for row in rows(found, "hypervolume")] == ["pcgrad is better"]
    assert rows(found, "like.auc")[0]["verdict"].startswith("cannot tell")


def test_confirmed_trials_that_are_better_by_luck_in_tuning_are_no_verdict(family) -> None:
    """The search saw both families alike: three of eight trials are confirmed, and came out better."""
    found = by_balancing(family("static", 0.70), family("pcgrad", 0.72, seen=-0.02))
    (click,) = rows(found, "click.auc")
    assert click["p_noise"] < 0.001 < click["p_tuning"] == click["p"] <= click["p_holm"]
    assert click["verdict"].startswith("cannot tell: luck in tuning is not ruled out")


def test_a_family_stands_for_its_best_by_the_search(family) -> None:
    lucky = family("pcgrad", 0.72, confirmed=4)
    worst = lucky[0]
    lucky[0] = replace(worst, point=replace(worst.point, metrics=worst.point.metrics | {"valid/click.auc": 0.1}))
    (click,) = rows(by_balancing(family("static", 0.70), lucky), "click.auc")
    assert click["value"] == pytest.approx(19.9, abs=0.1)  # of the second to fourth


def test_one_confirmed_point_gets_no_verdict_and_unequal_budgets_are_said(family, objectives) -> None:
    made = [*family("static", 0.70), *family("pcgrad", 0.72), *family("dwa", 0.75, confirmed=1)][:-2]
    fewer = [each for each in made if not (each.method == "pcgrad" and each.point.number > 5)]
    found = compare(families(fewer, "balancing"), BOTH, AT, "test", 0)
    assert {name for row in found.tests for name in (row["left"], row["right"])} == {"pcgrad", "static"}
    _, budgets, single = found.notes
    assert budgets.startswith("Budgets are unequal (pcgrad 6, static 8 trials)")
    assert single == (
        "Not tested, as only one point is confirmed: dwa. "
        "`seesaw confirm dwa --members 2` confirms two of each family."  # the run where that point is
    )
    assert {row["name"]: row["training_samples"] for row in found.families}["pcgrad"] == 6000


def test_the_table_has_every_test_once(family, objectives) -> None:
    made = [*family("static", 0.70), *family("pcgrad", 0.72), *family("upgrad", 0.71)]
    comparison = compare(families(made, "balancing"), BOTH, AT, "test", 0)
    said = answer(made, [], objectives, AT, "test", "r")
    group = Group("shop", ("f00d",), ("first",), said, comparison, "", ("dwa",))
    found = Compared("balancing", "test", (group,), None, ())
    assert list(found.table) == COLUMNS
    assert len(found.table) == 3 * (len(BOTH) + 1)
    assert set(found.table["unit"]) == {"AUC x 1000", "hypervolume"}
    volumes = {row["name"]: row["hypervolume"] for row in comparison.families}
    for row in rows(comparison, "hypervolume"):
        assert volumes[row["left"]] - volumes[row["right"]] == pytest.approx(row["value"])
    assert comparison.notes[0].startswith("A hypervolume of pcgrad, static and upgrad is that of the test")
    document = found.to_json()["groups"][0]
    assert document["answer"]["verdict"] == "cannot say"
    assert [each["trials"] for each in document["families"]] == [8, 8, 8]
    assert [each["name"] for each in document["families"]] == ["pcgrad", "static", "upgrad"]


def test_data_sets_have_no_front_in_common(family) -> None:
    made = [*family("static", 0.7), *(replace(each, dataset="other") for each in family("static", 0.75))]
    found = compare(families(made, "dataset"), BOTH, AT, "test", 0)
    assert {row["measure"] for row in found.tests} == {"click.auc", "like.auc"}


def test_members_fall_into_families(family) -> None:
    made = [*family("static", 0.7), *family("pcgrad", 0.7)]
    trees = FamilyPoint("first", "shop", "tpe", Point("trees", {}, "trees"), "trees")
    assert {*families([*made, trees], "sharing")} == {"mmoe", "trees"}
    assert {name: len(group) for name, group in families(made, "balancing").items()} == {"pcgrad": 8, "static": 8}
    assert {name: list(families(made, name)) for name in FAMILIES}["sampler"] == ["tpe"]


def test_an_average_is_paired_by_the_seeds_that_all_share() -> None:
    values = np.arange(6.0)[:, None]
    moved = np.zeros((3, 0, 1))
    one, other = Sample(values[:3], moved, (1, 2, 3)), Sample(values[3:], moved, (3, 1, 7))
    both = average([one, other])
    assert (both.seeds, both.values[:, 0].tolist()) == ((1, 3), [2.0, 2.5])
    apart = average([one, replace(other, seeds=(7, 8, 9))])
    assert (apart.seeds, apart.values[:, 0].tolist()) == ((), [1.5, 2.5, 3.5])


@pytest.mark.slow
@pytest.mark.parametrize(("left", "right"), [(12, 12), (4, 30)])
def test_it_keeps_its_error_rate(left: int, right: int) -> None:
    """Trials of one distribution, also where one family has many more of them."""
    rng, false = np.random.default_rng(0), 0
    for seed in range(400):
        a, b = rng.exponential(size=(left, 1)), rng.exponential(size=(right, 1))
        false += tuning_luck(a, b, best(2), np.sign(best(2)(a) - best(2)(b)), seed, 999) < 0.05
    assert false / 400 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_a_family_whose_trials_are_all_better_is() -> None:
    values = np.arange(20.0)[:, None]
    assert tuning_luck(values[10:], values[:10], best(3), 1, 0, 4999) < 0.001
    assert tuning_luck(values[10:], values[:10], best(3), -1, 0, 4999) == 1  # the search says the contrary
    assert tuning_luck(values[2:], values[:2], best(2), 1, 0, 4999) > 0.002  # two trials can be unlucky
