"""Weighted metrics against scikit-learn, intervals against simulations with known truth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from sklearn.metrics import log_loss, mean_squared_error, roc_auc_score

from bench.errors import UserError
from bench.production.evaluation import Judgement, auc, judgements, logloss, pcoc, rmse
from bench.production.labelled import Judged
from bench.schema import Schema, Task

FUNNEL = Schema((), (), (Task("click"), Task("buy", parent="click"), Task("watch", "regression", parent="click")))
ONE = Schema((), (), (Task("click"),))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_weighted_metrics_are_those_of_scikit_learn(rng: np.random.Generator) -> None:
    said = rng.random(300).round(1)  # with ties
    labels = (rng.random(300) < said).astype(float)
    weights = rng.poisson(1.0, 300).astype(float)
    unseen = np.append(labels, np.nan), np.append(said, 0.5)
    more = np.append(weights, 3.0)
    assert auc(*unseen)(more) == pytest.approx(roc_auc_score(labels, said, sample_weight=weights))
    inside = np.clip(said, 1e-7, 1 - 1e-7)
    assert logloss(*unseen)(more) == pytest.approx(log_loss(labels, inside, sample_weight=weights))
    assert rmse(*unseen)(more) ** 2 == pytest.approx(mean_squared_error(labels, said, sample_weight=weights))
    assert pcoc(*unseen)(more) == pytest.approx((weights @ said) / (weights @ labels))
    nothing = np.zeros(301)
    assert all(np.isnan(measure(*unseen)(nothing)) for measure in (auc, logloss, pcoc, rmse))


def judged(rng: np.random.Generator, rows: int, *noise: float, groups: int | None = None) -> Judged:
    """Clicks with known probabilities, as models see them through so much noise."""
    logit = rng.normal(size=rows)
    labels = (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.float32)
    said: tuple[Mapping[str, np.ndarray], ...] = tuple(
        {"click": 1 / (1 + np.exp(-(logit + rng.normal(size=rows) * each)))} for each in noise
    )
    unit = np.arange(rows) if groups is None else rng.integers(0, groups, rows)
    return Judged(labels[:, None], said, unit)


def verdicts(found: list[Judgement]) -> dict[str, str]:
    return {each.metric: each.verdict for each in found}


def test_the_better_model_is_told_from_the_worse_one(rng: np.random.Generator) -> None:
    good_against_bad = judgements(judged(rng, 4000, 0.2, 1.5), ONE, resamples=100)
    assert verdicts(good_against_bad) == {"click.auc": "better", "click.logloss": "better", "click.pcoc": ""}
    bad_against_good = judgements(judged(rng, 4000, 1.5, 0.2), ONE, resamples=100)
    assert verdicts(bad_against_good)["click.auc"] == "worse"
    equals = judged(rng, 4000, 0.2)
    same = judgements(Judged(equals.labels, equals.said * 2, equals.unit), ONE, resamples=50)
    assert verdicts(same)["click.auc"] == "cannot tell"
    assert same[0].difference is not None
    assert same[0].difference.value == 0


def test_intervals_cover_as_often_as_they_say() -> None:
    """The truth by 200,000 rows; 90% intervals from 400 rows each, of 60 samples."""
    truth = judgements(judged(np.random.default_rng(1), 200_000, 0.5), ONE, resamples=20)[0].estimate.value
    covered = 0
    for seed in range(60):
        found = judgements(judged(np.random.default_rng(100 + seed), 400, 0.5), ONE, 100, 0.9)[0].estimate
        covered += found.low <= truth <= found.high
    assert 46 <= covered <= 60  # 54 are expected; below 46 with probability 0.001


def test_groups_are_drawn_as_a_whole(rng: np.random.Generator) -> None:
    """Each row 25 times, as one group, is no more evidence than once."""
    once = judged(rng, 200, 0.5)
    many = Judged(
        np.repeat(once.labels, 25, axis=0),
        tuple({name: np.repeat(values, 25) for name, values in each.items()} for each in once.said),
        np.repeat(once.unit, 25),
    )
    alone, together = (judgements(each, ONE, resamples=100)[0].estimate for each in (once, many))
    assert together.low == pytest.approx(alone.low)
    assert together.high == pytest.approx(alone.high)
    with pytest.raises(UserError, match="expected two groups of rows or more"):
        judgements(Judged(once.labels, once.said, np.zeros(200, int)), ONE)


def test_each_prediction_on_its_own_rows() -> None:
    labels = np.array([[1, 1, 5], [1, 0, 3], [0, np.nan, np.nan], [0, 0, 9]], np.float32)
    said = {"click": np.array([0.9, 0.6, 0.4, 0.7]), "watch": np.array([4.0, 4, 0, 0])}
    said |= {"buy.cvr": np.array([0.6, 0.4, 1, 1]), "buy.ctcvr": np.array([0.5, 0.6, 0.1, 0.1])}
    found = {each.metric: each.estimate.value for each in judgements(Judged(labels, (said,), np.arange(4)), FUNNEL, 20)}
    assert found["click.auc"] == 0.75
    assert found["buy.cvr.auc"] == 1.0
    assert found["buy.ctcvr.auc"] == pytest.approx(2 / 3)
    assert found["watch.rmse"] == 1.0
