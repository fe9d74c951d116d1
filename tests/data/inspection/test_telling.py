from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from known_labels import known
from sklearn.metrics import r2_score, roc_auc_score

from bench.data.inspection.column import count_column
from bench.data.inspection.telling import FOLDS, SMOOTHING, cells_of, group_auc, halves_of, out_of_fold
from bench.data.splits import TEST, TRAIN

N = 3000
RNG = np.random.default_rng(0)
SPLIT = (np.arange(N) % 3).astype(np.int8)


def test_auc_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    score, label = rng.integers(0, 7, 500) / 7, rng.integers(0, 2, 500)
    assert group_auc(score, label.astype(float), 1.0 - label) == pytest.approx(roc_auc_score(label, score))


def test_the_out_of_fold_means_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(1)
    cells = rng.integers(0, 9, 300)
    fold = np.random.default_rng(0).integers(0, FOLDS, 300)
    for binary, y in ((True, (rng.random(300) < cells / 9).astype(float)), (False, cells + rng.normal(size=300))):
        score = np.empty(300)
        for i in range(300):
            others = y[(cells == cells[i]) & (fold != fold[i])]
            score[i] = (others.sum() + y.mean()) / (len(others) + 1)
        wanted = roc_auc_score(y, score) if binary else r2_score(y, score)
        assert out_of_fold(cells, known(y, binary)) == pytest.approx(wanted)


def test_a_spike_has_a_range_of_its_own() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(N) < 0.01).astype(float)
    values = np.where(y == 1, rng.random(N) + 0.001, 0)
    values[:400] = -rng.random(400)
    column = count_column("c", pa.array(values))
    cells = cells_of(column)
    assert len(np.unique(cells[values == 0])) == 1
    assert not set(cells[values == 0]) & set(cells[values != 0])


@pytest.mark.parametrize("binary", [True, False])
def test_scores_are_those_of_a_loop_over_validation(binary: bool) -> None:
    n, split = 300, SPLIT[:300]
    values = np.where(RNG.random(n) < 0.1, np.nan, RNG.integers(0, 12, n))
    chance = np.nan_to_num(values, nan=5) / 12
    y = (RNG.random(n) < chance).astype(float) if binary else chance + RNG.normal(size=n) / 3
    y[::17] = np.nan
    halves = halves_of(split, {"y": known(y, binary)})
    cells = count_column("c", pa.array(values, from_pandas=True)).cells
    learn, tried = (np.flatnonzero((part == split) & ~np.isnan(y)) for part in (0, 1))
    said = []
    for row in tried:
        same = [y[i] for i in learn if values[i] == values[row] or (np.isnan(values[i]) and np.isnan(values[row]))]
        said.append((sum(same) + SMOOTHING * y[learn].mean()) / (len(same) + SMOOTHING))
    wanted = roc_auc_score(y[tried], said) if binary else r2_score(y[tried], said)
    assert halves.tell(cells)["y"] == pytest.approx(wanted)


def test_where_the_split_leaves_nothing_to_try_on_rows_are_drawn() -> None:
    y = (np.arange(N) % 2).astype(float)
    halves = halves_of(np.where(np.arange(N) < 100, TEST, TRAIN).astype(np.int8), {"y": known(y)})
    assert 0.1 * N < halves.tried.sum() < 0.3 * N
    assert not (halves.learn & halves.tried).any()
    assert not (halves.learn | halves.tried)[:100].any()
    assert halves_of(SPLIT, {"y": known(np.zeros(N))}).labels == {}
