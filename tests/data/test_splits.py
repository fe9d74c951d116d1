from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from bench.core.seeds import derive
from bench.data.splits import (
    CONFIRM,
    TEST,
    TRAIN,
    VALID,
    GroupDraws,
    SplitInput,
    SplitRule,
    draws_of,
    halved,
    uniform,
)
from bench.data.values import as_text


def rule(**values: object) -> SplitRule:
    return TypeAdapter(SplitRule).validate_python(values)


def rows(
    count: int = 0,
    *,
    file: list[int] | None = None,
    time: list[float] | None = None,
    group: list[str | None] | None = None,
    column: list[str | None] | None = None,
    start: int = 0,
) -> SplitInput:
    count = count or len(file or time or group or column or [])
    return SplitInput(
        ("a", "b", "c"),
        np.array(file if file is not None else [0] * count, np.int16),
        None if time is None else np.array(time),
        None if group is None else as_text(pa.array(group)),
        None if column is None else as_text(pa.array(column)),
        start,
    )


def test_files_go_where_they_are_named() -> None:
    split = rule(kind="files", train=["a"], valid=["c"], test=["b"]).assign(rows(file=[0, 1, 2, 0]))
    assert split.tolist() == [TRAIN, TEST, VALID, TRAIN]


def test_a_file_in_no_split_is_left_out() -> None:
    split = rule(kind="files", train=["a"], test=["b"], valid_fraction=0.5).assign(rows(file=[2] * 50 + [1] * 50))
    assert split.tolist() == [-1] * 50 + [TEST] * 50


def test_validation_is_carved_from_train_alone() -> None:
    split = rule(kind="files", train=["a"], test=["b"], valid_fraction=0.1).assign(rows(file=[0] * 20_000 + [1] * 500))
    assert (split[20_000:] == TEST).all()
    assert abs((split[:20_000] == 1).mean() - 0.1) < 0.01


@pytest.mark.parametrize(
    ("own", "of"),
    [
        ({"kind": "files", "train": ["a"], "test": ["b"]}, {"file": [0, 0, 0, 1]}),
        ({"kind": "column", "column": "part", "train": ["tr"], "test": ["te"]}, {"column": ["tr", "tr", "tr", "te"]}),
    ],
)
def test_validation_is_train_from_a_time_on(own: dict, of: dict) -> None:
    split = rule(**own, valid_from=5).assign(rows(time=[5, 4, np.nan, 9], **of))
    assert split.tolist() == [VALID, TRAIN, TRAIN, TEST]


def test_groups_of_a_column_split_stay_together() -> None:
    by_column = rule(kind="column", column="part", train=["tr"], test=["te"], valid_fraction=0.4, unit="group")
    group = [f"g{n // 5}" for n in range(500)]
    split = by_column.assign(rows(group=group, column=["tr"] * 500)).reshape(-1, 5)
    assert (split == split[:, :1]).all()
    assert set(split[:, 0].tolist()) == {0, 1}


def test_times_include_both_ends_and_leave_gaps_out() -> None:
    by_time = rule(kind="time", train={"last": 3}, valid={"first": 5, "last": 6}, test={"first": 7, "last": 8})
    assert by_time.assign(rows(time=[1, 3, 4, 5, 6, 7, 8, 9, np.nan])).tolist() == [0, 0, -1, 1, 1, TEST, TEST, -1, -1]


def test_times_may_be_iso_dates() -> None:
    by_time = rule(
        kind="time",
        train={"last": "2024-01-31"},
        valid={"first": "2024-02-01", "last": "2024-02-09"},
        test={"first": "2024-02-10"},
    )
    days = as_text(pa.array(["2023-12-01", "2024-01-31", "2024-02-05", None, "2024-10-01"]))
    given_rows = SplitInput(("a",), np.zeros(5, np.int16), days, None)
    assert by_time.assign(given_rows).tolist() == [TRAIN, TRAIN, VALID, -1, TEST]


def test_times_with_offsets_are_compared_in_utc() -> None:
    by_time = rule(
        kind="time",
        train={"last": "2024-01-31T23:30:00-01:00"},
        valid={"first": "2024-02-01 01:00Z", "last": "2024-02-01T03:00:00.5+01"},
        test={"first": "2024-02-02"},
    )
    times = {
        "2024-02-01T02:30:00+02:00": TRAIN,
        "2024-02-01 00:30:00.1 +0000": -1,
        "2024-01-31T23:59:00-01:01": VALID,
        "2024-02-01T02:00:00.6Z": -1,
        "2024-02-02T01:59:59+02:00": -1,
        "2024-02-02T02:00:00+02:00": TEST,
    }
    given_rows = SplitInput(("a",), np.zeros(len(times), np.int16), as_text(pa.array(list(times))), None)
    assert by_time.assign(given_rows).tolist() == list(times.values())
    with pytest.raises(ValidationError, match="train must end before valid begins"):
        rule(
            kind="time",
            train={"last": "2024-02-01T00:00:00+00:00"},
            valid={"first": "2024-02-01T01:00:00+02:00", "last": "2024-02-02T00:00:00+00:00"},
            test={"first": "2024-02-03T00:00:00+00:00"},
        )


@given(st.integers(0, 2**31), st.sampled_from(["row", "group"]))
def test_a_random_split_keeps_its_shares_and_repeats(seed: int, unit: str) -> None:
    random = rule(kind="random", valid=0.2, test=0.3, unit=unit, seed=seed)
    given_rows = rows(group=[f"g{i % 1500}" for i in range(6000)])
    split = random.assign(given_rows)
    np.testing.assert_array_equal(split, random.assign(given_rows))
    shares = np.bincount(split, minlength=4)[[TRAIN, VALID, TEST]] / len(split)
    np.testing.assert_allclose(shares, [0.5, 0.2, 0.3], atol=0.08)


def test_a_groups_split_does_not_depend_on_the_other_rows() -> None:
    alone, among = (as_text(pa.array(values)) for values in (["x"], ["y", "z", "x", None]))
    alone, among = (uniform(rows(len(text.codes)), text, 7) for text in (alone, among))
    assert alone[0] == among[2]


def test_a_groups_draw_is_the_same_whatever_part_it_comes_in() -> None:
    made, names = GroupDraws(), [f"g{i}" for i in range(50)]
    for numbers in ([3, 0], [], [49, 3, 7], list(range(50))):
        values = [names[number] for number in numbers]
        for seed in (0, 1):
            np.testing.assert_array_equal(made.of(values, np.array(numbers, np.int32), seed), draws_of(values, seed))


def test_rows_without_group_do_not_go_together() -> None:
    split = rule(kind="random", valid=0.3, test=0.3, unit="group").assign(rows(group=[None] * 100 + ["a"]))
    assert set(split[:100].tolist()) == {TRAIN, VALID, TEST}


@given(st.integers(0, 200), st.integers(0, 2**31))
def test_a_draw_does_not_depend_on_how_rows_are_parted(cut: int, seed: int) -> None:
    whole = uniform(rows(200), None, seed)
    parts = [uniform(rows(cut), None, seed), uniform(rows(200 - cut, start=cut), None, seed)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_draws_are_those_of_one_seeded_generator() -> None:
    np.testing.assert_array_equal(uniform(rows(9), None, 5), np.random.default_rng(derive(5, "split")).random(9))


def test_a_hash_split_keeps_values_together_and_its_shares() -> None:
    values = [f"u{i % 3000}" for i in range(6000)]
    split = rule(kind="hash", column="user", valid=0.2, test=0.3).assign(rows(column=values))
    np.testing.assert_array_equal(split[:3000], split[3000:])
    np.testing.assert_allclose(np.bincount(split)[[TRAIN, VALID, TEST]] / 6000, [0.5, 0.2, 0.3], atol=0.03)


def test_a_column_assigns_rows_and_other_values_are_left_out() -> None:
    by_column = rule(kind="column", column="fold", train=[0, 1], valid=["2"], test=["late"])
    split = by_column.assign(rows(column=["1", "0", "2.0", "late", "3", None]))
    assert split.tolist() == [TRAIN, TRAIN, VALID, TEST, -1, -1]


def test_halving_moves_half_of_validation_and_nothing_else() -> None:
    split = np.repeat(np.array([-1, TRAIN, VALID, TEST], np.int8), 5000)
    half = halved(split, rows(20_000), None)
    np.testing.assert_array_equal(half[split != VALID], split[split != VALID])
    assert set(half[split == VALID].tolist()) == {VALID, CONFIRM}
    assert (half[split == VALID] == CONFIRM).mean() == pytest.approx(0.5, abs=0.03)


def test_halving_leaves_a_group_on_one_side_and_does_not_follow_the_split_by_group() -> None:
    given_rows = rows(group=[f"g{i % 1500}" for i in range(6000)])
    by_group = rule(kind="random", valid=0.4, test=0.3, unit="group")
    half = halved(by_group.assign(given_rows), given_rows, given_rows.group).reshape(4, 1500)
    assert (half == half[0]).all()
    assert (half[0] == CONFIRM).mean() == pytest.approx(0.2, abs=0.04)
