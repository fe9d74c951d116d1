"""Differences between hypervolumes of families: intervals by simulation, and what resamples of the split do."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from bench.core.objectives import Objective
from bench.results.comparison.comparison import by_front
from bench.results.pareto import hypervolume
from bench.results.samples import Sample

BOTH = (Objective("click.auc", "maximize"), Objective("like.auc", "maximize"))
AT = {"click.auc": 0.5, "like.auc": 0.5}
VOLUME = partial(hypervolume, objectives=BOTH, reference=AT)


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
        families = {"a": seen(a, rng, split), "b": seen(b, rng, split)}
        _, (gap,) = by_front(families, VOLUME, seed, draws=200)
        hits += gap.effect.low <= truth <= gap.effect.high
    assert 0.78 < hits / runs < 0.99  # nominal 90%, 80 runs


def test_fronts_far_apart_have_a_small_p_and_unrepeated_ones_none() -> None:
    rng = np.random.default_rng(0)
    families = {"a": seen(front(3), rng), "b": seen(front(5, 0.01), rng)}
    volumes, (gap,) = by_front(families, VOLUME, seed=0)
    assert volumes["a"] - volumes["b"] == pytest.approx(gap.effect.value)
    assert gap.noise < 0.001
    assert gap.effect.low < gap.effect.value < gap.effect.high < 0
    once = [Sample(np.full((1, 2), 0.7), np.zeros((1, 0, 2)))]
    _, (alone,) = by_front({"a": once, "b": once}, VOLUME, seed=0)
    assert np.isnan([alone.noise, alone.effect.value]).all()
