"""Regressions with a parent, a duration and a bound: from a card to a store's arrays, its schema and its batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.core.errors import UserError
from bench.data import parse_card, prepare
from bench.data.batches import Batches
from bench.data.chunks import Plan, in_file_order, shuffled_by_chunk
from bench.data.listing import explain
from bench.data.refit import refit_store
from bench.data.store import Store

WATCH = {"name": "watch", "column": "weight", "kind": "regression", "parent": "click"}
BOUNDED = WATCH | {"duration": "price", "censored": "price"}


def card_of(shop: dict[str, Any], watch: dict[str, Any]) -> dict[str, Any]:
    return shop | {"tasks": [*shop["tasks"], watch]}


def stored(shop: dict[str, Any], raw: Path, tmp_path: Path, watch: dict[str, Any]) -> Store:
    return prepare(parse_card(card_of(shop, watch), "here"), tmp_path / "home", raw)


def test_labels_are_at_most_their_bounds_which_stand_beside_them(
    shop: dict[str, Any], shop_raw: Path, tmp_path: Path
) -> None:
    """The label of row i is i, its bound i / 2, which is missing in every 7th row."""
    plain, store = stored(shop, shop_raw, tmp_path, WATCH), stored(shop, shop_raw, tmp_path, BOUNDED)
    assert plain.split("train").bounds is None
    task = store.schema.tasks[-1]
    assert (task.parent, task.duration, task.censored) == ("click", "price", True)
    raw, train = plain.split("train").labels[:, -1], store.split("train")
    bounds = np.where(raw % 7 == 0, np.inf, raw / 2)
    np.testing.assert_array_equal(train.bounds[:, -1], bounds)  # type: ignore[index]
    assert np.isinf(train.bounds[:, :-1]).all()  # type: ignore[index]
    np.testing.assert_array_equal(train.labels[:, -1], np.minimum(raw, bounds))
    assert store.with_tasks(["click"]).split("train").bounds is None
    view = store.with_tasks(["watch", "click"]).split("train")
    np.testing.assert_array_equal(view.bounds[:, 0], bounds)  # type: ignore[index]

    cap = task.cap
    assert cap is not None
    numbers = train.dense[:, cap.column] * cap.scale + cap.mean
    known = np.isfinite(bounds)
    np.testing.assert_allclose((np.expm1(numbers) if cap.log else numbers)[known], bounds[known], rtol=1e-5, atol=1e-4)
    assert train.dense[~known, cap.missing].all()

    refit = refit_store(store, parse_card(card_of(shop, BOUNDED), "here"), 0.2, 0, tmp_path / "refit")
    assert len(refit.split("train").bounds) == len(refit.split("train"))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="task 'watch' needs its parent 'click' among the tasks"):
        store.with_tasks(["watch"])


def test_bounds_come_with_their_rows_from_memory_and_from_files(
    shop: dict[str, Any], shop_raw: Path, tmp_path: Path
) -> None:
    split = stored(shop, shop_raw, tmp_path, BOUNDED).with_tasks(["watch", "click"]).split("train")
    held = next(Batches(split).in_order(1000))
    whole = next(in_file_order(split, 1000))
    window = next(shuffled_by_chunk(split, Plan(len(split), 4), len(split), 0))
    for batch in (held, whole):
        np.testing.assert_array_equal(batch.bounds.numpy(), split.bounds)  # type: ignore[union-attr]
    for name in ("labels", "bounds"):
        mixed, own = getattr(window, name)[:, 0], getattr(held, name)[:, 0]
        assert torch.equal(mixed.sort().values, own.sort().values)
    shuffled = next(Batches(split).shuffled(32, 1))
    assert (shuffled.labels <= shuffled.bounds).all()  # type: ignore[operator]
    assert shuffled.weights is None


def test_a_card_says_what_becomes_of_them(shop: dict[str, Any]) -> None:
    (said,) = [each for each in explain(parse_card(card_of(shop, BOUNDED), "here")) if each.startswith("watch")]
    assert "it counts where click is 1" in said
    assert "a label at or above 'price' says only that it is at least that" in said
    assert "the loss bins groups rows by 'price'" in said
