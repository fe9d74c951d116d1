"""Seed variance from few replicates, against closed forms and known truths."""

import numpy as np
import pytest
from scipy import stats

from bench.core.records import Replicate, TrialRecord
from bench.ledger.errors.evidence import Evidence, evidence_of
from bench.ledger.errors.intervals import differences, error_of, intervals
from bench.ledger.errors.seed_noise import pairing, seed_noise


def without_data(*groups):
    return [
        Evidence(np.asarray(g, float).reshape(len(g), -1), np.zeros((len(g), 0, np.size(g[0]))))
        for g in groups
    ]


def test_an_error_of_draws_is_their_standard_deviation_and_heavy_tails_do_not_decide_it():
    draws = stats.norm.ppf((np.arange(4000) + 0.5) / 4000)[:, None] * [1.0, 5.0]
    draws[0] = draws[-1] = 1e9
    assert error_of(draws) == pytest.approx([1, 5], rel=0.01)


def test_few_configurations_share_the_pooled_covariance(rng):
    groups = [rng.normal(size=(n, 2)) + 100 * rng.normal(size=2) for n in (2, 3, 5, 1)]
    noise = seed_noise(without_data(*groups))
    weighted = sum((len(g) - 1) * np.cov(g, rowvar=False) for g in groups[:3]) / 7
    np.testing.assert_allclose(noise.within, np.broadcast_to(weighted, (4, 2, 2)))
    np.testing.assert_allclose(noise.seed_only, noise.within)
    assert (noise.freedom == 7).all()
    assert noise.equal


def test_an_unstable_configuration_keeps_much_of_its_own_variance():
    rng = np.random.default_rng(1)
    sizes = [1.0] * 12 + [10.0] * 4
    noise = seed_noise(without_data(*(rng.normal(0, size, (5, 1)) for size in sizes)))
    deviations = np.sqrt(noise.within[:, 0, 0])
    assert not noise.equal
    assert deviations[12:].min() > 2.5 * deviations[:12].max()


def test_what_resamples_say_of_replicates_is_not_counted_twice():
    """A replicate's own deviation on the split is in its spread about the mean, and in its
    resamples.
    """
    rng = np.random.default_rng(3)
    samples = []
    for _ in range(1500):
        row_effects = rng.normal(0, 2.0, (2, 101, 1))
        samples.append(Evidence(rng.normal(0, 1.0, (2, 1)) + row_effects[:, 0], row_effects[:, 1:]))
    noise = seed_noise(samples)
    assert noise.within.mean() == pytest.approx(5.0, rel=0.15)
    assert noise.seed_only.mean() == pytest.approx(1.0, rel=0.5)


def test_a_difference_without_data_error_is_the_pooled_t_test():
    first, second = without_data([0.70, 0.72, 0.71], [0.695, 0.715, 0.711, 0.701])
    interval = differences([first, second]).intervals(0, 1)[0]
    expected = stats.ttest_ind(first.values[:, 0], second.values[:, 0]).confidence_interval(0.9)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


def test_a_difference_on_shared_seeds_is_the_paired_t_test():
    values = np.array([0.70, 0.72, 0.71]), np.array([0.695, 0.718, 0.703])
    samples = [Evidence(value[:, None], np.zeros((3, 0, 1)), (5, 6, 7)) for value in values]
    paired = differences(samples)
    (interval,) = paired.intervals(0, 1)
    expected = stats.ttest_rel(*values).confidence_interval(0.9)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    assert paired.freedom[0, 1] == pytest.approx(2)
    # in another order
    turned = [
        samples[0],
        Evidence(values[1][::-1, None], samples[1].moves, (7, 6, 5)),
    ]
    assert differences(turned).intervals(0, 1) == [interval]


@pytest.mark.parametrize("counts", [(4, 4), (6, 3)])
def test_many_pairs_on_shared_seeds_are_known_as_well_as_their_seeds_say(counts):
    """Twins and others, some with fewer replicates: intervals cover, and the gain is that of the
    correlation.
    """
    rng, covered, gains = np.random.default_rng(5), [], []
    for _ in range(60):
        seeds = rng.normal(0, 1, 6)
        samples = []
        for number in range(8):
            n = counts[number % 2]
            values = 0.95 * seeds[:n] + np.sqrt(1 - 0.95**2) * rng.normal(0, 1, n)
            samples.append(Evidence(values[:, None], np.zeros((n, 0, 1)), tuple(range(n))))
        paired = differences(samples)
        covered += [
            interval.low <= 0 <= interval.high
            for i in range(8)
            for j in range(i)
            for interval in paired.intervals(i, j)
        ]
        gains.append(paired.saved[0])
    assert 0.86 <= np.mean(covered) <= 0.94
    assert np.median(gains) == pytest.approx(1 / (1 - 0.95**2), rel=0.35)


def test_the_splits_error_adds_and_is_gone_from_a_paired_difference():
    rng = np.random.default_rng(4)
    rows = rng.normal(0, 0.01, (1, 400, 1)) * np.ones((3, 1, 1))  # the same for every model
    samples = [
        Evidence(sample.values, rows)
        for sample in without_data([0.70, 0.72, 0.71], [0.71, 0.73, 0.72])
    ]
    alone, pair_differences = intervals(samples)[0][0], differences(samples)
    assert alone.high - alone.low > 2 * 1.6 * 0.009  # the split's standard error is about 0.01
    (paired,) = pair_differences.intervals(0, 1)
    assert pair_differences.rows[0, 1] == pytest.approx(0)
    assert paired.high - paired.low == pytest.approx(
        2 * stats.t.ppf(0.95, 4) * 0.01 * np.sqrt(2 / 3)
    )


@pytest.mark.parametrize("name", ["buy.recall@2.5%", "buy.ctcvr.auc", "buy.ctcvr.gauc_positives"])
def test_ten_positives_widen_what_is_a_mean_over_them(name):
    rng = np.random.default_rng(5)
    moved = {f"confirm/{name}": rng.normal(0, 0.1, 200).tolist()}
    counted = rng.normal(size=200)
    moved["confirm/buy.ctcvr.rarer"] = (counted / counted.std(ddof=1) / np.sqrt(10)).tolist()
    run = Replicate(1, 7, {f"confirm/{name}": 0.3}, resampled=moved)
    evidence = evidence_of(
        TrialRecord(0, "completed", {}, {}, "mmoe", replicates=(run,)), [f"confirm/{name}"]
    )
    assert evidence.logit == (True,)
    assert evidence.freedom == pytest.approx((9,))
    assert evidence.moves[0, :, 0] == pytest.approx(
        np.sqrt(10 / 9) * np.array(moved[f"confirm/{name}"])
    )


def test_a_pair_is_measured_on_the_seeds_that_both_have_and_on_resamples_that_define_it(rng):
    left, right = (1, 2, 4, 7), (7, 4, 9, 2, 8)
    moved = [rng.normal(size=(len(seeds), 6, 2)) for seeds in (left, right)]
    moved[0][0, 0] = np.nan  # of a seed that is not shared
    moved[1][1, 3, 0] = np.nan
    values = [rng.normal(size=(len(seeds), 2)) for seeds in (left, right)]
    paired = pairing(
        [Evidence(*arguments) for arguments in zip(values, moved, (left, right), strict=True)]
    )
    shared = [2, 4, 7]
    gaps = [values[0][left.index(seed)] - values[1][right.index(seed)] for seed in shared]
    rows = [moved[0][left.index(seed)] - moved[1][right.index(seed)] for seed in shared]
    variance = np.var(gaps, axis=0, ddof=1)
    row_variance = np.nanmean(np.var(rows, axis=0, ddof=1), axis=0)
    assert paired.shared.tolist() == [[4, 3], [3, 5]]
    np.testing.assert_allclose(paired.within[0, 1], variance)
    np.testing.assert_allclose(paired.seed_only[1, 0], np.maximum(variance - row_variance, 0))
    assert (paired.freedom[0, 1] == 2).all()
