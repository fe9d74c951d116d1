from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.core.errors import UserError
from bench.core.schema import Scale, Task
from bench.data import parse_card, prepare
from bench.data.tasks import ROWS, TaskRule, scale_of, scaled_tasks

RNG = np.random.default_rng(0)
NORMAL = RNG.normal(100, 7, 4000)
SKEWED = RNG.lognormal(2, 1.2, 4000)
RARE = np.where(np.arange(4000) % 50 == 0, SKEWED, 0.0)


@pytest.mark.parametrize(
    ("labels", "log"),
    [(NORMAL, False), (-SKEWED, False), (SKEWED, True), (RARE, True), (RNG.integers(1, 6, 4000) * 1.0, False)],
)
def test_a_logarithm_is_taken_of_skewed_labels_that_are_never_negative(labels: Any, log: bool) -> None:
    found = scale_of(labels)
    values = np.log1p(labels) if log else labels
    assert found.log == log
    assert found.centre == pytest.approx(values.mean(), rel=0.05)
    assert found.spread == pytest.approx(values.std(), rel=0.05)
    assert found.mean == pytest.approx(labels.mean(), rel=0.05)


@pytest.mark.parametrize("rows", [40, 4000])
@pytest.mark.parametrize("labels", [NORMAL, SKEWED, RARE, -SKEWED])
@pytest.mark.parametrize("wild", [1e30, np.finfo(np.float32).max])
def test_one_wild_label_does_not_make_the_scale(labels: Any, rows: int, wild: float) -> None:
    labels = labels[:rows]
    found, expected = scale_of(np.append(labels, wild)), scale_of(labels)
    assert found.log == expected.log
    assert (found.centre, found.spread) == pytest.approx((expected.centre, expected.spread), rel=0.2)
    assert (np.log1p(wild) if found.log else wild) > found.high


@pytest.mark.parametrize("value", [0.0, 3.0, -1e30, 1e30])
def test_a_constant_label_standardises_to_zero(value: float) -> None:
    found = scale_of(np.full(50, value))
    assert (found.log, found.centre, found.spread) == (False, value, 1.0)


def test_no_label_has_the_identity() -> None:
    assert scale_of(np.empty(0)) == Scale(log=False, centre=0, spread=1, low=0, high=0, mean=0)


def test_only_labels_that_count_are_looked_at() -> None:
    """Not those that are missing, nor those of rows whose parent did not happen."""
    visit = np.arange(4000) % 2
    spend = np.where(np.arange(4000) % 3 == 0, np.nan, np.where(visit == 1, NORMAL, -1e9))
    own = NORMAL[(visit == 1) & ~np.isnan(spend)].astype(np.float32).astype(float)
    child = TaskRule.model_construct(name="spend", column="spend", kind="regression", parent="visit")
    rules = (TaskRule(name="visit", column="visit"), child)
    visited, found = scaled_tasks(rules, np.stack([visit, spend], 1).astype(np.float32), "here")
    assert visited == Task("visit")
    assert found.scale == scale_of(own)


def test_many_rows_are_looked_at_in_part() -> None:
    labels = np.zeros((2 * ROWS, 1), np.float32)
    labels[1::3] = 1.0
    (found,) = scaled_tasks((TaskRule(name="a", column="a", kind="regression"),), labels, "here")
    assert found.scale is not None
    assert found.scale.mean == pytest.approx(1 / 3, abs=3e-3)


def test_a_store_keeps_the_scale_of_train_as_its_card_asks(
    shop: dict[str, Any], shop_raw: Path, tmp_path: Path
) -> None:
    shop["split"] = {"kind": "time", "train": {"last": 20240106}, "valid": {"first": 20240107, "last": 20240108},
                     "test": {"first": 20240109}}  # fmt: skip
    shop["time"], found = "day", {}
    for scale in ("auto", "none", "standard", "log1p"):
        shop["tasks"] = [{"name": "weight", "column": "weight", "kind": "regression", "scale": scale}]
        (task,) = prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw).schema.tasks
        found[scale] = task.scale
    train = np.arange(120.0)  # rows to the sixth day
    assert found["none"] is None
    assert found["auto"] == found["standard"] == scale_of(train, log=False)
    assert found["log1p"] == scale_of(train, log=True)


def test_a_scale_that_cannot_be_is_refused(shop: dict[str, Any], shop_raw: Path, tmp_path: Path) -> None:
    text = (shop_raw / "log.csv").read_text()
    (shop_raw / "log.csv").write_text(text.replace(",20240103,47\n", ",20240103,-47\n"))
    shop["tasks"] = [{"name": "weight", "column": "weight", "kind": "regression", "scale": "log1p"}]
    with pytest.raises(UserError, match=r'scale = "log1p" needs labels of 0 or more, but .* has the label -47'):
        prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw)
    assert not list((tmp_path / "home" / "store").glob("*/*/manifest.json"))
    shop["tasks"] = [{"name": "click", "column": "click", "scale": "log1p"}]
    with pytest.raises(UserError, match="'scale' is for a regression"):
        parse_card(shop, "here")
