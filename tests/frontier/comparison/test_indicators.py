"""The epsilon indicator against moocore's, and its interval by simulation on fronts whose truth is known."""

from __future__ import annotations

import moocore
import numpy as np
import pytest

from bench.frontier.comparison.indicators import beyond
from bench.frontier.samples import Sample
from bench.objectives import Objective

BOTH = (Objective("click.auc", "maximize"), Objective("cost/parameters", "minimize"))
UNITS = np.array([1e-3, 10.0])
SD = np.array([1e-3, 10.0])


def front(points: int, ahead: float = 0.0) -> np.ndarray:
    """Points on an arc, `ahead` units before it in both objectives."""
    angle = np.linspace(0.1, 1.4, points)
    return np.stack([0.8 + 0.01 * np.sin(angle), 500 - 100 * np.cos(angle)], axis=1) + ahead * UNITS * [1, -1]


def seen(truth: np.ndarray, seeds: int, rng: np.random.Generator) -> list[Sample]:
    return [Sample(point + rng.normal(size=(seeds, 2)) * SD, np.zeros((seeds, 0, 2))) for point in truth]


def epsilon(right: np.ndarray, left: np.ndarray) -> float:
    return float(moocore.epsilon_additive(right / UNITS, ref=left / UNITS, maximise=[True, False]))


def test_the_value_is_moocore_s() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        left, right = (seen(front(points), 2, rng) for points in rng.integers(1, 6, 2))
        means = [np.array([sample.mean for sample in side]) for side in (left, right)]
        assert beyond(left, right, BOTH, UNITS).estimate.value == pytest.approx(epsilon(means[1], means[0]))


@pytest.mark.slow
@pytest.mark.parametrize(("left", "right", "ahead"), [(1, 1, 0.0), (5, 5, 0.0), (5, 3, 1.0), (3, 6, -1.0)])
def test_the_interval_covers_the_truth(left: int, right: int, ahead: float) -> None:
    """Each bound fails at most 2.5% of the time, also where all points lie on one front and the luckiest stands out."""
    rng, runs = np.random.default_rng(left), 250
    a, b = front(left, ahead), front(right)
    truth, low, high = epsilon(b, a), 0, 0
    for _ in range(runs):
        interval = beyond(seen(a, 3, rng), seen(b, 3, rng), BOTH, UNITS).estimate.interval
        assert interval is not None
        low, high = low + (interval[0] > truth), high + (interval[1] < truth)
    most = 0.025 + 3 * np.sqrt(0.025 * 0.975 / runs)
    assert low / runs < most
    assert high / runs < most


def test_it_names_the_points_that_leave() -> None:
    rng = np.random.default_rng(0)
    left = np.vstack([front(3), front(1, ahead=20)])
    found = beyond(seen(left, 3, rng), seen(front(6), 3, rng), BOTH, UNITS)
    assert found.leaving == (3,)
    assert found.estimate.sign == 1
    assert beyond(seen(front(6, -9), 3, rng), seen(front(6), 3, rng), BOTH, UNITS).estimate.sign == -1


def test_more_seeds_are_asked_for_where_less_is_seen() -> None:
    needed = [
        beyond(
            seen(front(4, ahead), 3, np.random.default_rng(2)), seen(front(4), 3, np.random.default_rng(3)), BOTH, UNITS
        ).needed
        for ahead in (5, 0.5)
    ]
    assert needed[0] is not None
    assert needed[1] is not None
    assert needed[0] < needed[1]


def test_without_repetition_there_is_a_value_and_no_interval() -> None:
    rng = np.random.default_rng(0)
    found = beyond(seen(front(2), 1, rng), seen(front(2), 1, rng), BOTH, UNITS)
    assert (found.estimate.interval, found.leaving, found.needed) == (None, (), None)
