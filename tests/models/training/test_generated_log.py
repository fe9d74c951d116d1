"""From the card of the generated log to what a model predicts: truth that weights, thinning and
conditions hide.
"""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.core.records import Job
from bench.data import load_card, prepare
from bench.data.sources import SyntheticReader
from bench.data.synthetic import GENERATORS
from bench.measure.predictions import name_of, predictions
from bench.models.training.config import TrialConfig
from bench.models.training.job import run_job

pytestmark = pytest.mark.slow
FIT: dict[str, Any] = {
    "optim.batch_size": 500,
    "optim.epochs": 5,
    "optim.lr": 0.005,
    "optim.averaging": 0.5,
    "optim.patience": 99,
    "embedding.dim": 4,
}
OBJECTIVES = {"click": "click.logloss", "comment": "comment.logloss", "watch": "watch.ctcvr.rmse"}
FINE: dict[str, Any] = {"numeric.kind": "piecewise_linear", "numeric.piecewise_linear.bins": 8}
"""Few ranges of numbers, so that each has rows enough."""


def log_of(name):
    """The rows of a card's test."""
    reader = load_card(name).reader
    assert isinstance(reader, SyntheticReader)
    generator = GENERATORS[reader.generator]
    frame: pd.DataFrame = generator.generate(
        generator.config.model_validate(reader.parameters)
    ).to_pandas()
    return frame[frame.day > 8].reset_index(drop=True)


def trained(name, tasks, tmp_path, outcomes=(), **dotted):
    """Metrics, and joint predictions of the test by task."""
    store = prepare(load_card(name), tmp_path / "home")
    job = Job(
        trial=0,
        replicate=1,
        config=TrialConfig.parse(FIT | dotted).dotted(),
        store=str(store.path),
        seed=1,
        splits=("valid", "test"),
        objectives=tuple(OBJECTIVES[task] for task in tasks),
        tasks=tasks,
        threads=1,
        outcomes=outcomes,
        predictions=str(tmp_path),
    )
    metrics = run_job(job).metrics
    joint = predictions(tmp_path, "test", name_of(job.training, 1))
    return metrics, dict(zip(tasks, joint.T.astype(np.float64), strict=True))


def above_least(predicted, truth):
    """Expected loss above the least, where labels have these probabilities."""
    q, p = np.clip(predicted, 1e-6, 1 - 1e-6), truth.to_numpy()
    return float(np.mean(p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))))


def assert_true(predicted, truth, frame):
    """Mean predictions of each tab and of five ranges of novelty are within four standard errors of
    the truth's.

    The errors are those of a mean of as many labels as the test has: train has more.
    """
    for by in (frame.tab, pd.qcut(frame.novelty, 5)):
        for _, rows in frame.groupby(by, observed=True):
            p = float(truth[rows.index].mean())
            assert abs(predicted[rows.index].mean() - p) < 4 * np.sqrt(p * (1 - p) / len(rows))


def test_weights_lead_to_the_weighted_probability(tmp_path):
    frame = log_of("synthetic-feed@weighted")
    metrics, predicted = trained("synthetic-feed@weighted", ("click",), tmp_path, **FINE)
    assert_true(predicted["click"], frame.p_click_weighted, frame)
    assert above_least(predicted["click"], frame.p_click_weighted) < 0.005
    assert above_least(predicted["click"], frame.p_click) > 0.02
    assert metrics["test/click.pcoc"] == pytest.approx(1, abs=0.05)
    assert metrics["test/click.plain_pcoc"] > 1.25


@pytest.mark.parametrize("funnel", ["independent", "direct"])
@pytest.mark.parametrize("variant", ["thinned", "thinned-by-tab"])
def test_thinned_negatives_lead_to_the_probability_of_all_rows(variant, funnel, tmp_path):
    """The test of `thinned-by-tab` has all rows, so its PCOC is that of the full distribution
    without any weights.
    """
    name = f"synthetic-feed@{variant},rows=300_000"
    frame = log_of(name)
    metrics, predicted = trained(
        name, ("click", "comment"), tmp_path, **FINE, **{"funnel.kind": funnel}
    )
    assert_true(predicted["click"], frame.p_click, frame)
    assert above_least(predicted["click"], frame.p_click) < 0.006
    weights = np.where(frame.click == 1, 1, 1 / frame.kept_rate)
    error = (
        np.sqrt((weights**2 * (predicted["click"] - frame.click) ** 2).sum()) / frame.click.sum()
    )
    assert abs(metrics["test/click.pcoc"] - 1) < 3 * error
    may = frame[frame.comments_open == 1]
    assert predicted["comment"][may.index].mean() == pytest.approx(may.p_comment.mean(), abs=0.02)


def test_a_task_that_counts_somewhere_is_learnt_there(tmp_path):
    """Without its condition half of the comments would be zeros, and probabilities half as
    large.
    """
    frame = log_of("synthetic-feed")
    metrics, predicted = trained("synthetic-feed", ("click", "comment"), tmp_path, **FINE)
    assert_true(predicted["comment"], frame.p_comment, frame)
    assert metrics["test/comment.pcoc"] == pytest.approx(1, abs=0.06)


def rmse(labels, predicted):
    return float(np.sqrt(np.mean((np.asarray(labels) - np.asarray(predicted)) ** 2)))


@pytest.mark.parametrize("kind", ["squared", "huber", "weighted_logistic", "bins"])
def test_seconds_watched_come_within_two_per_cent_of_the_reachable_error(kind, tmp_path):
    """On all rows, by a click's probability times its seconds.

    Videos end, so errors of the logarithm are smaller for long times, and one smearing factor
    cannot suit all clicks: given a click, losses that aim at the mean itself are within 2%, the
    others within 3%.
    """
    frame = log_of("synthetic-feed")
    metrics, _ = trained(
        "synthetic-feed", ("click", "watch"), tmp_path, **FINE, **{"regression_loss.kind": kind}
    )
    clicked = frame[frame.click == 1]
    assert metrics["test/watch.ctcvr.rmse"] < 1.02 * rmse(
        frame.watch, frame.p_click * frame.mean_seen
    )
    near = 1.02 if kind in ("weighted_logistic", "bins") else 1.03
    assert metrics["test/watch.cvr.rmse"] < near * rmse(clicked.watch, clicked.mean_seen)


@pytest.mark.parametrize("kind", ["squared", "bins"])
def test_a_bound_that_the_card_names_brings_the_error_down_to_the_reachable(kind, tmp_path):
    """Given a click, too: the model knows where a video ends, and takes a label there for a lower
    bound.
    """
    frame = log_of("synthetic-feed@censored")
    metrics, predicted = trained(
        "synthetic-feed@censored",
        ("click", "watch"),
        tmp_path,
        **FINE,
        **{"regression_loss.kind": kind},
    )
    clicked = frame[frame.click == 1]
    assert metrics["test/watch.ctcvr.rmse"] < 1.01 * rmse(
        frame.watch, frame.p_click * frame.mean_seen
    )
    assert metrics["test/watch.cvr.rmse"] < 1.015 * rmse(clicked.watch, clicked.mean_seen)
    assert metrics["test/watch.cvr.decile_error"] < 0.03
    assert (predicted["watch"] <= predicted["click"] * frame.duration + 1e-3).all()


@pytest.mark.parametrize("kind", ["listwise", "jrc", "bpr"])
def test_a_loss_that_ranks_orders_requests_better_where_log_loss_has_no_room(kind, tmp_path):
    """Four hidden units go to the request's wave under log loss, though it changes no order."""
    few = {
        "sharing.shared_bottom.layers": "4",
        "tower.layers": "",
        "numeric.kind": "scaled",
        "embedding.dim": 1,
    }
    few |= {"optim.epochs": 12, "optim.lr": 0.02, "optim.averaging": 0.0}
    name, outcome = "synthetic-feed@waves,rows=30_000", "click.ndcg@5"
    metrics = {
        loss: trained(name, ("click",), tmp_path / loss, (outcome,), **few, **{"loss.kind": loss})[
            0
        ]
        for loss in ("log", kind)
    }
    assert metrics[kind][f"test/{outcome}"] > metrics["log"][f"test/{outcome}"] + 0.015
    assert metrics[kind]["test/click.pcoc"] == pytest.approx(1, abs=0.1)
