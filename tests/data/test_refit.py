"""Train and validation together: every row once, and what is held out drawn as the card's split draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.core.errors import UserError
from bench.data import Store, parse_card, prepare
from bench.data.refit import JOINED, held_out, refit_store
from bench.data.store import ARRAYS, Split


def split(rows: int, groups: int = 0, first: int = 0) -> Split:
    """Rows that say their number in their ids, put into groups in turn; -1 without groups."""
    ids = np.arange(first, first + rows, dtype=np.int32)[:, None]
    group = ids[:, 0] % groups if groups else np.full(rows, -1, np.int32)
    return Split(ids, np.zeros((rows, 0), np.float32), np.zeros((rows, 1), np.float32), group)


TIME = {"kind": "time", "train": {"last": 5}, "valid": {"first": 6, "last": 7}, "test": {"first": 8}}
FILES = {"kind": "files", "train": ["log.csv"], "valid": ["b.csv"], "test": ["c.csv"]}
COLUMN = {"kind": "column", "column": "part", "train": ["a"], "valid": ["b"], "test": ["c"]}


def card_with(shop: dict[str, Any], rule: dict[str, Any]) -> Any:
    shop["split"] = rule
    shop["time"] = "day"
    shop["files"] = [{"name": name} for name in ("log.csv", "b.csv", "c.csv")]
    return parse_card(shop, "here")


def test_by_time_the_end_of_both_halves_of_validation_is_held_out(shop: dict[str, Any]) -> None:
    train, valid, confirm = held_out(card_with(shop, TIME), [split(800), split(120), split(80)], 0.05, 0)
    assert not train.any()
    np.testing.assert_array_equal(np.flatnonzero(valid), np.arange(90, 120))
    np.testing.assert_array_equal(np.flatnonzero(confirm), np.arange(60, 80))
    _, half = held_out(card_with(shop, TIME), [split(800), split(100)], 0.2, 0)
    assert half.sum() == 50  # never more than half of it


@pytest.mark.parametrize("rule", [FILES, COLUMN, {"kind": "hash", "column": "item", "valid": 0.2, "test": 0.2}])
def test_where_validation_is_set_apart_it_alone_gives(shop: dict[str, Any], rule: dict[str, Any]) -> None:
    train, valid, confirm = held_out(card_with(shop, rule), [split(4000), split(500), split(500)], 0.1, 0)
    assert not train.any()
    assert valid.sum() == pytest.approx(250, abs=50)
    assert confirm.sum() == pytest.approx(250, abs=50)


def test_by_row_all_give_alike(shop: dict[str, Any]) -> None:
    card = card_with(shop, {"kind": "random", "valid": 0.2, "test": 0.2})
    splits = [split(4000), split(1000), split(1000)]
    masks = held_out(card, splits, 0.1, 0)
    assert [mask.mean() for mask in masks] == pytest.approx([0.1] * 3, abs=0.04)
    again, other = (held_out(card, splits, 0.1, seed) for seed in (0, 1))
    assert (masks[0] == again[0]).all()
    assert (masks[0] != other[0]).any()


@pytest.mark.parametrize(
    "rule",
    [{"kind": "random", "valid": 0.2, "test": 0.2, "unit": "group"},
     {"kind": "hash", "column": "user", "valid": 0.2, "test": 0.2}],
)  # fmt: skip
def test_by_group_none_is_on_both_sides(shop: dict[str, Any], rule: dict[str, Any]) -> None:
    splits = [split(rows, groups=200) for rows in (4000, 500, 500)]
    masks = held_out(card_with(shop, rule), splits, 0.1, 0)
    aside = {group for each, mask in zip(splits, masks, strict=True) for group in each.group[mask]}
    kept = {group for each, mask in zip(splits, masks, strict=True) for group in each.group[~mask]}
    assert not aside & kept
    assert 5 < len(aside) < 40


@pytest.fixture
def store(shop: dict[str, Any], shop_raw: Path, tmp_path: Path) -> Store:
    return prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw)


def test_every_row_is_there_once_and_test_is_as_it_was(shop: dict[str, Any], store: Store, tmp_path: Path) -> None:
    refit = refit_store(store.with_tasks(["click"]), parse_card(shop, "here"), 0.2, 3, tmp_path / "refit")
    assert [task.name for task in refit.schema.tasks] == ["click"]
    assert refit.encoder.encode is not None
    masks = held_out(parse_card(shop, "here"), [store.split(name) for name in JOINED], 0.2, 3)
    whole = Store.open(refit.path)
    for array in (*(name for name in ARRAYS if name != "labels"), "stored_labels"):
        rows = np.concatenate([getattr(store.split(name), array) for name in JOINED])  # type: ignore[arg-type]
        aside = np.concatenate(masks)
        np.testing.assert_array_equal(getattr(whole.split("train"), array), rows[~aside])
        np.testing.assert_array_equal(getattr(whole.split("valid"), array), rows[aside])
        np.testing.assert_array_equal(getattr(whole.split("test"), array), getattr(store.split("test"), array))
    assert refit.manifest["splits"]["train"]["rows"] == len(refit.split("train"))
    assert refit.fingerprint != store.fingerprint


def test_nothing_to_hold_out_is_said(shop: dict[str, Any], store: Store, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected rows to train on and rows to hold out, found 164 and 0"):
        refit_store(store, parse_card(shop, "here"), 1e-9, 0, tmp_path / "refit")
    assert not (tmp_path / "refit").exists()
