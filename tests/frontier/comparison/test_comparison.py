"""Families against each other, and luck in tuning, against simulations with known truth."""

from dataclasses import replace

import numpy as np
import pytest

from bench.core.objectives import Objective
from bench.results.comparison.comparison import compare
from bench.results.comparison.families import FamilyPoint, families
from bench.results.comparison.significance import best, tuning_luck

BOTH = (Objective("click.auc", "maximize"), Objective("like.auc", "maximize"))
AT = {"click.auc": 0.5, "like.auc": 0.5}


@pytest.fixture
def family(trial):
    """Eight trials of a family, of which the first `confirmed` have replicates; each is a little worse than the last,
    as `seen` by the search and in truth."""

    def make(name, click, confirmed=3, seen=0.0):
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


def rows(found, measure):
    return [row for row in found.tests if row["measure"] == measure]


def by_balancing(*of):
    return compare(families([each for members in of for each in members], "balancing"), BOTH, AT, "test", 0)


def test_a_family_that_is_better_throughout_is_found(family):
    found = by_balancing(family("static", 0.70), family("pcgrad", 0.72))
    (click,) = rows(found, "click.auc")
    assert (click["left"], click["right"], click["verdict"]) == ("pcgrad", "static", "pcgrad is better")
    assert (click["unit"], click["value"]) == ("AUC x 1000", pytest.approx(20, abs=1))
    assert click["paired"] == "by 3 seeds"
    assert found.members == 3
    assert [row["verdict"] for row in rows(found, "hypervolume")] == ["pcgrad is better"]
    assert rows(found, "like.auc")[0]["verdict"].startswith("cannot tell")


def test_confirmed_trials_that_are_better_by_luck_in_tuning_are_no_verdict(family):
    """The search saw both families alike: three of eight trials are confirmed, and came out better."""
    found = by_balancing(family("static", 0.70), family("pcgrad", 0.72, seen=-0.02))
    (click,) = rows(found, "click.auc")
    assert click["p_noise"] < 0.001 < click["p_tuning"] == click["p"] <= click["p_holm"]
    assert click["verdict"].startswith("cannot tell: luck in tuning is not ruled out")


@pytest.mark.slow
@pytest.mark.parametrize(("left", "right"), [(12, 12), (4, 30)])
def test_it_keeps_its_error_rate(left, right):
    """Trials of one distribution, also where one family has many more of them."""
    rng, false = np.random.default_rng(0), 0
    for seed in range(400):
        a, b = rng.exponential(size=(left, 1)), rng.exponential(size=(right, 1))
        false += tuning_luck(a, b, best(2), np.sign(best(2)(a) - best(2)(b)), seed, 999) < 0.05
    assert false / 400 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_a_family_whose_trials_are_all_better_is():
    values = np.arange(20.0)[:, None]
    assert tuning_luck(values[10:], values[:10], best(3), 1, 0, 4999) < 0.001
    assert tuning_luck(values[10:], values[:10], best(3), -1, 0, 4999) == 1  # the search says the contrary
    assert tuning_luck(values[2:], values[:2], best(2), 1, 0, 4999) > 0.002  # two trials can be unlucky
