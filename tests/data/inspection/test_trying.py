from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from known_labels import known
from sklearn.metrics import r2_score, roc_auc_score

from bench.data.inspection.column import count_column
from bench.data.inspection.kinds import find_kind, find_new, find_rate
from bench.data.inspection.trying import SMOOTHING, Others, Trial, halves_of
from bench.data.splits import CONFIRM, TEST, TRAIN

N = 3000
RNG = np.random.default_rng(0)
SPLIT = (np.arange(N) % 3).astype(np.int8)


def rate_of(values, label: np.ndarray, split: np.ndarray = SPLIT):
    column = count_column("id", pa.array(values))
    halves = halves_of(split, {"y": known(label)})
    return find_rate(column, find_kind(column), Trial(column, halves, Others(halves)))


@pytest.mark.parametrize("binary", [True, False])
def test_scores_are_those_of_a_loop_over_validation(binary: bool) -> None:
    n, split = 300, SPLIT[:300]
    values = np.where(RNG.random(n) < 0.1, np.nan, RNG.integers(0, 12, n))
    chance = np.nan_to_num(values, nan=5) / 12
    y = (RNG.random(n) < chance).astype(float) if binary else chance + RNG.normal(size=n) / 3
    y[::17] = np.nan
    halves = halves_of(split, {"y": known(y, binary)})
    trial = Trial(count_column("c", pa.array(values, from_pandas=True)), halves, Others(halves))
    learn, tried = (np.flatnonzero((part == split) & ~np.isnan(y)) for part in (0, 1))
    said = []
    for row in tried:
        same = [y[i] for i in learn if values[i] == values[row] or (np.isnan(values[i]) and np.isnan(values[row]))]
        said.append((sum(same) + SMOOTHING * y[learn].mean()) / (len(same) + SMOOTHING))
    wanted = roc_auc_score(y[tried], said) if binary else r2_score(y[tried], said)
    assert trial.alone(trial.single)["y"] == pytest.approx(wanted)


def test_what_another_column_tells_adds_nothing() -> None:
    shop = RNG.integers(0, 30, N)
    y = (RNG.random(N) < shop / 30).astype(float)
    halves = halves_of(SPLIT, {"y": known(y)})
    others = Others(halves)
    others.add(shop)
    copy = Trial(count_column("price", pa.array(shop * 1.5)), halves, others)
    none = copy.beside(np.zeros(len(copy.learnt), np.int64))["y"]
    assert copy.alone(copy.single)["y"] > 0.75
    assert copy.beside(copy.single)["y"] < none + 0.002


def test_where_the_split_leaves_nothing_to_try_on_rows_are_drawn() -> None:
    y = (np.arange(N) % 2).astype(float)
    halves = halves_of(np.where(np.arange(N) < 100, TEST, TRAIN).astype(np.int8), {"y": known(y)})
    assert 0.1 * N < halves.tried.sum() < 0.3 * N
    assert not (halves.learn & halves.tried).any()
    assert not (halves.learn | halves.tried)[:100].any()
    assert halves_of(SPLIT, {"y": known(np.zeros(N))}).labels == {}


def test_target_rates_are_taken_where_ids_repeat_and_tell() -> None:
    ids, chance = RNG.integers(0, 150, N), RNG.random(150)
    label = (RNG.random(N) < chance[ids]).astype(float)
    taken = rate_of([f"u{n}" for n in ids], label)
    assert taken is not None
    assert taken.on
    assert "of validation's rows have a value that 5 rows of train or more have" in taken.why
    dull = rate_of([f"u{n}" for n in ids], (RNG.random(N) < 0.5).astype(float))
    assert dull is not None
    assert not dull.on
    once = rate_of([f"u{n}" for n in np.arange(N) // 3], label)
    assert once is not None
    assert not once.on
    assert rate_of([f"u{n}" for n in ids % 100], label) is None


def test_a_month_that_train_never_saw_is_no_input() -> None:
    order = np.sort(np.where(SPLIT == CONFIRM, TEST, SPLIT)).astype(np.int8)
    month = count_column("month", pa.array(np.where(order == TEST, 12, 1 + np.arange(N) % 11)))
    found = find_new(month, find_kind(month), order)
    assert found == "100% of test's rows have a value that train lacks, as a month or a year does"
    few = np.flatnonzero(order == TEST)[:-19]
    order[few] = TRAIN
    assert find_new(month, find_kind(month), order) is None


def test_an_id_that_never_comes_again_is_no_input() -> None:
    column = count_column("query_id", pa.array(np.arange(N) // 5))
    found = find_new(column, find_kind(column), np.sort(SPLIT))
    assert "100% of validation's rows have a value that train lacks" in (found or "")
    assert find_new(column, find_kind(column), SPLIT) is None
