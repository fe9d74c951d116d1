"""Holm's p-values against closed testing, against published ones, and how often they cry wolf."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.results.comparison.significance import SIZE, holm, replicates_needed


def closed_testing(p: list[float]) -> list[float]:
    """A hypothesis falls where every intersection that it is in falls, each by Bonferroni (Marcus et al., 1976)."""
    every = [group for size in range(1, len(p) + 1) for group in combinations(range(len(p)), size)]
    alone = {group: min(1.0, len(group) * min(p[i] for i in group)) for group in every}
    return [max(value for group, value in alone.items() if i in group) for i in range(len(p))]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
def test_it_is_the_closed_test_of_bonferroni(p: list[float]) -> None:
    np.testing.assert_allclose(holm(np.array(p)), closed_testing(p), rtol=1e-12)


def test_it_is_r_s_p_adjust() -> None:
    adjusted = holm(np.array([0.01, 0.02, 0.03, 0.04, 0.05]))
    np.testing.assert_allclose(adjusted, [0.05, 0.08, 0.09, 0.09, 0.09])  # p.adjust(.., "holm")
    assert holm(np.array([])).shape == (0,)


def test_false_alarms_are_as_rare_as_promised() -> None:
    """All pairs of six equal methods, which depend on each other: 5% of the time at most, where single tests fail."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(1500, 6, 5))
    pairs = np.array(list(combinations(range(6), 2)))
    p = stats.ttest_ind(values[:, pairs[:, 0]], values[:, pairs[:, 1]], axis=2).pvalue
    assert np.mean((p < 0.05).any(axis=1)) > 0.2
    assert np.mean([(holm(each) < 0.05).any() for each in p]) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1500)


def power(variance: float, freedom: float, tests: int) -> float:
    """The share of simulated differences of true size 1 that are significant, each with its own estimated error."""
    rng = np.random.default_rng(0)
    seen = rng.normal(1, np.sqrt(variance), 200_000)
    error = np.sqrt(variance * rng.chisquare(freedom, len(seen)) / freedom)
    return float((seen / error > stats.t.ppf(1 - SIZE / tests / 2, freedom)).mean())


def test_replicates_that_are_said_to_be_enough_are() -> None:
    """With that many the difference is found in about 80% of cases, and with clearly fewer it is not."""
    replicates = replicates_needed(1.0, 0.5, 0.02, 8.0, 3, 2)
    assert replicates is not None
    for count, low, high in ((replicates, 0.76, 0.88), (replicates // 2, 0.0, 0.74)):
        assert low <= power(0.5 * 3 / count + 0.02, 8.0 * (count - 1) / 2, 2) <= high
    assert replicates_needed(1.0, 0.05, 0.6, 30.0, 3, 2) is None
