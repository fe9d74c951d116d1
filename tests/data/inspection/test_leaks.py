import numpy as np
import pyarrow as pa
import pytest
from data_toys import known

from bench.data.inspection.column import count_column
from bench.data.inspection.leaks import find_leak, joint_leaks, rows_of_trees
from bench.data.inspection.names import is_afterwards

N = 4000


def label_of(rng, rate=0.2):
    return (rng.random(N) < rate).astype(float)


def leak(values, label, binary=True):
    return find_leak(count_column("c", pa.array(values)), {"y": known(label, binary)})


def test_copies_and_functions_of_a_label_are_suspected(rng):
    y = label_of(rng)
    for values in (
        y,
        1 - y,
        y * 3 + rng.integers(0, 3, N),
        np.where(y == 1, "done", "open"),
        rng.random(N) + y,
    ):
        reason = leak(values, y)
        assert reason.startswith("it alone tells")


def test_what_only_a_later_stage_makes_is_suspected_though_it_tells_little(rng):
    visit = label_of(rng)
    bought = (visit == 1) & (rng.random(N) < 0.1)
    spend = np.where(bought, rng.exponential(50, N).round(2), 0)
    unspent = np.where(bought, spend, np.nan)
    for values in (
        spend,
        -spend,
        unspent,
        np.where(bought, spend, -1),
        np.where(bought, "yes", "no"),
        bought,
    ):
        reason = leak(values, visit)
        assert "'y' is 1 in all of them, elsewhere in 1" in reason
    assert "'y' is not 0" in leak(
        bought, np.where(visit == 1, rng.normal(5, 1, N), 0), binary=False
    )
    gone = np.where((visit == 0) & (rng.random(N) < 0.1), 9.5, 0)
    assert leak(gone, visit) is None  # four in five rows are 0 anyway
    assert leak(gone, np.where(visit == 0, 0, (rng.random(N) < 0.9).astype(float))) is None
    assert "'y' is 0" in leak(
        gone, np.where(visit == 1, 1, (gone == 0) & (rng.random(N) < 0.5)).astype(float)
    )


AFTERWARDS = """
dwell dwell_time watch_time play_time_ms playTimeMs is_like is_follow purchase_time conversion_value click_time
long_view purchased like profile_stay_time watch_ratio converted_at add_to_cart has_order
"""
BEFORE = """
duration_ms video_duration click_cnt_7d user_like_count last_purchase_days ctr_30d user_id price is_video_author
sort_order follow_user_num is_premium age tab time playlist hist_watch_time display_type share order rating order_id
"""


def test_names_say_what_happens_afterwards():
    assert [name for name in AFTERWARDS.split() if not is_afterwards(name)] == []
    assert [name for name in BEFORE.split() if is_afterwards(name)] == []
    assert (
        find_leak(count_column("dwell", pa.array(np.arange(N))), {})
        == "its name says what somebody did"
    )


PLACE = np.arange(N) % 10


@pytest.mark.parametrize(
    ("name", "values", "suspected"),
    [
        ("position", PLACE + 1, True),
        ("position", np.where(PLACE > 7, None, PLACE), True),
        ("avg_position", PLACE, False),
        ("sales_rank", np.random.default_rng(0).permutation(N) * 7 + 1, False),
    ],
)
def test_the_place_in_a_list_is_suspected(name, values, suspected):
    request = count_column("request", pa.array(np.arange(N) // 10))
    assert bool(find_leak(count_column(name, pa.array(values)), {}, request)) == suspected
    alone = find_leak(count_column(name, pa.array(values)), {})
    assert bool(alone) == suspected


RNG = np.random.default_rng(0)


def together(labels, *columns):
    rows = rows_of_trees(labels)
    return joint_leaks(labels, rows, {column.name: column.row_numbers[rows] for column in columns})


@pytest.mark.parametrize("binary", [True, False])
def test_two_times_that_tell_a_delay_are_named(binary):
    planned = RNG.integers(0, 20, N)
    delay = 10 * RNG.integers(0, 2, N)
    unrelated = RNG.integers(0, 9, N)
    y = (delay > 0).astype(float) if binary else delay + RNG.normal(size=N) / 9
    label = known(y, binary)
    values = {"planned": planned, "actual": planned + delay, "other": unrelated}
    columns = {
        name: count_column(name, pa.array(value.astype(float))) for name, value in values.items()
    }
    assert not any(find_leak(column, {"y": label}) for column in columns.values())
    note = together({"y": label}, *columns.values())["y"]
    assert "'actual' and 'planned'" in note
    assert "'other'" not in note
    assert together({"y": label}, columns["actual"], columns["other"]) == {}
    assert together({"y": label}) == {}


def test_inputs_that_are_missing_in_all_labelled_rows_tell_nothing():
    y = known(np.where(np.arange(N) < N // 2, np.nan, label_of(RNG)))
    empty = count_column(
        "empty", pa.array([1.5 if number < N // 2 else None for number in range(N)])
    )
    assert together({"y": y}, empty, count_column("x", pa.array(RNG.normal(size=N)))) == {}
