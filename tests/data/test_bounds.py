"""Regressions with a parent, a duration and a bound: from a card to a store's arrays, its schema and its batches."""

import numpy as np
import pytest

from bench.core.errors import UserError
from bench.data import parse_card, prepare

WATCH = {"name": "watch", "column": "weight", "kind": "regression", "parent": "click"}
BOUNDED = WATCH | {"duration": "price", "censored": "price"}


def card_of(shop, watch):
    return shop | {"tasks": [*shop["tasks"], watch]}


def stored(shop, raw, tmp_path, watch):
    return prepare(parse_card(card_of(shop, watch), "here"), tmp_path / "home", raw)


def test_labels_are_at_most_their_bounds_which_stand_beside_them(shop, shop_raw, tmp_path):
    """The label of row i is i, its bound i / 2, which is missing in every 7th row."""
    plain, store = stored(shop, shop_raw, tmp_path, WATCH), stored(shop, shop_raw, tmp_path, BOUNDED)
    assert plain.split("train").bounds is None
    task = store.schema.tasks[-1]
    assert (task.parent, task.duration, task.censored) == ("click", "price", True)
    raw, train = plain.split("train").labels[:, -1], store.split("train")
    bounds = np.where(raw % 7 == 0, np.inf, raw / 2)
    np.testing.assert_array_equal(train.bounds[:, -1], bounds)
    assert np.isinf(train.bounds[:, :-1]).all()
    np.testing.assert_array_equal(train.labels[:, -1], np.minimum(raw, bounds))
    assert store.with_tasks(["click"]).split("train").bounds is None
    view = store.with_tasks(["watch", "click"]).split("train")
    np.testing.assert_array_equal(view.bounds[:, 0], bounds)

    cap = task.cap
    numbers = train.dense[:, cap.column] * cap.scale + cap.mean
    known = np.isfinite(bounds)
    np.testing.assert_allclose((np.expm1(numbers) if cap.log else numbers)[known], bounds[known], rtol=1e-5, atol=1e-4)
    assert train.dense[~known, cap.missing].all()

    with pytest.raises(UserError, match="task 'watch' needs its parent 'click' among the tasks"):
        store.with_tasks(["watch"])
