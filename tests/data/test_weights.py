"""Row weights, thinned negatives and conditions of tasks: from a card to a store's arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.core.errors import UserError
from bench.data import load_card, parse_card, prepare
from bench.data.batches import Batches
from bench.data.chunks import Plan, in_file_order, shuffled_by_chunk
from bench.data.listing import explain
from bench.data.refit import refit_store
from bench.data.store import Store, WeightFacts, part_of


def stored(shop: dict[str, Any], raw: Path, tmp_path: Path, **keys: Any) -> Store:
    return prepare(parse_card(shop | keys, "here"), tmp_path / "home", raw)


def changed(raw: Path, old: str, new: str) -> None:
    text = (raw / "log.csv").read_text()
    assert old in text
    (raw / "log.csv").write_text(text.replace(old, new))


def test_a_store_has_weights_only_if_its_card_has(shop: dict[str, Any], shop_raw: Path, tmp_path: Path) -> None:
    plain, weighted = stored(shop, shop_raw, tmp_path), stored(shop, shop_raw, tmp_path, weight="weight")
    assert plain.weights is None
    assert plain.split("train").weights is None
    assert "weights" not in plain.manifest
    assert weighted.weights == WeightFacts(plain=True)
    seen = np.concatenate([weighted.split(name).weights for name in ("train", "valid", "confirm", "test")])  # type: ignore[arg-type, list-item]
    assert sorted(seen[:, 0].tolist()) == list(range(200))
    train = weighted.split("train")
    for array in ("ids", "dense", "stored_labels", "group"):
        np.testing.assert_array_equal(getattr(train, array), getattr(plain.split("train"), array))
    part = part_of(train, 50)
    assert part.weights is not None
    assert part.weights.shape == (len(part), 1)
    refit = refit_store(weighted, parse_card(shop | {"weight": "weight"}, "here"), 0.2, 0, tmp_path / "refit")
    assert len(refit.split("train").weights) + len(refit.split("valid").weights) == 200 - len(weighted.split("test"))  # type: ignore[arg-type]


@pytest.mark.parametrize(("weight", "found"), [("-3", "-3"), ("", "none"), ("inf", "inf"), ("1e39", r"1e\+39")])
def test_a_weight_that_is_none_is_a_bad_row(
    shop: dict[str, Any], shop_raw: Path, tmp_path: Path, weight: str, found: str
) -> None:
    changed(shop_raw, ",20240102,21\n", f",20240102,{weight}\n")
    with pytest.raises(UserError, match=rf"line 23: 'weight', the rows' weight: .* 0 or more, found {found}$"):
        stored(shop, shop_raw, tmp_path, weight="weight")
    drops = shop["reader"] | {"on_bad_row": "drop", "bad_row_limit": 0.1}
    kept = stored(shop | {"reader": drops}, shop_raw, tmp_path, weight="weight")
    assert kept.manifest["bad_rows"] == {"weight": 1}


def test_rows_of_weight_0_have_no_class(shop: dict[str, Any], shop_raw: Path, tmp_path: Path) -> None:
    text = (shop_raw / "log.csv").read_text().splitlines()
    (shop_raw / "log.csv").write_text("\n".join([text[0], *(line.rpartition(",")[0] + ",0" for line in text[1:])]))
    with pytest.raises(UserError, match="task 'click' needs both classes in split 'train', but 0 of 0"):
        stored(shop, shop_raw, tmp_path, weight="weight")


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"weight": "weigth"}, "unknown raw column 'weigth'"),
        ({"sampling": {"task": "click", "rate": "kept"}}, "unknown raw column 'kept'"),
        ({"tasks": [{"name": "click", "column": "click", "where": {"tab": ["1"]}}]}, "unknown raw column 'tab'"),
        ({"sampling": {"task": "click", "rate": "day"}}, "line 3: 'day', the rate of sampling: .* found 2.024"),
    ],
)
def test_a_column_that_is_not_there_or_does_not_fit_is_one_sentence(
    shop: dict[str, Any], shop_raw: Path, tmp_path: Path, keys: dict[str, Any], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        stored(shop, shop_raw, tmp_path, **keys)


def test_thinned_negatives_stand_for_one_over_their_rate(shop: dict[str, Any], shop_raw: Path, tmp_path: Path) -> None:
    fixed = stored(shop, shop_raw, tmp_path, sampling={"task": "click", "rate": 0.25})
    assert fixed.weights == WeightFacts(plain=False, task="click", rate=0.25)
    train = fixed.split("train")
    expected = np.where(train.labels[:, 0] == 0, 4, 1)
    np.testing.assert_array_equal(train.weights, np.stack([np.ones(len(train)), expected], 1))
    changed(shop_raw, "weight\n", "weight,rate\n")
    lines = (shop_raw / "log.csv").read_text().splitlines()
    rates = ["" if line.rsplit(",", 4)[-4] == "1" else str(0.1 + 0.9 * (at % 2)) for at, line in enumerate(lines)]
    text = "\n".join([lines[0], *(f"{line},{rate}" for line, rate in zip(lines[1:], rates[1:], strict=True))])
    (shop_raw / "log.csv").write_text(text + "\n")
    own = stored(shop, shop_raw, tmp_path, weight="weight", sampling={"task": "click", "rate": "rate"})
    assert own.weights == WeightFacts(plain=True, task="click", rate=None)
    train = own.split("train")
    line = train.weights[:, 0] + 1  # type: ignore[index]
    expected = np.where(train.labels[:, 0] == 1, 1, np.where(line % 2 == 1, 1, 10))
    np.testing.assert_allclose(train.weights[:, 1], expected, rtol=1e-6)  # type: ignore[index]


def test_a_task_counts_where_its_conditions_hold(shop: dict[str, Any], shop_raw: Path, tmp_path: Path) -> None:
    tasks = [
        shop["tasks"][0],
        shop["tasks"][1]
        | {"where": {"day": {"first": 20240103, "last": 20240106}, "user": ["u1", "u2", "u5"]}, "optional": True},
        {"name": "spend", "column": "weight", "kind": "regression", "where": {"tags": ["a,b,c"]}, "optional": True},
    ]
    said = explain(parse_card(shop | {"tasks": tasks}, "here"))
    assert any("counts where 'day' is at least 20240103 and at most 20240106" in each for each in said), said
    found, plain = stored(shop | {"tasks": tasks}, shop_raw, tmp_path), stored(shop, shop_raw, tmp_path)
    for name in ("train", "valid", "test"):
        labels, before = found.split(name).labels, plain.split(name).labels  # type: ignore[arg-type]
        row = stored(shop, shop_raw, tmp_path, weight="weight").split(name).weights[:, 0].astype(int)  # type: ignore
        inside = (row >= 40) & (row < 120) & np.isin(row % 10, [1, 2, 5])
        np.testing.assert_array_equal(labels[:, 0], before[:, 0])
        np.testing.assert_array_equal(labels[:, 1], np.where(inside, before[:, 1], np.nan))
        np.testing.assert_array_equal(labels[:, 2], np.where(row % 6 == 5, row, np.nan))


def test_a_card_without_these_keys_makes_the_store_that_it_made() -> None:
    from bench.data.preparation import recipe

    card = load_card("synthetic-funnel")
    assert recipe(card) == recipe(card.model_copy(update={"weight": None, "sampling": None}))
    rule = card.task_rules[0].model_copy(update={"where": {"hour": ("1",)}})
    assert recipe(card) != recipe(card.model_copy(update={"task_rules": (rule, *card.task_rules[1:])}))


def test_batches_bring_the_weights_of_their_rows(shop: dict[str, Any], shop_raw: Path, tmp_path: Path) -> None:
    split = stored(shop, shop_raw, tmp_path, weight="weight").split("train")
    data = Batches(split)
    batches = [
        *data.in_order(16),
        *data.shuffled(16, 1),
        *shuffled_by_chunk(split, Plan(64, 8), 16, 1),
        *in_file_order(split, 16),
    ]
    assert len(batches) > 20
    for batch in batches:
        assert batch.weights is not None
        assert torch.equal(batch.labels[:, 0] == 1, batch.weights[:, 0] % 3 == 0)
        assert len(batch.weights) == len(batch.ids)
    own, parent = split.labels[:, 0], split.weights[:, 0].astype(float)  # type: ignore[index]
    assert data.label_means([None, 0])[0] == pytest.approx(own @ parent / parent.sum())
