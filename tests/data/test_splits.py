"""Splits: where rows go, how validation is halved, and what a retraining holds out as the split of
its card draws.
"""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from bench.data import Store, parse_card, prepare
from bench.data.refit import JOINED, held_out, refit_store
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
from bench.data.store import StoredSplit
from bench.data.values import as_text


def rule(**values):
    return TypeAdapter(SplitRule).validate_python(values)


def rows(count=0, *, file=None, time=None, group=None, column=None, start=0):
    count = count or len(file or time or group or column or [])
    return SplitInput(
        ("a", "b", "c"),
        np.array(file if file is not None else [0] * count, np.int16),
        None if time is None else np.array(time),
        None if group is None else as_text(pa.array(group)),
        None if column is None else as_text(pa.array(column)),
        start,
    )


def test_files_go_where_they_are_named():
    split = rule(kind="files", train=["a"], valid=["c"], test=["b"]).assign(rows(file=[0, 1, 2, 0]))
    assert split.tolist() == [TRAIN, TEST, VALID, TRAIN]


def test_validation_is_carved_from_train_alone():
    split = rule(kind="files", train=["a"], test=["b"], valid_fraction=0.1).assign(
        rows(file=[0] * 20_000 + [1] * 500)
    )
    assert (split[20_000:] == TEST).all()
    assert abs((split[:20_000] == 1).mean() - 0.1) < 0.01


@pytest.mark.parametrize(
    ("options", "columns"),
    [
        ({"kind": "files", "train": ["a"], "test": ["b"]}, {"file": [0, 0, 0, 1]}),
        (
            {"kind": "column", "column": "part", "train": ["tr"], "test": ["te"]},
            {"column": ["tr", "tr", "tr", "te"]},
        ),
    ],
)
def test_validation_is_train_from_a_time_on(options, columns):
    split = rule(**options, valid_from=5).assign(rows(time=[5, 4, np.nan, 9], **columns))
    assert split.tolist() == [VALID, TRAIN, TRAIN, TEST]


def test_times_include_both_ends_and_leave_gaps_out():
    by_time = rule(
        kind="time", train={"last": 3}, valid={"first": 5, "last": 6}, test={"first": 7, "last": 8}
    )
    assert by_time.assign(rows(time=[1, 3, 4, 5, 6, 7, 8, 9, np.nan])).tolist() == [
        0,
        0,
        -1,
        1,
        1,
        TEST,
        TEST,
        -1,
        -1,
    ]


@given(st.integers(0, 2**31), st.sampled_from(["row", "group"]))
def test_a_random_split_keeps_its_shares_and_repeats(seed, unit):
    random = rule(kind="random", valid=0.2, test=0.3, unit=unit, seed=seed)
    given_rows = rows(group=[f"g{i % 1500}" for i in range(6000)])
    split = random.assign(given_rows)
    np.testing.assert_array_equal(split, random.assign(given_rows))
    shares = np.bincount(split, minlength=4)[[TRAIN, VALID, TEST]] / len(split)
    np.testing.assert_allclose(shares, [0.5, 0.2, 0.3], atol=0.08)


def test_a_groups_draw_is_the_same_whatever_part_it_comes_in():
    draws, names = GroupDraws(), [f"g{i}" for i in range(50)]
    for numbers in ([3, 0], [], [49, 3, 7], list(range(50))):
        values = [names[number] for number in numbers]
        for seed in (0, 1):
            np.testing.assert_array_equal(
                draws.draw(values, np.array(numbers, np.int32), seed), draws_of(values, seed)
            )


@given(st.integers(0, 200), st.integers(0, 2**31))
def test_a_draw_does_not_depend_on_how_rows_are_parted(cut, seed):
    whole = uniform(rows(200), None, seed)
    parts = [uniform(rows(cut), None, seed), uniform(rows(200 - cut, start=cut), None, seed)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_a_hash_split_keeps_values_together_and_its_shares():
    values = [f"u{i % 3000}" for i in range(6000)]
    split = rule(kind="hash", column="user", valid=0.2, test=0.3).assign(rows(column=values))
    np.testing.assert_array_equal(split[:3000], split[3000:])
    np.testing.assert_allclose(
        np.bincount(split)[[TRAIN, VALID, TEST]] / 6000, [0.5, 0.2, 0.3], atol=0.03
    )


def test_halving_moves_half_of_validation_and_nothing_else():
    split = np.repeat(np.array([-1, TRAIN, VALID, TEST], np.int8), 5000)
    half = halved(split, rows(20_000), None)
    np.testing.assert_array_equal(half[split != VALID], split[split != VALID])
    assert set(half[split == VALID].tolist()) == {VALID, CONFIRM}
    assert (half[split == VALID] == CONFIRM).mean() == pytest.approx(0.5, abs=0.03)


def test_halving_leaves_a_group_on_one_side_and_does_not_follow_the_split_by_group():
    given_rows = rows(group=[f"g{i % 1500}" for i in range(6000)])
    by_group = rule(kind="random", valid=0.4, test=0.3, unit="group")
    half = halved(by_group.assign(given_rows), given_rows, given_rows.group).reshape(4, 1500)
    assert (half == half[0]).all()
    assert (half[0] == CONFIRM).mean() == pytest.approx(0.2, abs=0.04)


def split(rows, groups=0, first=0):
    """Rows that say their number in their ids, put into groups in turn; -1 without groups."""
    ids = np.arange(first, first + rows, dtype=np.int32)[:, None]
    group = ids[:, 0] % groups if groups else np.full(rows, -1, np.int32)
    return StoredSplit(ids, np.zeros((rows, 0), np.float32), np.zeros((rows, 1), np.float32), group)


TIME = {
    "kind": "time",
    "train": {"last": 5},
    "valid": {"first": 6, "last": 7},
    "test": {"first": 8},
}


def card_with(shop, rule):
    shop["split"] = rule
    shop["time"] = "day"
    shop["files"] = [{"name": name} for name in ("log.csv", "b.csv", "c.csv")]
    return parse_card(shop, "here")


def test_by_time_the_end_of_both_halves_of_validation_is_held_out(shop):
    train, valid, confirm = held_out(
        card_with(shop, TIME), [split(800), split(120), split(80)], 0.05, 0
    )
    assert not train.any()
    np.testing.assert_array_equal(np.flatnonzero(valid), np.arange(90, 120))
    np.testing.assert_array_equal(np.flatnonzero(confirm), np.arange(60, 80))
    _, half = held_out(card_with(shop, TIME), [split(800), split(100)], 0.2, 0)
    assert half.sum() == 50  # never more than half of it


@pytest.mark.parametrize(
    "rule",
    [{"kind": "random", "valid": 0.2, "test": 0.2, "unit": "group"},
     {"kind": "hash", "column": "user", "valid": 0.2, "test": 0.2}],
)  # fmt: skip
def test_by_group_none_is_on_both_sides(shop, rule):
    splits = [split(rows, groups=200) for rows in (4000, 500, 500)]
    masks = held_out(card_with(shop, rule), splits, 0.1, 0)
    aside = {group for part, mask in zip(splits, masks, strict=True) for group in part.group[mask]}
    kept_groups = {
        group for part, mask in zip(splits, masks, strict=True) for group in part.group[~mask]
    }
    assert not aside & kept_groups
    assert 5 < len(aside) < 40


def test_every_row_is_there_once_and_test_is_as_it_was(shop, shop_raw, tmp_path):
    spend = {
        "name": "spend",
        "column": "weight",
        "kind": "regression",
        "censored": "price",
        "optional": True,
    }
    shop |= {
        "weight": "weight",
        "logged": ["day"],
        "segments": {"day": {"column": "day"}},
        "units": "user",
    }
    shop["tasks"].append(spend)
    store = prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw)
    refit = refit_store(
        store.with_tasks(["click"]), parse_card(shop, "here"), 0.2, 3, tmp_path / "refit"
    )
    assert [task.name for task in refit.schema.tasks] == ["click"]
    assert refit.encoder.encode is not None
    masks = held_out(parse_card(shop, "here"), [store.split(name) for name in JOINED], 0.2, 3)
    whole = Store.open(refit.path)
    extras = ("segments", "logged", "weights", "stored_bounds", "units")
    for array in ("stored_ids", "dense", "stored_labels", "group", *extras):
        rows = np.concatenate([getattr(store.split(name), array) for name in JOINED])
        aside = np.concatenate(masks)
        np.testing.assert_array_equal(getattr(whole.split("train"), array), rows[~aside])
        np.testing.assert_array_equal(getattr(whole.split("valid"), array), rows[aside])
        np.testing.assert_array_equal(
            getattr(whole.split("test"), array), getattr(store.split("test"), array)
        )
    assert refit.manifest["splits"]["train"]["rows"] == len(refit.split("train"))
    assert refit.fingerprint != store.fingerprint
