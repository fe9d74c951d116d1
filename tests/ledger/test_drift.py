"""Drift between confirmation rows and test: found where it was planted, and seldom where nothing
changed.
"""

import numpy as np
import pytest
from ledger_toys import made_rows

from bench.core.rows import CONFIRM, TEST
from bench.ledger.drift import WRONG, changes, sentences


def rows(rng, odds, users, shift=0.0):
    """Labels of two tasks of users who differ, with the probabilities behind them."""
    user = rng.integers(0, users, 8 * users)
    user_effect = 0.7 * rng.normal(size=users)[user]
    p = 1 / (1 + np.exp(-(np.array(odds) + user_effect[:, None] + np.array([0.0, shift]))))
    return made_rows(
        rng.random(p.shape) < p, ("click", "buy"), (0.3, 0.1), units=user.astype(np.uint64)
    ), p


def both(rng, shift=0.0, unseen=0.05, sharper=1.0):
    """Confirmation rows and test, predictions that know of no shift, and unseen values.

    On test predictions of 'buy' are further from each other, as far as `sharper` says, with about
    the same mean.
    """
    by_split = {
        split: rows(rng, (-1.0, -2.0), 400, split_shift)
        for split, split_shift in ((CONFIRM, 0.0), (TEST, shift))
    }
    predictions = {split: p for split, (_, p) in by_split.items()}
    predictions[TEST] = predictions[TEST] * [1.0, np.exp(-shift)]
    spread = predictions[TEST][:, 1] ** sharper
    predictions[TEST][:, 1] = spread * predictions[TEST][:, 1].mean() / spread.mean()
    fields = {
        "item": {
            split: rng.random(3000) < (unseen if split == TEST else 0.05)
            for split in (CONFIRM, TEST)
        }
    }
    return {split: split_rows for split, (split_rows, _) in by_split.items()}, predictions, fields


@pytest.mark.slow
def test_where_nothing_changed_little_is_said(rng):
    wrong = np.mean([bool(changes(*both(rng))) for _ in range(600)])
    assert wrong <= WRONG  # 2.5%


@pytest.mark.parametrize(
    ("options", "kind", "changed"),
    [
        ({"shift": -0.8}, "rate", "buy"),
        ({"unseen": 0.2}, "unseen", "item"),
        ({"sharper": 1.5}, "scores", "buy"),
    ],
)
def test_a_planted_drift_is_found(options, kind, changed):
    rng = np.random.default_rng(1)
    runs = [
        [(change.kind, change.name) for change in changes(*both(rng, **options))] for _ in range(40)
    ]
    assert np.mean([(kind, changed) in run for run in runs]) >= 0.95
    assert np.mean([any(name == "click" for _, name in run) for run in runs]) <= 0.1


def test_predictions_that_do_not_follow_are_said_to_be_too_high():
    rng = np.random.default_rng(2)
    drifts = changes(*both(rng, shift=-0.8))
    text = " ".join(sentences(drifts))
    assert "predictions of 'buy' are" in text
    assert "too high" in text
    assert "the mean of 'buy' fell by" in text


def test_predictions_that_spread_are_said_to_have_moved():
    drifts = changes(*both(np.random.default_rng(3), sharper=1.5))
    assert [(drift.kind, drift.name) for drift in drifts] == [("scores", "buy")]
    (sentence,) = sentences(drifts)
    assert sentence.startswith("Predictions of 'buy' moved: ")
