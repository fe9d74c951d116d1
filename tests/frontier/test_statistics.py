"""A frontier's statistics: intervals, baselines, P(non-dominated), hypervolume."""

import numpy as np
import pytest
from scipy import stats

from bench.core.seeds import derive
from bench.results.frontier import frontier
from bench.results.posterior import p_nondominated
from bench.results.samples import sample
from bench.results.statistics import error_of


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
