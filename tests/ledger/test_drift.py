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
    own = 0.7 * rng.normal(size=users)[user]
    p = 1 / (1 + np.exp(-(np.array(odds) + own[:, None] + np.array([0.0, shift]))))
    return made_rows(
        rng.random(p.shape) < p, ("click", "buy"), (0.3, 0.1), units=user.astype(np.uint64)
    ), p


def both(rng, shift=0.0, unseen=0.05, sharper=1.0):
    """Confirmation rows and test, predictions that know of no shift, and unseen values.

    On test predictions of 'buy' are further from each other, as far as `sharper` says, with about
    the same mean.
    """
    made = {
        split: rows(rng, (-1.0, -2.0), 400, of) for split, of in ((CONFIRM, 0.0), (TEST, shift))
    }
    said = {split: p for split, (_, p) in made.items()}
    said[TEST] = said[TEST] * [1.0, np.exp(-shift)]
    spread = said[TEST][:, 1] ** sharper
    said[TEST][:, 1] = spread * said[TEST][:, 1].mean() / spread.mean()
    fields = {
        "item": {
            split: rng.random(3000) < (unseen if split == TEST else 0.05)
            for split in (CONFIRM, TEST)
        }
    }
    return {split: of for split, (of, _) in made.items()}, said, fields


@pytest.mark.slow
def test_where_nothing_changed_little_is_said(rng):
    wrong = np.mean([bool(changes(*both(rng))) for _ in range(600)])
    assert wrong <= WRONG  # 2.5%


@pytest.mark.parametrize(
    ("options", "kind", "of"),
    [
        ({"shift": -0.8}, "rate", "buy"),
        ({"unseen": 0.2}, "unseen", "item"),
        ({"sharper": 1.5}, "scores", "buy"),
    ],
)
def test_a_planted_drift_is_found(options, kind, of):
    rng = np.random.default_rng(1)
    found = [[(each.kind, each.name) for each in changes(*both(rng, **options))] for _ in range(40)]
    assert np.mean([(kind, of) in each for each in found]) >= 0.95
    assert np.mean([any(name == "click" for _, name in each) for each in found]) <= 0.1


def test_predictions_that_do_not_follow_are_said_to_be_too_high():
    rng = np.random.default_rng(2)
    found = changes(*both(rng, shift=-0.8))
    told = " ".join(sentences(found))
    assert "predictions of 'buy' are" in told
    assert "too high" in told
    assert "the mean of 'buy' fell by" in told


def test_predictions_that_spread_are_said_to_have_moved():
    found = changes(*both(np.random.default_rng(3), sharper=1.5))
    assert [(each.kind, each.name) for each in found] == [("scores", "buy")]
    (told,) = sentences(found)
    assert told.startswith("Predictions of 'buy' moved: ")
