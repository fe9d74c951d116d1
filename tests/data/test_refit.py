"""Train and validation together: every row once, and what is held out drawn as the card's split draws."""

import numpy as np
import pytest

from bench.data import Store, parse_card, prepare
from bench.data.refit import JOINED, held_out, refit_store
from bench.data.store import StoredSplit


def split(rows, groups=0, first=0):
    """Rows that say their number in their ids, put into groups in turn; -1 without groups."""
    ids = np.arange(first, first + rows, dtype=np.int32)[:, None]
    group = ids[:, 0] % groups if groups else np.full(rows, -1, np.int32)
    return StoredSplit(ids, np.zeros((rows, 0), np.float32), np.zeros((rows, 1), np.float32), group)


TIME = {"kind": "time", "train": {"last": 5}, "valid": {"first": 6, "last": 7}, "test": {"first": 8}}


def card_with(shop, rule):
    shop["split"] = rule
    shop["time"] = "day"
    shop["files"] = [{"name": name} for name in ("log.csv", "b.csv", "c.csv")]
    return parse_card(shop, "here")


def test_by_time_the_end_of_both_halves_of_validation_is_held_out(shop):
    train, valid, confirm = held_out(card_with(shop, TIME), [split(800), split(120), split(80)], 0.05, 0)
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
    aside = {group for each, mask in zip(splits, masks, strict=True) for group in each.group[mask]}
    kept = {group for each, mask in zip(splits, masks, strict=True) for group in each.group[~mask]}
    assert not aside & kept
    assert 5 < len(aside) < 40


def test_every_row_is_there_once_and_test_is_as_it_was(shop, shop_raw, tmp_path):
    spend = {"name": "spend", "column": "weight", "kind": "regression", "censored": "price", "optional": True}
    shop |= {"weight": "weight", "logged": ["day"], "segments": {"day": {"column": "day"}}, "units": "user"}
    shop["tasks"].append(spend)
    store = prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw)
    refit = refit_store(store.with_tasks(["click"]), parse_card(shop, "here"), 0.2, 3, tmp_path / "refit")
    assert [task.name for task in refit.schema.tasks] == ["click"]
    assert refit.encoder.encode is not None
    masks = held_out(parse_card(shop, "here"), [store.split(name) for name in JOINED], 0.2, 3)
    whole = Store.open(refit.path)
    beside = ("segments", "logged", "weights", "stored_bounds", "units")
    for array in ("stored_ids", "dense", "stored_labels", "group", *beside):
        rows = np.concatenate([getattr(store.split(name), array) for name in JOINED])
        aside = np.concatenate(masks)
        np.testing.assert_array_equal(getattr(whole.split("train"), array), rows[~aside])
        np.testing.assert_array_equal(getattr(whole.split("valid"), array), rows[aside])
        np.testing.assert_array_equal(getattr(whole.split("test"), array), getattr(store.split("test"), array))
    assert refit.manifest["splits"]["train"]["rows"] == len(refit.split("train"))
    assert refit.fingerprint != store.fingerprint
