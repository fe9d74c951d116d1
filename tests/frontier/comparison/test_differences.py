"""Differences against scipy, by simulation, and numbers of seeds against Cohen's tables."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.frontier.comparison.differences import LEVEL, Difference, difference, seeds_needed

LEFT = {1: 0.731, 2: 0.729, 3: 0.736, 4: 0.733}
RIGHT = {1: 0.730, 2: 0.7265, 3: 0.733, 9: 0.70}


def test_shared_seeds_make_a_paired_t_test() -> None:
    of = difference(LEFT, RIGHT)
    twin = stats.ttest_rel([LEFT[s] for s in (1, 2, 3)], [RIGHT[s] for s in (1, 2, 3)])
    assert (of.paired, of.seeds) == (True, (3, 3))
    assert of.value == pytest.approx(np.mean([LEFT[s] - RIGHT[s] for s in (1, 2, 3)]))
    assert of.p == pytest.approx(twin.pvalue)
    assert of.interval == pytest.approx(tuple(twin.confidence_interval(LEVEL)))


def test_other_seeds_make_welch_s() -> None:
    right = {10 + seed: value for seed, value in RIGHT.items()}
    of, twin = difference(LEFT, right), stats.ttest_ind(list(LEFT.values()), list(right.values()), equal_var=False)
    assert (of.paired, of.seeds) == (False, (4, 4))
    assert of.p == pytest.approx(twin.pvalue)
    assert of.interval == pytest.approx(tuple(twin.confidence_interval(LEVEL)))


def test_one_seed_tells_nothing() -> None:
    of = difference({1: 0.7}, {2: 0.6, 3: 0.61})
    assert (of.interval, of.p, seeds_needed(of)) == (None, None, None)
    assert of.value == pytest.approx(0.095)


def test_the_same_training_twice_differs_by_nothing() -> None:
    same = difference(LEFT, LEFT)
    assert (same.value, same.interval, same.p, seeds_needed(same)) == (0.0, (0.0, 0.0), 1.0, None)


@pytest.mark.parametrize(
    ("effect", "paired", "seeds"), [(0.2, False, 394), (0.5, False, 64), (0.8, False, 26), (0.5, True, 34)]
)
def test_seeds_needed_are_cohen_s(effect: float, paired: bool, seeds: int) -> None:
    """Statistical Power Analysis, 1988, table 2.4.1: two-sided 5%, power 80%; effect in deviations of one sample."""
    sd = 1.0 if paired else np.sqrt(2)
    of = Difference(effect, (0.0, 1.0), 0.5, (5, 5), paired, sd, 0.0)
    assert seeds_needed(of) == seeds
    assert (seeds_needed(of, tests=10) or 0) > seeds


def test_no_number_of_seeds_helps_against_a_small_test_set() -> None:
    assert seeds_needed(Difference(1.0, (-1.0, 3.0), 0.5, (3, 3), False, 1.0, data=1.0)) is None


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("data", [0.0, 0.3])
def test_intervals_cover_the_truth(shared: bool, data: float) -> None:
    """Seeds move both sides by the same amount, and the finite split moves the difference; 5 seeds a side."""
    rng, runs, hits = np.random.default_rng(1), 800, 0
    for _ in range(runs):
        luck, split = rng.normal(0, 2, 5), rng.normal(0, np.sqrt(data))
        a = luck + rng.normal(0, 1, 5) + 0.7 + split
        b = (luck if shared else rng.normal(0, 2, 5)) + rng.normal(0, 1, 5)
        of = difference(dict(enumerate(a)), dict(enumerate(b, start=0 if shared else 50)), data)
        assert of.interval is not None
        hits += of.interval[0] <= 0.7 <= of.interval[1]
    assert abs(hits / runs - LEVEL) < 0.025
