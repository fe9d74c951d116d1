"""Joint errors of serving points and the joint posterior of candidates, against closed forms."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bench.ledger.errors.evidence import Evidence
from bench.ledger.errors.rankings import Rankings, draws_of, seeds_of
from bench.ledger.served import joint
from bench.ledger.served.joint import moves, posterior


def points_of(values, at, moved=None):
    """All candidates under the settings `at`, without resamples unless there are some."""
    pairs = [(c, k) for c in range(len(values)) for k in at]
    m = values[0].shape[2]
    moved = np.zeros((0, len(pairs), m)) if moved is None else moved
    of, settings = np.array(pairs).T
    evidence = []
    for place, (c, k) in enumerate(pairs):
        chosen = values[c][:, k]
        evidence.append(Evidence(chosen, np.repeat(moved[None, :, place], len(chosen), axis=0)))
    return Rankings(of, settings, tuple(evidence))


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
    """Of n units a bootstrap's variance is that of the units over n, whose true one divides by n -
    1.
    """
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
    found, known = (
        np.quantile(drawn, [0.05, 0.5, 0.95]),
        stats.beta(0.5, n + 0.5).ppf([0.05, 0.5, 0.95]),
    )
    np.testing.assert_allclose(found, known, rtol=0.1)
    np.testing.assert_array_equal(
        draws_of(points_of(values[:1], [0], moved[:, :1]), None, 0, 10), 0
    )  # n is unknown


def test_shared_seeds_pair_candidates(rng):
    common = 0.02 * rng.normal(size=(5, 6, 1))
    values = [0.5 + common + 0.001 * rng.normal(size=(5, 6, 1)) for _ in range(5)]
    shared = seeds_of(values, [(1, 2, 3, 4, 5)] * 5)
    apart = seeds_of(values, [tuple(range(10 * c, 10 * c + 5)) for c in range(5)])
    assert shared.correlation[0] > 0.9
    assert apart.correlation[0] == 0
    paired, alone = (draws_of(points_of(values, [0]), each, 0, 2000) for each in (shared, apart))
    assert (paired[:, 0] - paired[:, 1]).std() < 0.3 * (alone[:, 0] - alone[:, 1]).std()


def of_logs(values):
    return np.log(values).mean(axis=-1)


def measured(logs, sd, draws, rng, common=0.0):
    """Values (S, M) of row 0, which has no error, and candidates at `logs` above it; draws that err
    by `sd` (M,).

    Args:
        common: standard deviation of an error that all candidates share.
    """
    of = 0.4 * np.exp(np.concatenate([np.zeros((1, logs.shape[1])), logs]))
    errors = sd * rng.normal(size=(draws, *of.shape)) + common * rng.normal(size=(draws, 1, 1))
    errors[:, 0] = 0
    return of, of * np.exp(errors)


def test_given_the_priors_covariance_it_is_the_gaussian_posterior_and_outcomes_follow_by_regression(
    monkeypatch, rng
):
    prior = np.array([[0.03, 0.01], [0.01, 0.02]]) * 0.05
    monkeypatch.setattr(joint, "_spreads", lambda seen, errors, rng: [prior])
    logs, sd = np.array([[0.06, 0.0], [-0.02, 0.04]]), np.array([0.03, 0.01])
    of, flat = measured(logs, sd, 40_000, rng)
    found = np.log(posterior(of, flat, [0, 1, 2], 0, of_logs, 0)[:, 1:] / 0.4)
    errors, seen = np.eye(2) * (sd**2).sum() / 4, logs.mean(axis=1)
    gain = prior @ np.linalg.inv(prior + errors)
    told = found.mean(axis=2)
    np.testing.assert_allclose(told.mean(axis=0), gain @ seen, atol=4e-4)
    np.testing.assert_allclose(np.cov(told, rowvar=False), prior - gain @ prior, atol=1e-5)
    back = (
        np.eye(2) - gain
    ) @ seen  # what U is drawn back by; each outcome in proportion to its covariance with U
    slopes = (sd**2 / 2) / ((sd**2).sum() / 4)
    np.testing.assert_allclose(found.mean(axis=0), logs - back[:, None] * slopes, atol=6e-4)


def test_where_noise_is_large_candidates_are_drawn_to_what_they_have_in_common(rng):
    logs = np.repeat(np.linspace(-0.08, 0.12, 8)[:, None], 2, axis=1)
    found = of_logs(posterior(*measured(logs, 0.12, 1000, rng), [*range(9)], 0, of_logs, 0)).mean(
        axis=0
    )
    apart = found[1:] - found[0]
    assert np.ptp(apart) < 0.25 * 0.2
    assert 0 < apart.mean() < 0.02


def test_a_large_difference_is_left_as_it_was_measured(rng):
    logs = np.concatenate([0.004 * rng.normal(size=(7, 2)), [[0.3, 0.3]]])
    of, flat = measured(logs, 0.005, 1000, rng)
    found = posterior(of, flat, [*range(9)], 0, of_logs, 0)
    gain = moves(of, found, 8, 0, of_logs, np.asarray, ("a", "b")).utility
    assert gain.value == pytest.approx(0.3, abs=0.001)
    assert gain.high - gain.low == pytest.approx(
        2 * stats.norm.isf(0.05) * 0.005 / np.sqrt(2), rel=0.1
    )


def test_what_ranks_alike_is_equal_in_every_draw(rng):
    """A trial that is the reference itself, and two that are each other."""
    of, flat = measured(
        np.array([[0.0, 0.0], [0.05, 0.01], [0.05, 0.01], [0.02, 0.02]]), 0.02, 300, rng
    )
    flat[:, 1], flat[:, 3] = flat[:, 0], flat[:, 2]
    found = posterior(of, flat, [*range(5)], 0, of_logs, 0)
    np.testing.assert_array_equal(found[:, 1], found[:, 0])
    np.testing.assert_allclose(found[:, 3], found[:, 2], rtol=1e-12)
    told = moves(of, found, 1, 0, of_logs, np.asarray, ("a", "b"))
    assert {
        (each.value, each.low, each.high) for each in (told.utility, *told.outcomes.values())
    } == {(0.0, 0.0, 0.0)}


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [0.0, 0.02])
def test_of_ten_equal_candidates_the_best_seldom_gains_and_little_is_announced(seeds):
    """The best by the very rows that judge it; errors of rows and seeds, and one that all share
    with today's.
    """
    worlds, gained, told, raw = 60, 0, [], []
    for seed in range(worlds):
        rng = np.random.default_rng(seed)
        sd = np.hypot(0.01, seeds)
        of, flat = measured(
            sd * rng.normal(size=(10, 2)) + 0.01 * rng.normal(), sd, 240, rng, common=0.01
        )
        best = int(of_logs(of).argmax())
        each = moves(
            of,
            posterior(of, flat, [*range(11)], 0, of_logs, seed),
            best or 1,
            0,
            of_logs,
            np.asarray,
            ("a", "b"),
        )
        gained, told, raw = (
            gained + each.utility.gained,
            [*told, each.utility.value],
            [*raw, of_logs(of).max()],
        )
    assert gained <= stats.binom.ppf(0.99, worlds, 0.05)
    assert abs(np.mean(told)) < (np.mean(raw) - np.log(0.4)) / 3  # what it looks like


@pytest.mark.slow
@pytest.mark.parametrize("ahead", [0.01, 0.03, 0.05])
def test_an_interval_that_spans_both_holds_for_one_model_that_alone_is_ahead(ahead):
    """Nine others are equal, so the leader is drawn back too far; errors are its own, and one that
    all share.
    """
    worlds, held, back = 100, 0, 0
    for seed in range(worlds):
        rng = np.random.default_rng(seed)
        logs = 0.015 * rng.normal(size=(10, 2)) + 0.01 * rng.normal()
        logs[3] += ahead
        of, flat = measured(logs, 0.015, 240, rng, common=0.01)
        told = [
            moves(of, draws, 4, 0, of_logs, np.asarray, ("a", "b"))
            for draws in (posterior(of, flat, [*range(11)], 0, of_logs, seed), flat)
        ]
        both = told[0].spanning(told[1]).utility
        held, back = (
            held + (both.low <= ahead <= both.high),
            back + (told[0].utility.low <= ahead <= told[0].utility.high),
        )
    assert held >= stats.binom.ppf(0.01, worlds, 0.9)
    assert back < held
