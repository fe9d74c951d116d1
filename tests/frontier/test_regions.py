from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from scipy.stats import chi2

from bench.frontier.regions import regions, squared_radius
from bench.frontier.samples import sample
from bench.frontier.statistics import Statistics, interval_table
from bench.frontier.variance import seed_noise
from bench.objectives import Objective
from bench.records import Point, Replicate

CLICK, LIKE = Objective("click.auc", "maximize"), Objective("like.auc", "maximize")


def point(number: int, values: np.ndarray) -> Point:
    runs = tuple(
        Replicate(i, 10 * number + i, {"confirm/click.auc": float(x), "confirm/like.auc": float(y)})
        for i, (x, y) in enumerate(values, 1)
    )
    return Point("trial", {}, "mmoe", number, metrics={"valid/click.auc": 0.7}, replicates=runs)


def regions_of(points: list[Point]) -> Mapping[str, np.ndarray]:
    keys = ["confirm/click.auc", "confirm/like.auc"]
    found = {each.id: runs for each in points if (runs := sample(each, keys))}
    noise = seed_noise(list(found.values())) if found else None
    apart = () if noise is None else noise.apart
    covariance = {key: own / len(runs) for (key, runs), own in zip(found.items(), apart, strict=False)}
    return regions(Statistics(intervals=interval_table(points, keys), covariance=covariance), (CLICK, LIKE), "confirm")


def test_nine_of_ten_regions_hold_the_truth() -> None:
    rng = np.random.default_rng(3)
    covariance = np.array([[4.0, 1.5], [1.5, 1.0]]) * 1e-6
    inside = []
    for _ in range(30):
        truth = rng.uniform(0.7, 0.8, (20, 2))
        runs = [rng.multivariate_normal(mean, covariance, size=3) for mean in truth]
        found = regions_of([point(i, run) for i, run in enumerate(runs)])
        for i, run in enumerate(runs):
            away = truth[i] - run.mean(axis=0)
            inside.append(away @ np.linalg.solve(found[str(i)], away) <= 1)
    assert 0.85 < np.mean(inside) < 0.95  # of 600 regions, not independent within a run


def test_with_many_replicates_the_radius_is_that_of_a_known_covariance() -> None:
    assert squared_radius(10**6) == pytest.approx(chi2.ppf(0.9, 2), rel=1e-4)
    assert squared_radius(np.inf) == pytest.approx(chi2.ppf(0.9, 2))
    assert squared_radius(2) > squared_radius(10) > squared_radius(100)


def test_too_few_replicates_give_no_region() -> None:
    pair, single = np.array([[0.7, 0.8], [0.71, 0.8]]), np.array([[0.7, 0.8]])
    assert regions_of([]) == {}
    assert regions_of([point(0, single), point(1, single)]) == {}
    assert regions_of([point(0, pair)]) == {}  # one degree of freedom: a line, not an ellipse
    assert set(regions_of([point(0, pair), point(1, pair)])) == {"0", "1"}
