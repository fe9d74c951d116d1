"""Metrics on resamples against metrics of the resampled rows themselves; counts against their
distribution.
"""

import numpy as np
import pytest
from in_memory import evaluate, predicted
from scipy import stats

from bench.core.objectives import METRICS
from bench.core.records import RARER
from bench.core.schema import Task
from bench.measure.resamples import counts, units_of
from bench.measure.resampling import Resampling

TASKS = (Task("click"), Task("buy", "binary", "click"), Task("stay", "regression"))
ROWS = 4000


@pytest.fixture(scope="module")
def rows():
    """Labels, conditional and joint predictions (N, 3) and users; some labels and users are
    missing.
    """
    rng = np.random.default_rng(0)
    group = rng.integers(-1, 200, ROWS).astype(np.int32)
    z = rng.normal(size=ROWS)
    click = (rng.random(ROWS) < 1 / (1 + np.exp(1 - z))).astype(np.float32)
    labels = np.stack(
        [click, (rng.random(ROWS) < 0.3) * click, z + rng.normal(size=ROWS)], 1
    ).astype(np.float32)
    labels[rng.random(ROWS) < 0.05, 2] = np.nan
    predictions = np.stack(
        [1 / (1 + np.exp(-z - rng.normal(size=ROWS))), rng.random(ROWS), np.round(z, 1)], 1
    )
    joint = predictions * [1, 0, 1]
    joint[:, 1] = predictions[:, 0] * predictions[:, 1]
    return labels, predictions.astype(np.float32), joint.astype(np.float32), group


OUTCOMES = ("click.recall@7.5%", "buy.recall@20%", "stay.value@5%")


def resampled(rows, weights=None, pieces=(ROWS,), resamples=12):
    resampling = Resampling(TASKS, "valid", resamples, OUTCOMES)
    for part in np.split(np.arange(ROWS), pieces[:-1]):
        resampling.add(
            predicted(*(array[part] for array in rows), None if weights is None else weights[part])
        )
    return {key: values for key, values in resampling.result().items() if not key.endswith(RARER)}


@pytest.mark.parametrize("weighted", [False, True])
def test_each_resample_is_what_its_rows_repeated_are_of_every_metric(rows, weighted):
    """Outcomes among them; with weights each row counts in a resample as often as it is drawn times
    its weight.
    """
    weights = (
        np.random.default_rng(1).integers(0, 4, (ROWS, 1)).astype(np.float32) if weighted else None
    )
    moved, drawn = resampled(rows, weights, (700, ROWS)), counts(units_of(rows[3], 0), "valid", 12)
    whole = evaluate(*rows, TASKS, "valid/", OUTCOMES, weights)
    kinds = {"click": "binary", "stay": "regression"}
    assert (
        moved.keys()
        == whole.keys()
        >= {f"valid/{task}.{name}" for task in kinds for name in METRICS[kinds[task]]}
    )
    near = {"auc": 2e-4, "ece": 1e-2 if weighted else 3e-3, "decile_error": 2e-2}  # by bins
    for b in (0, 7):
        again = np.repeat(np.arange(ROWS), drawn[:, b])
        repeated_weights = None if weights is None else weights[again]
        there = evaluate(
            *(array[again] for array in rows), TASKS, "valid/", OUTCOMES, repeated_weights
        )
        for key, values in moved.items():
            about = near.get(key.rsplit(".", 1)[1], 1e-6)
            assert values[b] == pytest.approx(there[key] - whole[key], abs=about), key


def test_two_models_are_measured_on_the_same_resamples(rows):
    labels, predictions, joint, group = rows
    worse = predictions.copy()
    worse[:, 0] = np.clip(
        worse[:, 0] + 0.02 * np.random.default_rng(1).normal(size=ROWS), 0.001, 0.999
    )
    first, second = (
        np.array(resampled((labels, model_predictions, joint, group))["valid/click.auc"])
        for model_predictions in (predictions, worse)
    )
    assert np.std(first - second) < 0.2 * np.std(first)


def test_counts_are_poisson_alike_within_a_user_and_independent_between():
    units = units_of(np.array([3, 3, -1, -1]), 10)
    assert units[0] == units[1]
    assert len(set(units.tolist())) == 3
    drawn = counts(np.arange(3000, dtype=np.uint64), "test", 40)
    seen = np.bincount(drawn.ravel(), minlength=6)
    expected = stats.poisson.pmf(np.arange(6), 1) * drawn.size
    assert (
        stats.chisquare(
            [*seen[:5], seen[5:].sum()], [*expected[:5], drawn.size - expected[:5].sum()]
        ).pvalue
        > 1e-3
    )
    correlation = np.corrcoef(drawn.T.astype(float))[~np.eye(40, dtype=bool)]
    assert abs(correlation).max() < 0.1
    assert (counts(np.arange(3000, dtype=np.uint64), "test", 8, 32) == drawn[:, 32:]).all()
    assert (counts(np.arange(3000, dtype=np.uint64), "valid", 40) != drawn).any()


def test_an_undefined_resample_costs_itself_alone():
    """Of two positives, about one resample in seven has none; the count of the rarer class is
    always known.
    """
    labels = np.zeros((200, 1), np.float32)
    labels[[3, 50]] = 1
    predictions = np.linspace(0.1, 0.5, 200, dtype=np.float32)[:, None]
    resampling = Resampling((Task("click"),), "valid", 200)
    resampling.add(predicted(labels, predictions, predictions, np.full(200, -1, np.int32)))
    by_key = {key: np.array(values) for key, values in resampling.result().items()}
    none = by_key["valid/click.rarer"] == -1
    assert 0.05 < none.mean() < 0.25
    np.testing.assert_array_equal(np.isnan(by_key["valid/click.auc"]), none)
    assert np.isfinite(by_key["valid/click.logloss"]).all()
    assert np.var(by_key["valid/click.rarer"]) == pytest.approx(1 / 2, rel=0.4)


@pytest.mark.parametrize("users", [0, 60])
def test_intervals_of_an_area_hold_its_truth(users):
    """Scores of two classes are normal at a distance; with users, scores of one move together."""
    rng = np.random.default_rng(2)
    distance, n, covered, runs = 1.0, 600, 0, 60
    moved = 0.5 if users else 0.0
    truth = stats.norm.cdf(distance / np.sqrt(2 * (1 + moved**2)))
    for run in range(runs):
        group = (
            rng.integers(0, users, n).astype(np.int32) + 1000 * run
            if users
            else np.full(n, -1, np.int32)
        )
        label = (rng.random((n, 1)) < 0.4).astype(np.float32)
        user = rng.normal(0, moved, 1000)[group % 1000] if users else 0.0
        score = distance * label[:, 0] + rng.normal(size=n) + user
        predictions = (1 / (1 + np.exp(-score)))[:, None].astype(np.float32)
        area = evaluate(label, predictions, predictions, group, (Task("click"),), "valid/")[
            "valid/click.auc"
        ]
        # other resamples for each run
        resampling = Resampling((Task("click"),), f"split {run}", 80)
        resampling.add(predicted(label, predictions, predictions, group))
        reach = 1.645 * np.std(resampling.result()[f"split {run}/click.auc"], ddof=1)
        covered += abs(area - truth) <= reach
    assert 0.78 <= covered / runs <= 0.98
