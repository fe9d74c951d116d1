from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from known_labels import known
from sklearn.metrics import r2_score, roc_auc_score

from bench.data.inspection.column import count_column
from bench.data.inspection.leaks import (
    FOLDS,
    SMOOTHING,
    cells_of,
    find_leak,
    find_named,
    find_place,
    group_auc,
    predictive,
)
from bench.data.inspection.names import after_exposure

N = 4000


def label_of(rng: np.random.Generator, rate: float = 0.2) -> np.ndarray:
    return (rng.random(N) < rate).astype(float)


def leak(values, label: np.ndarray, binary: bool = True):
    return find_leak(count_column("c", pa.array(values)), {"y": known(label, binary)})


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
            score[i] = (others.sum() + SMOOTHING * y.mean()) / (len(others) + SMOOTHING)
        wanted = roc_auc_score(y, score) if binary else r2_score(y, score)
        assert predictive(cells, known(y, binary)) == pytest.approx(wanted)


def test_copies_and_functions_of_a_label_are_suspected() -> None:
    rng = np.random.default_rng(0)
    y = label_of(rng)
    for values in (y, 1 - y, y * 3 + rng.integers(0, 3, N), np.where(y == 1, "done", "open"), rng.random(N) + y):
        found = leak(values, y)
        assert found is not None
        assert found.startswith("it alone tells")


def test_a_value_only_where_something_happened_is_suspected() -> None:
    rng = np.random.default_rng(0)
    y = label_of(rng, 0.05)
    values = [f"t{i}" if happened else None for i, happened in enumerate(y)]
    found = leak(values, y)
    assert found is not None
    assert found.startswith("whether it is missing tells")


def test_what_only_a_later_stage_makes_is_suspected_though_it_tells_little() -> None:
    rng = np.random.default_rng(0)
    visit = label_of(rng)
    bought = (visit == 1) & (rng.random(N) < 0.1)
    spend = np.where(bought, rng.exponential(50, N).round(2), 0)
    unspent = np.where(bought, spend, np.nan)
    for values in (spend, -spend, unspent, np.where(bought, spend, -1), np.where(bought, "yes", "no"), bought):
        found = leak(values, visit)
        assert found is not None
        assert "'y' is 1 in all of them, elsewhere in 1" in found
    assert "'y' is not 0" in leak(bought, np.where(visit == 1, rng.normal(5, 1, N), 0), binary=False)
    gone = np.where((visit == 0) & (rng.random(N) < 0.1), 9.5, 0)
    assert leak(gone, visit) is None  # four in five rows are 0 anyway
    assert leak(gone, np.where(visit == 0, 0, (rng.random(N) < 0.9).astype(float))) is None
    assert "'y' is 0" in leak(gone, np.where(visit == 1, 1, (gone == 0) & (rng.random(N) < 0.5)).astype(float))


def test_what_nobody_notes_once_it_has_happened_is_suspected_though_it_tells_little() -> None:
    rng = np.random.default_rng(0)
    cancelled = label_of(rng, 0.05)
    vehicle = np.array([f"N{n}" for n in rng.integers(0, 40, N)], object)
    vehicle[(cancelled == 1) & (rng.random(N) < 0.3)] = None
    assert "is missing in 65 rows, and there 'y' is 1 in all of them" in (leak(vehicle, cancelled) or "")
    vehicle[np.flatnonzero(cancelled == 0)[:10]] = None
    assert leak(vehicle, cancelled) is None


def test_a_strong_feature_with_exceptions_is_not_suspected() -> None:
    rng = np.random.default_rng(0)
    y = label_of(rng)
    debts = np.where((y == 1) & (rng.random(N) < 0.4), 3, 0)
    debts[np.flatnonzero(y == 0)[:30]] = 1
    assert leak(debts, y) is None
    few = np.where(np.cumsum(y) * y > y.sum() - 20, 5.0, 0)
    assert leak(few, y) is None


def test_a_copy_of_a_number_is_suspected() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=N)
    found = leak(np.exp(y), y, binary=False)
    assert found is not None
    assert "R2" in found
    assert leak(y + rng.normal(size=N), y, binary=False) is None


def test_what_only_helps_is_not_suspected() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=N)
    y = (rng.random(N) < 1 / (1 + np.exp(-3 * x))).astype(float)
    assert leak(x, y) is None


def test_an_id_of_each_row_tells_nothing() -> None:
    y = label_of(np.random.default_rng(0))
    assert leak([f"r{i}" for i in range(N)], y) is None
    assert leak(np.random.default_rng(1).permutation(N), y) is None


def test_few_labels_of_a_class_prove_nothing() -> None:
    y = np.zeros(N)
    y[:19] = 1
    assert leak(y, y) is None
    y[:20] = 1
    assert leak(y, y) is not None


def test_unobserved_labels_do_not_count() -> None:
    rng = np.random.default_rng(0)
    y = label_of(rng)
    shown = np.where(rng.random(N) < 0.5, np.nan, y)
    assert leak(y, shown) is not None


def test_a_spike_has_a_range_of_its_own() -> None:
    rng = np.random.default_rng(0)
    y = label_of(rng, 0.01)
    values = np.where(y == 1, rng.random(N) + 0.001, 0)
    values[:400] = -rng.random(400)
    column = count_column("c", pa.array(values))
    cells = cells_of(column)
    assert len(np.unique(cells[values == 0])) == 1
    assert not set(cells[values == 0]) & set(cells[values != 0])


AFTERWARDS = """
dwell dwell_time watch_time play_time_ms playTimeMs is_like is_follow purchase_time conversion_value click_time
long_view purchased like rating order_id profile_stay_time watch_ratio converted_at add_to_cart
"""
BEFORE = """
duration_ms video_duration click_cnt_7d user_like_count last_purchase_days ctr_30d user_id price is_video_author
sort_order follow_user_num is_premium age tab time playlist hist_watch_time display_type
"""


def test_names_say_what_happens_afterwards() -> None:
    assert [name for name in AFTERWARDS.split() if after_exposure(name) is None] == []
    assert [name for name in BEFORE.split() if after_exposure(name) is not None] == []


def test_an_ordinary_name_is_no_ground_by_itself_and_numbers_stand_beside_the_others() -> None:
    rng = np.random.default_rng(0)
    y = label_of(rng)
    labels = {"y": known(y)}
    named = {
        name: find_named(count_column(name, pa.array(rng.random(N))), labels) for name in ("share", "dwell", "age")
    }
    assert named["age"] is None
    assert named["share"] is not None
    assert not named["share"][0]
    assert named["dwell"] is not None
    assert named["dwell"][0]
    assert re.search(r"alone it tells 'y' with AUC 0\.5\d$", named["dwell"][1])
    bought = (y == 1) & (rng.random(N) < 0.3)
    bought[np.flatnonzero(y == 0)[:15]] = True  # too many for a column of another name
    assert leak(bought, y) is None
    suspected = find_named(count_column("order", pa.array(bought)), labels)
    assert suspected is not None
    assert suspected[0]
    assert "'y' is 1 in 9" in suspected[1]


PLACE = np.arange(N) % 10


@pytest.mark.parametrize(
    ("name", "values", "found"),
    [
        ("position", PLACE + 1, True),
        ("ad_rank", PLACE, True),
        ("position", np.where(PLACE > 7, None, PLACE), True),
        ("avg_position", PLACE, False),
        ("size", PLACE, False),
        ("position", np.arange(N) % 3, False),
        ("sales_rank", np.random.default_rng(0).permutation(N) * 7 + 1, False),
    ],
)
def test_the_place_in_a_list_is_suspected(name: str, values, found: bool) -> None:
    request = count_column("request", pa.array(np.arange(N) // 10))
    assert bool(find_place(count_column(name, pa.array(values)), request)) == found
    assert find_place(count_column(name, pa.array(values)), None) is None
