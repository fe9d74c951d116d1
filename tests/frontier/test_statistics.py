"""A frontier's statistics: attainment by brute force, baselines, shrinkage, hypervolume."""

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from bench.frontier.attainment import PERCENT, attainment
from bench.frontier.frontier import frontier
from bench.frontier.points import points
from bench.frontier.samples import Sample, sample
from bench.frontier.shrinkage import shrinkage
from bench.frontier.uncertainty import p_nondominated
from bench.objectives import Objective
from bench.seeds import derive

TWO = (Objective("a.auc", "maximize"), Objective("b.logloss", "minimize"))


@pytest.fixture
def run(trial):
    """Three confirmed trials, one of them single-task, and equal weights beside them."""
    runs = (((0.72, 0.80), (0.70, 0.79)), ((0.73, 0.81), (0.71, 0.80)))
    records = [
        trial(0, 0.74, 0.80, "single_task", runs=runs),
        trial(1, 0.75, 0.82, runs=tuple(((a + 0.02, b), (c + 0.01, d)) for (a, b), (c, d) in runs)),
        trial(2, 0.70, 0.84, runs=tuple(((a, b + 0.02), (c, d + 0.01)) for (a, b), (c, d) in runs)),
        trial(3, 0.60, 0.70),
    ]
    equal = replace(trial(4, runs=runs).points[0], kind="equal_weights", number=None, metrics={})
    return records, equal


def test_attainment_is_what_so_many_fronts_reach():
    rng = np.random.default_rng(0)
    samples = [Sample(rng.normal(0, 1, (2, 2)), np.zeros((2, 0, 2))) for _ in range(4)]
    sign = np.array([1, -1])
    every = [np.array(front) * sign for front in product(*(each.values for each in samples))]
    found = attainment(samples, TWO, seed=1)
    assert tuple(found) == PERCENT
    for percent, surface in found.items():
        assert (np.diff(surface[:, 0]) >= 0).all()
        for corner in surface * sign:
            reached = np.mean([(front >= corner).all(axis=1).any() for front in every])
            assert reached >= percent / 100 - 0.12  # of the 16 possible fronts, of which 200 were drawn
            beyond = np.mean([(front > corner).all(axis=1).any() for front in every])
            assert beyond <= percent / 100 + 0.12


def test_attainment_needs_two_or_three_objectives_and_replicates():
    one = Sample(np.array([[0.7], [0.8]]), np.zeros((2, 0, 1)))
    assert attainment([one], TWO[:1], 0) == {}
    assert attainment([Sample(np.array([[0.7, 0.5]]), np.zeros((1, 0, 2)))], TWO, 0) == {}


def test_the_table_and_the_document_have_intervals_and_baselines(run, objectives):
    records, equal = run
    front = frontier(records, objectives, baselines=[equal])
    row = front.table.iloc[1]
    assert row["confirm/click.auc.low"] < row["confirm/click.auc.mean"] < row["confirm/click.auc.high"]
    assert np.isnan(front.table.iloc[3]["confirm/click.auc.low"])
    document = json.loads(json.dumps(front.to_json(), allow_nan=False))
    assert document["points"][0]["ci"]["test/click.auc"][0] < document["points"][0]["metrics"]["test/click.auc"]
    single, weights = document["baselines"]
    assert (single["name"], single["trials"], single["replicates"]) == ("single_task", [0], 2)
    assert weights["name"] == "equal_weights"
    assert "trials" not in weights
    assert weights["metrics"]["test/like.auc"] == pytest.approx(0.795)
    assert front.statistics.covariance["1"].shape == (2, 2)
    low, high = document["hypervolume"]["ci"]
    assert low < document["hypervolume"]["corrected"] < high


def test_the_fronts_probabilities_are_those_of_the_posterior(trial, objectives):
    rng = np.random.default_rng(0)
    ends = rng.normal(0.75, 0.002, (6, 2))
    records = [
        trial(i, a, b, runs=tuple(((a + e, b - e), (a, b)) for e in rng.normal(0, 0.002, 3)))
        for i, (a, b) in enumerate(ends)
    ]
    found = frontier(records, objectives, seed=3)
    samples = [sample(record, ["confirm/click.auc", "confirm/like.auc"]) for record in records]
    expected = p_nondominated(samples, objectives, derive(3, "p_nondominated"))
    assert found.table["p_nondominated"].tolist() == expected.tolist()
    volume = found.statistics.hypervolume
    assert volume.value < found.hypervolume  # that of the means is too large
    assert volume.low < volume.value < volume.high


def test_a_run_without_replicates_has_no_statistics(trial, objectives):
    front = frontier([trial(0), trial(1, 0.6, 0.9)], objectives)
    assert front.statistics.hypervolume is None
    assert front.statistics.intervals == {}
    assert "ci" not in front.to_json()["hypervolume"]


def test_shrinkage_shows_the_way_from_search_to_test(run, objectives):
    table = shrinkage(points(run[0], objectives), objectives)
    row = table[(table["trial"] == 1) & (table["objective"] == "click.auc")].iloc[0]
    assert list(row[["search", "valid", "confirm", "test"]]) == pytest.approx([0.75, 0.755, 0.745, 0.715])
    assert 0 <= row["factor"] <= 1
    assert row["shrunken"] == pytest.approx(0.72 + row["factor"] * 0.03)


def test_the_shrunken_value_of_what_came_out_best_is_right_on_average(trial, objectives):
    rng = np.random.default_rng(5)
    errors = []
    for _ in range(60):
        truth = rng.normal(0.7, 0.01, 20)
        seen = truth + rng.normal(0, 0.01, 20)
        records = [trial(i, value, 0.8) for i, value in enumerate(seen)]
        for i in np.argsort(-seen)[:5]:
            values = truth[i] + rng.normal(0, 0.01, 3)
            records[i] = trial(int(i), seen[i], 0.8, runs=tuple(((v, 0.8), (v, 0.8)) for v in values))
        best = int(np.argmax(seen))
        row = shrinkage(points(records, objectives), objectives[:1]).set_index("trial").loc[best]
        errors.append((row["search"] - truth[best], row["shrunken"] - truth[best]))
    luck, left = np.mean(errors, axis=0)
    assert luck > 0.009
    assert abs(left) < luck / 3
