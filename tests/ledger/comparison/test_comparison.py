"""Families against each other, luck in tuning, and p-values: against other code and simulations
with known truth.
"""

from dataclasses import replace
from functools import partial
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.core.objectives import Objective
from bench.ledger.comparison.comparison import by_front, compare
from bench.ledger.comparison.families import FamilyPoint, families
from bench.ledger.comparison.significance import (
    SIZE,
    best,
    critical_difference,
    holm,
    ranking,
    replicates_needed,
    tuning_luck,
)
from bench.ledger.errors.evidence import Evidence
from bench.ledger.pareto import hypervolume

BOTH = (Objective("click.auc", "maximize"), Objective("like.auc", "maximize"))
AT = {"click.auc": 0.5, "like.auc": 0.5}


@pytest.fixture
def family(trial):
    """Eight trials of a family, of which the first `confirmed` have replicates; each is a little
    worse than the last, as `seen` by the search and in truth."""

    def make(name, click, confirmed=3, seen=0.0):
        rng = np.random.default_rng(sum(map(ord, name)))
        members = []
        for number in range(8):
            values = np.array([click - 1e-4 * number, 0.8]) + rng.normal(0, 1e-4, (3, 2))
            runs = tuple((tuple(v), tuple(v)) for v in values) if number < confirmed else ()
            point = trial(
                number, click - 1e-4 * number + seen, 0.8 - 1e-4 * number, "mmoe", name, runs
            )
            shared = tuple(replace(run, seed=run.replicate) for run in point.replicates)
            point = replace(point, speed={"samples_trained": 1000.0}, replicates=shared)
            members.append(FamilyPoint(name, "shop", "tpe", point.points[0], name))
        return members

    return make


def rows(comparison, measure):
    return [row for row in comparison.tests if row["measure"] == measure]


def by_balancing(*groups):
    return compare(
        families([member for members in groups for member in members], "balancing"),
        BOTH,
        AT,
        "test",
        0,
    )


def test_a_family_that_is_better_throughout_is_found(family):
    comparison = by_balancing(family("static", 0.70), family("pcgrad", 0.72))
    (click,) = rows(comparison, "click.auc")
    assert (click["left"], click["right"], click["verdict"]) == (
        "pcgrad",
        "static",
        "pcgrad is better",
    )
    assert (click["unit"], click["value"]) == ("AUC x 1000", pytest.approx(20, abs=1))
    assert click["paired"] == "by 3 seeds"
    assert comparison.members == 3
    assert [row["verdict"] for row in rows(comparison, "hypervolume")] == ["pcgrad is better"]
    assert rows(comparison, "like.auc")[0]["verdict"].startswith("cannot tell")


def test_confirmed_trials_that_are_better_by_luck_in_tuning_are_no_verdict(family):
    """The search saw both families alike: three of eight trials are confirmed, and came out
    better.
    """
    comparison = by_balancing(family("static", 0.70), family("pcgrad", 0.72, seen=-0.02))
    (click,) = rows(comparison, "click.auc")
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
    # the search says the contrary
    assert tuning_luck(values[10:], values[:10], best(3), -1, 0, 4999) == 1
    # two trials can be unlucky
    assert tuning_luck(values[2:], values[:2], best(2), 1, 0, 4999) > 0.002


def closed_testing(p):
    """A hypothesis falls where every intersection that it is in falls, each by Bonferroni (Marcus
    et al., 1976).
    """
    groups = [group for size in range(1, len(p) + 1) for group in combinations(range(len(p)), size)]
    alone = {group: min(1.0, len(group) * min(p[i] for i in group)) for group in groups}
    return [max(value for group, value in alone.items() if i in group) for i in range(len(p))]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
def test_it_is_the_closed_test_of_bonferroni(p):
    np.testing.assert_allclose(holm(np.array(p)), closed_testing(p), rtol=1e-12)


def test_false_alarms_are_as_rare_as_promised(rng):
    """All pairs of six equal methods, which depend on each other: 5% of the time at most, where
    single tests fail.
    """
    values = rng.normal(size=(1500, 6, 5))
    pairs = np.array(list(combinations(range(6), 2)))
    p = stats.ttest_ind(values[:, pairs[:, 0]], values[:, pairs[:, 1]], axis=2).pvalue
    assert np.mean((p < 0.05).any(axis=1)) > 0.2
    assert np.mean([(holm(p_values) < 0.05).any() for p_values in p]) < 0.05 + 3 * np.sqrt(
        0.05 * 0.95 / 1500
    )


def power(variance, freedom, tests):
    """The share of simulated differences of true size 1 that are significant, each with its own
    estimated error.
    """
    rng = np.random.default_rng(0)
    seen = rng.normal(1, np.sqrt(variance), 200_000)
    error = np.sqrt(variance * rng.chisquare(freedom, len(seen)) / freedom)
    return float((seen / error > stats.t.ppf(1 - SIZE / tests / 2, freedom)).mean())


def test_replicates_that_are_said_to_be_enough_are():
    """With that many the difference is found in about 80% of cases, and with clearly fewer it is
    not.
    """
    replicates = replicates_needed(1.0, 0.5, 0.02, 8.0, 3, 2)
    assert replicates is not None
    for count, low, high in ((replicates, 0.76, 0.88), (replicates // 2, 0.0, 0.74)):
        assert low <= power(0.5 * 3 / count + 0.02, 8.0 * (count - 1) / 2, 2) <= high
    assert replicates_needed(1.0, 0.05, 0.6, 30.0, 3, 2) is None


TABLE_5 = {
    2: 1.960,
    3: 2.343,
    4: 2.569,
    5: 2.728,
    6: 2.850,
    7: 2.949,
    8: 3.031,
    9: 3.102,
    10: 3.164,
}
"""Demšar, JMLR 2006: critical values of the two-tailed Nemenyi test at 5%, by the number of
methods.
"""


def test_the_critical_difference_is_demsar_s():
    expected = {
        methods: q * np.sqrt(methods * (methods + 1) / (6 * 14)) for methods, q in TABLE_5.items()
    }
    assert {methods: critical_difference(methods, 14) for methods in TABLE_5} == pytest.approx(
        expected, abs=1e-3
    )


def test_ranks_and_p_are_scipy_s():
    merits = np.random.default_rng(0).normal(size=(12, 4)).round(1) + np.arange(4) / 2  # with ties
    result = ranking(list("abcd"), merits)
    mean = dict(zip(result.names, result.ranks, strict=True))
    twin = stats.rankdata(-merits, axis=1).mean(axis=0)
    assert [mean[name] for name in "abcd"] == pytest.approx(twin)
    assert result.ranks == tuple(sorted(result.ranks))
    assert result.p == pytest.approx(stats.friedmanchisquare(*merits.T).pvalue)


def test_cliques_are_the_largest_groups_that_hang_together():
    merits = np.tile([4.0, 3.0, 2.0, 1.0], (9, 1))
    merits[::2] = [3.0, 4.0, 2.0, 1.0]
    result = ranking(["a", "b", "c", "d"], merits)
    significant = {
        (i, j)
        for i in range(4)
        for j in range(i, 4)
        if result.ranks[j] - result.ranks[i] > result.critical
    }
    for first, last in result.cliques:
        assert (first, last) not in significant
        assert last == 3 or (first, last + 1) in significant


VOLUME = partial(hypervolume, objectives=BOTH, reference=AT)


def front(points, ahead=0.0):
    angle = np.linspace(0.1, 1.4, points)
    return 0.8 + 0.01 * np.stack([np.sin(angle), np.cos(angle)], axis=1) + ahead


def seen(truth, rng, split=None):
    """Three seeds each; the finite split has moved all of them alike, and its resamples do."""
    moved = np.zeros((0, 2)) if split is None else split[1:]
    shift = 0 if split is None else split[0]
    return [
        Evidence(
            point + shift + rng.normal(0, 1e-3, (3, 2)), np.broadcast_to(moved, (3, *moved.shape))
        )
        for point in truth
    ]


@pytest.mark.slow
@pytest.mark.parametrize("resampled", [False, True])
def test_intervals_of_the_difference_cover_the_truth(resampled):
    rng, runs, hits = np.random.default_rng(0), 80, 0
    a, b = front(4, 0.0005), front(6)
    truth = hypervolume(a, BOTH, AT) - hypervolume(b, BOTH, AT)
    for seed in range(runs):
        split = rng.normal(0, 2e-3, (200, 2)) if resampled else None
        families = {"a": seen(a, rng, split), "b": seen(b, rng, split)}
        _, (gap,) = by_front(families, VOLUME, seed, draws=200)
        hits += gap.effect.low <= truth <= gap.effect.high
    assert 0.78 < hits / runs < 0.99  # nominal 90%, 80 runs


def test_fronts_far_apart_have_a_small_p_and_unrepeated_ones_none(rng):
    families = {"a": seen(front(3), rng), "b": seen(front(5, 0.01), rng)}
    volumes, (gap,) = by_front(families, VOLUME, seed=0)
    assert volumes["a"] - volumes["b"] == pytest.approx(gap.effect.value)
    assert gap.noise < 0.001
    assert gap.effect.low < gap.effect.value < gap.effect.high < 0
    once = [Evidence(np.full((1, 2), 0.7), np.zeros((1, 0, 2)))]
    _, (alone,) = by_front({"a": once, "b": once}, VOLUME, seed=0)
    assert np.isnan([alone.noise, alone.effect.value]).all()
