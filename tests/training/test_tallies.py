from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from bench.schema import Task
from bench.training.metrics import BinaryTally, Tally, evaluate

TASKS = (Task("click"), Task("seconds", "regression", "click"), Task("buy", parent="click"))
NAN = float("nan")


def split(rows: int, distinct: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Labels with gaps, conditional and joint probabilities, groups with gaps."""
    rng = np.random.default_rng(seed)
    conditional = (rng.integers(0, distinct + 1, (rows, 3)) / distinct).astype(np.float32)
    joint = conditional.copy()
    joint[:, 2] *= joint[:, 0]
    labels = (rng.random((rows, 3)) < 0.3 + 0.4 * conditional).astype(np.float32)
    labels[rng.random((rows, 3)) < 0.1] = NAN
    return labels, conditional, joint, rng.integers(-1, 5, rows).astype(np.int32)


@settings(deadline=None)  # the first call compiles
@given(
    rows=st.integers(0, 80),
    cuts=st.lists(st.integers(0, 80), max_size=4),
    limit=st.integers(1, 100),
    distinct=st.sampled_from([1, 4, 10**6]),
    seed=st.integers(0, 1000),
)
def test_neither_pieces_nor_a_limit_change_a_metric(rows, cuts, limit, distinct, seed) -> None:
    whole = split(rows, distinct, seed)
    tally = Tally(TASKS, "valid/", limit)
    for part in zip(*(np.split(array, sorted(cuts)) for array in whole), strict=True):
        tally.add(*part)
    assert tally.result() == pytest.approx(evaluate(*whole, TASKS, "valid/"), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("distinct", [3, 10**9])
def test_auc_is_exact_beyond_the_limit(distinct: int) -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random(40_000) < 0.1).astype(np.float32)
    predictions = (np.floor(rng.beta(1 + labels, 4) * distinct) / distinct).astype(np.float32)
    group = rng.integers(0, 50, 40_000).astype(np.int32)
    tally = BinaryTally(limit=3000)
    tally.add(labels, predictions, group)
    found = tally.result()
    areas = [roc_auc_score(labels[group == user], predictions[group == user]) for user in range(50)]
    assert found["auc"] == pytest.approx(roc_auc_score(labels, predictions), abs=1e-12)
    assert found["gauc"] == pytest.approx(np.average(areas, weights=np.bincount(group)), abs=1e-12)


def test_what_is_held_stays_below_the_limit() -> None:
    tally = BinaryTally(limit=1000)
    rng = np.random.default_rng(0)
    for _ in range(30):
        tally.add((rng.random(700) < 0.5).astype(np.float32), rng.random(700, np.float32), np.zeros(700, np.int32))
        assert sum(map(len, [*tally._grouped, *tally._loose])) <= 1000


def test_a_group_beyond_31_bits_is_refused() -> None:
    with pytest.raises(ValueError, match=r"below 2\*\*31, found 2147483648"):
        BinaryTally().add(np.zeros(1), np.zeros(1, np.float32), np.array([2**31]))
