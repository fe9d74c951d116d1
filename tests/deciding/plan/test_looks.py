"""Boundaries and sizes against published tables, a library's integrals, and tests simulated from a
log.
"""

import math

import numpy as np
import pytest
from scipy import stats

from bench.deciding.plan.ab_test import MARGINAL, shares_of, size_of
from bench.deciding.plan.looks import FIXED, boundaries, crossed, inflation
from bench.deciding.plan.online import OnlineMetric

FIFTHS = (0.2, 0.4, 0.6, 0.8, 1.0)


def test_boundaries_are_those_of_published_tables():
    """Lan-DeMets: Reboussin et al., Controlled Clinical Trials 2000. O'Brien-Fleming: Jennison and
    Turnbull 2000.
    """
    assert boundaries(FIFTHS) == pytest.approx([4.877, 3.357, 2.680, 2.290, 2.031], abs=6e-4)
    assert boundaries((0.5, 1.0)) == pytest.approx([2.963, 1.969], abs=6e-4)
    classical = tuple(2.040 / np.sqrt(FIFTHS))
    assert classical == pytest.approx([4.56, 3.23, 2.63, 2.28, 2.04], abs=6e-3)
    assert 2 * crossed(FIFTHS, classical, 0.0).sum() == pytest.approx(0.05, abs=1e-4)
    assert crossed(FIFTHS, classical, FIXED * math.sqrt(1.028)).sum() == pytest.approx(
        0.8, abs=5e-4
    )
    assert boundaries((1.0,)) == pytest.approx([1.95996], abs=1e-4)
    assert inflation((1.0,)) == pytest.approx(1)
    assert 1.0 < inflation((0.5, 1.0)) < inflation(FIFTHS) < 1.028


def test_chances_are_those_of_a_multivariate_normal():
    shares, drift = (0.1, 0.45, 1.0), 1.3
    bounds = boundaries(shares)
    root = np.sqrt(shares)
    joint = stats.multivariate_normal(
        drift * root, np.minimum.outer(shares, shares) / np.outer(root, root)
    )
    inside = joint.cdf(bounds, lower_limit=np.negative(bounds), rng=0)
    ended = crossed(shares, bounds, drift).sum() + crossed(shares, bounds, -drift).sum()
    assert 1 - inside == pytest.approx(ended, abs=1e-5)


def test_a_size_without_looks_is_that_of_a_test_of_two_means():
    metric = OnlineMetric("click", "click per user", 2.0, 4.0, 1000)
    units = metric.needed(0.02)
    far = 0.02 / math.sqrt(2 * 4.0 / units)  # a t-test of two means whose difference is 2%
    power = stats.nct.sf(stats.t.ppf(0.975, 2 * units - 2), 2 * units - 2, far)
    assert power == pytest.approx(0.8, abs=0.01)
    assert metric.shown(units) == pytest.approx(0.02)
    loss = metric.needed(0.0, -0.02, MARGINAL)
    assert loss == pytest.approx(2 * 4.0 * (1.6449 + 0.8416) ** 2 / math.log(0.98) ** 2, rel=1e-4)


@pytest.mark.parametrize("weeks", [1, 2, 5, 6, 13])
def test_looks_are_at_ends_of_weeks(weeks):
    shares = shares_of(weeks)
    assert len(shares) == min(weeks, 5)
    assert np.allclose(np.multiply(shares, weeks) % 1, 0)
    assert (np.diff(shares, prepend=0) > 0).all()
    assert shares[-1] == 1


def test_whole_weeks_have_the_units_and_at_least_the_power():
    metric = OnlineMetric.of(
        "click", "click per user", np.random.default_rng(0).poisson(1.0, 5000).astype(float)
    )
    size = size_of(metric, 0.02, 1000.0)
    assert size["weeks"] * 7 >= size["days"] > size["weeks"] * 7 - 7
    assert size["days"] == pytest.approx(2 * size["units"] / 1000)
    assert size["looks"][-1]["units"] == pytest.approx(7 * size["weeks"] * 1000 / 2)
    assert size["looks"][-1]["week"] == size["weeks"]
    assert size["looks"][-1]["ended"] >= 0.8
    assert size_of(metric, 0.02, None)["looks"][-1]["ended"] == pytest.approx(0.8)
    assert size_of(metric, 0.02, 1000.0, at_least=1e6)["units"] == 1e6
    assert size_of(metric, 1e-6, 1e-3)["weeks"] > 1e12  # no test, but no endless loop either


def draws(sums, change):
    """Values of a unit and their chances, where each event is lost, or happens twice, with a
    chance.
    """
    values, counts = np.unique(sums, return_counts=True)
    totals = np.zeros(2 * int(values[-1]) + 1)
    for value, count in zip(values.astype(int), counts, strict=True):
        chance = stats.binom.pmf(np.arange(value + 1), value, abs(change)) * count / len(sums)
        places = value + np.arange(value + 1) * (1 if change > 0 else -1)
        np.add.at(totals, places, chance)
    return np.arange(len(totals)), totals / totals.sum()


def statistics(sums, change, units, rng, tests=10_000, margin=0.0):
    """(tests, K) of as many tests at each look, whose units (K,) an arm are drawn from a log; one
    arm is changed.
    """
    moments = []
    for arm in (0.0, change):
        values, chances = draws(sums, arm)
        new = np.stack(
            [
                rng.multinomial(count, chances, tests)
                for count in np.diff(np.round(units), prepend=0).astype(int)
            ]
        )
        counts = np.cumsum(new, axis=0)
        n = counts.sum(axis=2)
        mean, square = counts @ values / n, counts @ values**2 / n
        moments.append((np.log(mean), (square / mean**2 - 1) / n))
    (first, noise), (second, other_noise) = moments
    return ((second - first - math.log1p(margin)) / np.sqrt(noise + other_noise)).T


LOGS = {
    "skewed": lambda rng: rng.poisson(rng.lognormal(-0.7, 1.2, 20_000)),
    "rare": lambda rng: rng.poisson(0.01 * rng.gamma(0.5, 2.0, 20_000)),
}


@pytest.mark.slow
@pytest.mark.parametrize("log", LOGS)
def test_simulated_tests_have_the_power_and_the_error_of_the_plan(log):
    rng = np.random.default_rng(5)
    sums = LOGS[log](rng).astype(float)
    metric = OnlineMetric.of("click", "click per user", sums)
    looks = size_of(metric, 0.05, None)["looks"]
    units, bounds = [look["units"] for look in looks], [look["bound"] for look in looks]
    gained = (statistics(sums, 0.05, units, rng) > bounds).any(axis=1).mean()
    nothing = (np.abs(statistics(sums, 0.0, units, rng)) > bounds).any(axis=1).mean()
    early = (statistics(sums, 0.05, units, rng) > bounds)[:, :3].any(axis=1).mean()
    assert 0.78 <= gained <= 0.82
    assert nothing <= 0.055
    assert early == pytest.approx(looks[2]["ended"], abs=0.02)
    units, passes = [metric.needed(0.0, -0.04, MARGINAL)], stats.norm.ppf(0.95)
    passed, lost = (
        statistics(sums, true, units, rng, margin=-0.04) > passes for true in (0.0, -0.04)
    )
    assert 0.78 <= passed.mean() <= 0.82
    assert lost.mean() <= 0.055
