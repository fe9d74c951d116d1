"""Joint errors of serving points against closed forms."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bench.results.served.errors import Points, draws_of, seeds_of


def points_of(values, at, moved=None):
    """All candidates under the settings `at`, without resamples unless there are some."""
    pairs = [(c, k) for c in range(len(values)) for k in at]
    m = values[0].shape[2]
    moved = np.zeros((0, len(pairs), m)) if moved is None else moved
    of, settings = np.array(pairs).T
    chosen = tuple(values[c][:, k] for c, k in pairs)
    return Points(of, settings, chosen, moved, np.zeros((len(pairs), m)))


def test_one_candidate_has_students_t_of_its_replicates(rng):
    values = 0.5 + 0.01 * rng.normal(size=(4, 1, 2))
    seeds = seeds_of([values], [(1, 2, 3, 4)])
    drawn = draws_of(points_of([values], [0]), seeds, 0, 20_000)
    low, high = np.quantile(drawn[:, 0], [0.05, 0.95], axis=0)
    error = values[:, 0].std(axis=0, ddof=1) / 2
    reach = stats.t.ppf(0.95, 3) * error
    np.testing.assert_allclose((high - low) / 2, reach, rtol=0.05)


def test_points_of_one_candidate_err_together(rng):
    """The seed moves both settings alike: their difference is sure, each of them is not."""
    common = 0.02 * rng.normal(size=(3, 1, 1))
    values = [0.5 + common[:, [0, 0]] + np.array([0.0, 0.1])[None, :, None] for _ in range(2)]
    drawn = draws_of(points_of(values, [0, 1]), seeds_of(values, [(1, 2, 3), (4, 5, 6)]), 0, 500)
    assert drawn[:, 0].std() > 0.003
    np.testing.assert_allclose(drawn[:, 1] - drawn[:, 0], 0.1, atol=1e-9)


def test_rows_are_paired_and_have_the_resamples_covariance(rng):
    values = [np.full((1, 1, 1), 0.5), np.full((1, 1, 1), 0.6)]
    moved = np.repeat(0.01 * rng.normal(size=(200, 1, 1)), 2, axis=1)
    drawn = draws_of(points_of(values, [0], moved), None, 0, 4000)
    assert drawn[:, 0].std() == pytest.approx(moved[:, 0].std(ddof=1), rel=0.05)
    np.testing.assert_allclose(drawn[:, 1] - drawn[:, 0], 0.1, atol=1e-9)


def test_few_units_have_students_t_of_their_mean(rng):
    """Of n units a bootstrap's variance is that of the units over n, whose true one divides by n - 1."""
    values, n = [np.full((1, 1, 1), 0.5)], 8
    moved = 0.01 * rng.normal(size=(4000, 1, 1))
    drawn = draws_of(replace(points_of(values, [0], moved), units=n), None, 0, 40_000)
    low, high = np.quantile(drawn[:, 0, 0], [0.05, 0.95])
    reach = stats.t.ppf(0.95, n - 1) * moved.std(ddof=1) * np.sqrt(n / (n - 1))
    assert (high - low) / 2 == pytest.approx(reach, rel=0.05)


def test_of_what_these_rows_show_nothing_the_interval_is_that_of_none_of_n(rng):
    """No resample shows more than 0; another point's errors tell what n is."""
    n, values = 60, [np.full((1, 1, 1), 0.0), np.full((1, 1, 1), 0.3)]
    moved = rng.binomial(n, 0.3, size=(4000, 2, 1)) / n - 0.3
    moved[:, 0] = 0
    drawn = draws_of(points_of(values, [0], moved), None, 0, 4000)[:, 0, 0]
    found, known = np.quantile(drawn, [0.05, 0.5, 0.95]), stats.beta(0.5, n + 0.5).ppf([0.05, 0.5, 0.95])
    np.testing.assert_allclose(found, known, rtol=0.1)
    np.testing.assert_array_equal(draws_of(points_of(values[:1], [0], moved[:, :1]), None, 0, 10), 0)  # n is unknown


def test_shared_seeds_pair_candidates(rng):
    common = 0.02 * rng.normal(size=(5, 6, 1))
    values = [0.5 + common + 0.001 * rng.normal(size=(5, 6, 1)) for _ in range(5)]
    shared = seeds_of(values, [(1, 2, 3, 4, 5)] * 5)
    apart = seeds_of(values, [tuple(range(10 * c, 10 * c + 5)) for c in range(5)])
    assert shared.alike[0] > 0.9
    assert apart.alike[0] == 0
    paired, alone = (draws_of(points_of(values, [0]), each, 0, 2000) for each in (shared, apart))
    assert (paired[:, 0] - paired[:, 1]).std() < 0.3 * (alone[:, 0] - alone[:, 1]).std()


@pytest.fixture
def rng():
    return np.random.default_rng(0)
