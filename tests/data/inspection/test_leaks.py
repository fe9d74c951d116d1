from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from known_labels import known

from bench.data.inspection import leaks
from bench.data.inspection.column import count_column
from bench.data.inspection.leaks import Together, find_leak
from bench.data.inspection.names import is_afterwards
from bench.data.inspection.telling import halves_of

N = 4000


def label_of(rng: np.random.Generator, rate: float = 0.2) -> np.ndarray:
    return (rng.random(N) < rate).astype(float)


def leak(values, label: np.ndarray, binary: bool = True):
    return find_leak(count_column("c", pa.array(values)), {"y": known(label, binary)})


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
    assert found.startswith("it alone tells 'y'")


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


AFTERWARDS = """
dwell dwell_time watch_time play_time_ms playTimeMs is_like is_follow purchase_time conversion_value click_time
long_view purchased like profile_stay_time watch_ratio converted_at add_to_cart has_order
"""
BEFORE = """
duration_ms video_duration click_cnt_7d user_like_count last_purchase_days ctr_30d user_id price is_video_author
sort_order follow_user_num is_premium age tab time playlist hist_watch_time display_type share order rating order_id
"""


def test_names_say_what_happens_afterwards() -> None:
    assert [name for name in AFTERWARDS.split() if not is_afterwards(name)] == []
    assert [name for name in BEFORE.split() if is_afterwards(name)] == []
    assert find_leak(count_column("dwell", pa.array(np.arange(N))), {}) == "its name says what somebody did"


def test_an_ordinary_name_is_ground_only_if_a_label_follows_from_most_rows() -> None:
    rng = np.random.default_rng(0)
    y = label_of(rng)
    bought = (y == 1) & (rng.random(N) < 0.3)
    bought[np.flatnonzero(y == 0)[:15]] = True  # too many for a column of another name
    for name, values, found in (("order", bought, True), ("large", bought, False), ("order", rng.random(N), False)):
        assert bool(find_leak(count_column(name, pa.array(values)), {"y": known(y)})) == found


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
    assert bool(find_leak(count_column(name, pa.array(values)), {}, request)) == found
    assert find_leak(count_column(name, pa.array(values)), {}) is None


RNG = np.random.default_rng(0)


def together(labels, *columns) -> dict[str, str]:
    found = Together(halves_of((np.arange(N) % 3).astype(np.int8), labels))
    for column in columns:
        found.add(column)
    return found.notes()


@pytest.mark.parametrize("binary", [True, False])
def test_two_times_that_tell_a_delay_are_named(binary: bool) -> None:
    planned, delay, other = RNG.integers(0, 20, N), 10 * RNG.integers(0, 2, N), RNG.integers(0, 9, N)
    y = (delay > 0).astype(float) if binary else delay + RNG.normal(size=N) / 9
    label, values = known(y, binary), {"planned": planned, "actual": planned + delay, "other": other}
    columns = {name: count_column(name, pa.array(each.astype(float))) for name, each in values.items()}
    assert not any(find_leak(column, {"y": label}) for column in columns.values())
    note = together({"y": label}, *columns.values())["y"]
    assert "'actual' and 'planned'" in note
    assert "other" not in note
    assert together({"y": label}, columns["actual"], columns["other"]) == {}
    assert together({"y": label}) == {}


def test_inputs_that_tell_much_but_not_all_are_no_suspects() -> None:
    shop = RNG.integers(0, 30, N).astype(float)
    label = known((RNG.random(N) < shop / 30).astype(float))
    assert together({"y": label}, count_column("shop", pa.array(shop))) == {}


def test_a_rare_label_is_looked_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "LEARN", 100)
    monkeypatch.setattr(leaks, "TRY", 100)
    first, second = RNG.integers(0, 20, N), RNG.integers(0, 20, N)
    label = known(((first == 3) & (second > 2)).astype(float))
    columns = [count_column(name, pa.array(values)) for name, values in (("first", first), ("second", second))]
    assert "'first'" in together({"y": label}, *columns)["y"]
