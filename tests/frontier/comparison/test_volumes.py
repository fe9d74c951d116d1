"""Hypervolumes of families: values, intervals by simulation, and what resamples of the split do."""

from __future__ import annotations

import numpy as np
import pytest

from bench.frontier.comparison.volumes import volumes
from bench.frontier.hypervolume import hypervolume
from bench.frontier.samples import Sample
from bench.objectives import Objective

BOTH = (Objective("click.auc", "maximize"), Objective("like.auc", "maximize"))
AT = {"click.auc": 0.5, "like.auc": 0.5}


def front(points: int, ahead: float = 0.0) -> np.ndarray:
    angle = np.linspace(0.1, 1.4, points)
    return 0.8 + 0.01 * np.stack([np.sin(angle), np.cos(angle)], axis=1) + ahead


def seen(truth: np.ndarray, rng: np.random.Generator, split: np.ndarray | None = None) -> list[Sample]:
    """Three seeds each; the finite split has moved all of them alike, and its resamples do."""
    moved = np.zeros((0, 2)) if split is None else split[1:]
    shift = 0 if split is None else split[0]
    return [
        Sample(point + shift + rng.normal(0, 1e-3, (3, 2)), np.broadcast_to(moved, (3, *moved.shape)))
        for point in truth
    ]


@pytest.mark.slow
@pytest.mark.parametrize("resampled", [False, True])
def test_intervals_of_the_difference_cover_the_truth(resampled: bool) -> None:
    rng, runs, hits = np.random.default_rng(0), 80, 0
    a, b = front(4, 0.0005), front(6)
    truth = hypervolume(a, BOTH, AT) - hypervolume(b, BOTH, AT)
    for seed in range(runs):
        split = rng.normal(0, 2e-3, (200, 2)) if resampled else None
        found = volumes({"a": seen(a, rng, split), "b": seen(b, rng, split)}, BOTH, AT, seed, draws=200)
        low, high = found.difference("a", "b").interval or (0.0, 0.0)
        hits += low <= truth <= high
    assert hits / runs > 0.86  # nominal 95%: four standard errors of 80 runs below


def test_a_ratio_says_the_same_either_way_round() -> None:
    rng = np.random.default_rng(0)
    found = volumes({"a": seen(front(3), rng), "b": seen(front(5, 0.01), rng)}, BOTH, AT, seed=0)
    one, other = found.ratio("a", "b"), found.ratio("b", "a")
    assert one is not None
    assert other is not None
    assert one.interval is not None
    assert one.value == pytest.approx(found.seen["a"] / found.seen["b"])
    assert other.interval == pytest.approx((1 / one.interval[1], 1 / one.interval[0]))
    assert one.interval[0] < one.value < one.interval[1] < 1


def test_nothing_before_the_reference_and_nothing_repeated() -> None:
    rng = np.random.default_rng(0)
    behind = [Sample(np.full((3, 2), 0.4), np.zeros((3, 0, 2)))]
    assert volumes({"a": seen(front(2), rng), "b": behind}, BOTH, AT, seed=0).ratio("a", "b") is None
    once = [Sample(np.full((1, 2), 0.7), np.zeros((1, 0, 2)))]
    found = volumes({"a": once, "b": once}, BOTH, AT, seed=0)
    assert found.difference("a", "b").interval is None
    assert found.difference("a", "b").value == 0
