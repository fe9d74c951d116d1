"""Joint errors of serving points and the joint posterior of candidates, against closed forms."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bench.ledger.errors.evidence import Evidence
from bench.ledger.errors.rankings import Rankings, draws_of, seeds_of
from bench.ledger.served import joint
from bench.ledger.served.joint import moves, posterior


def points_of(values, fusions, moved=None):
    """All candidates under the settings `fusions`, without resamples unless there are some."""
    pairs = [(c, k) for c in range(len(values)) for k in fusions]
    m = values[0].shape[2]
    moved = np.zeros((0, len(pairs), m)) if moved is None else moved
    candidates, settings = np.array(pairs).T
    evidence = []
    for place, (c, k) in enumerate(pairs):
        chosen = values[c][:, k]
        evidence.append(Evidence(chosen, np.repeat(moved[None, :, place], len(chosen), axis=0)))
    return Rankings(candidates, settings, tuple(evidence))


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
    quantiles = np.quantile(drawn, [0.05, 0.5, 0.95])
    expected = stats.beta(0.5, n + 0.5).ppf([0.05, 0.5, 0.95])
    np.testing.assert_allclose(quantiles, expected, rtol=0.1)
    # n is unknown
    np.testing.assert_array_equal(
        draws_of(points_of(values[:1], [0], moved[:, :1]), None, 0, 10), 0
    )


def test_shared_seeds_pair_candidates(rng):
    common = 0.02 * rng.normal(size=(5, 6, 1))
    values = [0.5 + common + 0.001 * rng.normal(size=(5, 6, 1)) for _ in range(5)]
    shared = seeds_of(values, [(1, 2, 3, 4, 5)] * 5)
    unshared = seeds_of(values, [tuple(range(10 * c, 10 * c + 5)) for c in range(5)])
    assert shared.correlation[0] > 0.9
    assert unshared.correlation[0] == 0
    paired, alone = (
        draws_of(points_of(values, [0]), seeds, 0, 2000) for seeds in (shared, unshared)
    )
    assert (paired[:, 0] - paired[:, 1]).std() < 0.3 * (alone[:, 0] - alone[:, 1]).std()


def of_logs(values):
    return np.log(values).mean(axis=-1)


def measured(logs, sd, draws, rng, common=0.0):
    """Values (S, M) of row 0, which has no error, and candidates at `logs` above it; draws that err
    by `sd` (M,).

    Args:
        common: standard deviation of an error that all candidates share.
    """
    values = 0.4 * np.exp(np.concatenate([np.zeros((1, logs.shape[1])), logs]))
    errors = sd * rng.normal(size=(draws, *values.shape)) + common * rng.normal(size=(draws, 1, 1))
    errors[:, 0] = 0
    return values, values * np.exp(errors)


def test_given_the_priors_covariance_it_is_the_gaussian_posterior_and_outcomes_follow_by_regression(
    monkeypatch, rng
):
    prior = np.array([[0.03, 0.01], [0.01, 0.02]]) * 0.05
    monkeypatch.setattr(joint, "_spreads", lambda seen, errors, rng: [prior])
    logs, sd = np.array([[0.06, 0.0], [-0.02, 0.04]]), np.array([0.03, 0.01])
    values, flat = measured(logs, sd, 40_000, rng)
    draws = np.log(posterior(values, flat, [0, 1, 2], 0, of_logs, 0)[:, 1:] / 0.4)
    errors, seen = np.eye(2) * (sd**2).sum() / 4, logs.mean(axis=1)
    gain = prior @ np.linalg.inv(prior + errors)
    utilities = draws.mean(axis=2)
    np.testing.assert_allclose(utilities.mean(axis=0), gain @ seen, atol=4e-4)
    np.testing.assert_allclose(np.cov(utilities, rowvar=False), prior - gain @ prior, atol=1e-5)
    back = (
        np.eye(2) - gain
    ) @ seen  # what U is drawn back by; each outcome in proportion to its covariance with U
    slopes = (sd**2 / 2) / ((sd**2).sum() / 4)
    np.testing.assert_allclose(draws.mean(axis=0), logs - back[:, None] * slopes, atol=6e-4)


def test_where_noise_is_large_candidates_are_drawn_to_what_they_have_in_common(rng):
    logs = np.repeat(np.linspace(-0.08, 0.12, 8)[:, None], 2, axis=1)
    utilities = of_logs(
        posterior(*measured(logs, 0.12, 1000, rng), [*range(9)], 0, of_logs, 0)
    ).mean(axis=0)
    gains = utilities[1:] - utilities[0]
    assert np.ptp(gains) < 0.25 * 0.2
    assert 0 < gains.mean() < 0.02


def test_a_large_difference_is_left_as_it_was_measured(rng):
    logs = np.concatenate([0.004 * rng.normal(size=(7, 2)), [[0.3, 0.3]]])
    values, flat = measured(logs, 0.005, 1000, rng)
    draws = posterior(values, flat, [*range(9)], 0, of_logs, 0)
    gain = moves(values, draws, 8, 0, of_logs, np.asarray, ("a", "b")).utility
    assert gain.value == pytest.approx(0.3, abs=0.001)
    assert gain.high - gain.low == pytest.approx(
        2 * stats.norm.isf(0.05) * 0.005 / np.sqrt(2), rel=0.1
    )


def test_what_ranks_alike_is_equal_in_every_draw(rng):
    """A trial that is the reference itself, and two that are each other."""
    values, flat = measured(
        np.array([[0.0, 0.0], [0.05, 0.01], [0.05, 0.01], [0.02, 0.02]]), 0.02, 300, rng
    )
    flat[:, 1], flat[:, 3] = flat[:, 0], flat[:, 2]
    draws = posterior(values, flat, [*range(5)], 0, of_logs, 0)
    np.testing.assert_array_equal(draws[:, 1], draws[:, 0])
    np.testing.assert_allclose(draws[:, 3], draws[:, 2], rtol=1e-12)
    effects = moves(values, draws, 1, 0, of_logs, np.asarray, ("a", "b"))
    assert {
        (effect.value, effect.low, effect.high)
        for effect in (effects.utility, *effects.outcomes.values())
    } == {(0.0, 0.0, 0.0)}


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [0.0, 0.02])
def test_of_ten_equal_candidates_the_best_seldom_gains_and_little_is_announced(seeds):
    """The best by the very rows that judge it; errors of rows and seeds, and one that all share
    with today's.
    """
    worlds, gained, announced, raw = 60, 0, [], []
    for seed in range(worlds):
        rng = np.random.default_rng(seed)
        sd = np.hypot(0.01, seeds)
        values, flat = measured(
            sd * rng.normal(size=(10, 2)) + 0.01 * rng.normal(), sd, 240, rng, common=0.01
        )
        best = int(of_logs(values).argmax())
        effects = moves(
            values,
            posterior(values, flat, [*range(11)], 0, of_logs, seed),
            best or 1,
            0,
            of_logs,
            np.asarray,
            ("a", "b"),
        )
        gained = gained + effects.utility.gained
        announced = [*announced, effects.utility.value]
        raw = [*raw, of_logs(values).max()]
    assert gained <= stats.binom.ppf(0.99, worlds, 0.05)
    assert abs(np.mean(announced)) < (np.mean(raw) - np.log(0.4)) / 3  # what it looks like


@pytest.mark.slow
@pytest.mark.parametrize("ahead", [0.01, 0.03, 0.05])
def test_an_interval_that_spans_both_holds_for_one_model_that_alone_is_ahead(ahead):
    """Nine others are equal, so the leader is drawn back too far; errors are its own, and one that
    all share.
    """
    worlds, covered, back = 100, 0, 0
    for seed in range(worlds):
        rng = np.random.default_rng(seed)
        logs = 0.015 * rng.normal(size=(10, 2)) + 0.01 * rng.normal()
        logs[3] += ahead
        values, flat = measured(logs, 0.015, 240, rng, common=0.01)
        results = [
            moves(values, draws, 4, 0, of_logs, np.asarray, ("a", "b"))
            for draws in (posterior(values, flat, [*range(11)], 0, of_logs, seed), flat)
        ]
        spanning = results[0].spanning(results[1]).utility
        covered = covered + (spanning.low <= ahead <= spanning.high)
        back = back + (results[0].utility.low <= ahead <= results[0].utility.high)
    assert covered >= stats.binom.ppf(0.01, worlds, 0.9)
    assert back < covered
