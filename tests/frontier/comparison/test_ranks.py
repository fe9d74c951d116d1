"""Ranks over data sets against scipy, and critical differences against Demšar's table."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.results.comparison.significance import critical_difference, ranking

TABLE_5 = {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031, 9: 3.102, 10: 3.164}
"""Demšar, JMLR 2006: critical values of the two-tailed Nemenyi test at 5%, by the number of methods."""


@pytest.mark.parametrize(("methods", "q"), TABLE_5.items())
def test_the_critical_difference_is_demsar_s(methods: int, q: float) -> None:
    expected = q * np.sqrt(methods * (methods + 1) / (6 * 14))
    assert critical_difference(methods, 14) == pytest.approx(expected, abs=1e-3)


def test_ranks_and_p_are_scipy_s() -> None:
    merits = np.random.default_rng(0).normal(size=(12, 4)).round(1) + np.arange(4) / 2  # with ties
    found = ranking(list("abcd"), merits)
    mean = dict(zip(found.names, found.ranks, strict=True))
    twin = stats.rankdata(-merits, axis=1).mean(axis=0)
    assert [mean[name] for name in "abcd"] == pytest.approx(twin)
    assert found.ranks == tuple(sorted(found.ranks))
    assert found.p == pytest.approx(stats.friedmanchisquare(*merits.T).pvalue)


def test_cliques_are_the_largest_groups_that_hang_together() -> None:
    merits = np.tile([4.0, 3.0, 2.0, 1.0], (9, 1))
    merits[::2] = [3.0, 4.0, 2.0, 1.0]
    found = ranking(["a", "b", "c", "d"], merits)
    apart = {(i, j) for i in range(4) for j in range(i, 4) if found.ranks[j] - found.ranks[i] > found.critical}
    for first, last in found.cliques:
        assert (first, last) not in apart
        assert last == 3 or (first, last + 1) in apart
    assert found.names[0] in found.sentence
    assert "cannot be told from" in found.sentence


def test_alike_everywhere_cannot_be_told() -> None:
    found = ranking(["a", "b", "c"], np.ones((6, 3)))
    assert (found.p, found.cliques) == (1.0, ((0, 2),))
    assert found.sentence.startswith("Cannot tell")


def test_two_methods_make_a_sign_test() -> None:
    merits = np.column_stack([np.arange(8.0), np.arange(8.0) - 1])
    assert ranking(["a", "b"], merits).p == pytest.approx(2 / 2**8)


def test_friedman_and_nemenyi_keep_their_promise() -> None:
    rng = np.random.default_rng(0)
    apart = 0
    for _ in range(300):
        found = ranking(list("abcd"), rng.normal(size=(10, 4)))
        apart += found.ranks[-1] - found.ranks[0] > found.critical
    assert apart / 300 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
