"""A frontier's statistics: intervals, baselines, P(non-dominated), hypervolume."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bench.core.seeds import derive
from bench.results.frontier import frontier
from bench.results.posterior import p_nondominated
from bench.results.samples import sample
from bench.results.statistics import error_of


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


def test_the_table_and_the_document_have_intervals_and_baselines(run, objectives):
    records, equal = run
    front = frontier(records, objectives, baselines=[equal])
    low, value, high = (front.at("confirm", part) for part in ("low", "value", "high"))
    assert (low[:3] < value[:3]).all()
    assert (value[:3] < high[:3]).all()
    assert np.isnan(low[3]).all()
    document = json.loads(json.dumps(front.to_json(), allow_nan=False))
    assert document["points"][0]["ci"]["test/click.auc"][0] < document["points"][0]["metrics"]["test/click.auc"]
    single, weights = document["baselines"]
    assert (single["name"], single["trials"], single["replicates"]) == ("single_task", [0], 2)
    assert weights["name"] == "equal_weights"
    assert "trials" not in weights
    assert weights["metrics"]["test/like.auc"] == pytest.approx(0.795)
    low, high = document["hypervolume"]["ci"]
    assert low < document["hypervolume"]["corrected"] < high


def test_an_error_of_draws_is_their_standard_deviation_and_heavy_tails_do_not_decide_it():
    draws = stats.norm.ppf((np.arange(4000) + 0.5) / 4000)[:, None] * [1.0, 5.0]
    draws[0] = draws[-1] = 1e9
    assert error_of(draws) == pytest.approx([1, 5], rel=0.01)


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
    volume = found.volume
    assert volume.value < found.hypervolume  # that of the means is too large
    assert volume.low < volume.value < volume.high
