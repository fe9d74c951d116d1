"""Units beside groups: which rows are of one, on which side of a split they are, and what may not be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from data_toys import LEAST, arrays

from bench.core.errors import UserError
from bench.data import Store, parse_card, prepare
from bench.data.listing import explain
from bench.data.preparation import recipe
from bench.data.readers import base
from bench.data.refit import refit_store

SPLITS = ("train", "valid", "confirm", "test")
BY_REQUEST = {"kind": "random", "valid": 0.3, "test": 0.2, "unit": "group"}
HASHED = {"kind": "hash", "column": "request", "valid": 0.3, "test": 0.2}
BY_DAY = {"kind": "time", "train": {"last": 1}, "valid": {"first": 2, "last": 2}, "test": {"first": 3}}


@pytest.fixture
def log(tmp_path: Path) -> pd.DataFrame:
    """900 rows of 300 requests of 60 users; requests of the last five users have no user, ten rows have no request."""
    rng = np.random.default_rng(0)
    request = np.repeat(np.arange(300), 3)
    frame = pd.DataFrame({"row": np.arange(900), "request": request, "user": [f"u{at % 60}" for at in request]})
    frame = frame.assign(day=request // 60, click=rng.integers(0, 2, 900))
    frame.loc[request % 60 >= 55, "user"] = None
    frame["request"] = [f"r{at}" for at in request]
    frame.loc[:9, ["request", "user"]] = None
    return frame


def prepared(log: pd.DataFrame, folder: Path, **values: Any) -> Store:
    """The store of the log by a card with these values."""
    (folder / "raw").mkdir(exist_ok=True)
    log.to_csv(folder / "raw" / "log.csv", index=False)
    return prepare(card(**values), folder / "home", folder / "raw")


def card(**values: Any) -> Any:
    least = {"group": "request", "units": "user", "time": "day", "files": [{"name": "log.csv"}]}
    inputs = {"row": {"kind": "numeric"}}
    return parse_card(LEAST | least | {"reader": {"kind": "csv"}, "columns": inputs} | values, "here")


def told(store: Store, name: str) -> set[int]:
    """The units of a split's rows, those of rows alone left out."""
    units = store.split(name).together  # type: ignore[arg-type]
    return set(units[units >= 0].tolist())


@pytest.mark.parametrize("rule", [BY_REQUEST, HASHED, BY_DAY])
def test_units_stay_whole_where_the_split_keeps_groups_whole(
    log: pd.DataFrame, tmp_path: Path, rule: dict[str, Any]
) -> None:
    """A split by time parts them, but not validation's halves."""
    store = prepared(log, tmp_path, split=rule)
    sides = {name: told(store, name) for name in SPLITS}
    assert not sides["valid"] & sides["confirm"]
    shared = [bool(sides[one] & sides[other]) for one in SPLITS for other in SPLITS if one < other]
    assert any(shared) == (rule is BY_DAY)


def test_units_do_not_depend_on_how_rows_are_parted(
    log: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = prepared(log, tmp_path, split=BY_REQUEST)
    monkeypatch.setattr(base, "PART", 67)
    assert arrays(prepared(log, tmp_path / "raw", split=BY_REQUEST)) == arrays(store)
    without = prepared(log, tmp_path, split=BY_REQUEST, units=None)
    assert (without.split("test").units, without.units) == (None, False)
    np.testing.assert_array_equal(without.split("test").together, without.split("test").group)


def test_a_row_without_a_unit_belongs_to_its_group_and_else_to_itself(log: pd.DataFrame, tmp_path: Path) -> None:
    store = prepared(log, tmp_path, split=BY_REQUEST)
    rows = [store.split(name) for name in SPLITS]  # type: ignore[arg-type]
    found = pd.DataFrame({"units": np.concatenate([each.units for each in rows])})  # type: ignore[misc]
    numbers = [store.encoder.dense[0]]
    dense = np.concatenate([each.dense[:, 0] for each in rows])
    found["row"] = np.round(dense * numbers[0].scale + numbers[0].mean).astype(int)  # type: ignore[union-attr]
    found = found.sort_values("row").reset_index(drop=True)
    wanted = log["user"].fillna(log["request"])
    assert (found["units"][wanted.isna()] == -1).all()
    known = wanted.notna()
    pairs = pd.DataFrame({"units": found["units"][known], "wanted": wanted[known]}).drop_duplicates()
    assert pairs["units"].is_unique
    assert pairs["wanted"].is_unique
    assert len(pairs) == 55 + 25


@pytest.mark.parametrize("user", ["u58", None])
def test_a_unit_that_parts_a_group_is_one_sentence(log: pd.DataFrame, tmp_path: Path, user: str | None) -> None:
    log.loc[log["request"] == "r7", "user"] = ["u7", "u7", user]
    found = "^shop: units: expected all rows of one 'request' to have one 'user', found 'r7' with two of them$"
    with pytest.raises(UserError, match=found):
        prepared(log, tmp_path, split=BY_REQUEST)
    assert not list((tmp_path / "home").rglob("*.npy"))


def test_a_refit_holds_out_whole_units(log: pd.DataFrame, tmp_path: Path) -> None:
    store = prepared(log, tmp_path, split=HASHED)
    refit = refit_store(store, card(split=HASHED), 0.2, 0, tmp_path / "refit")
    assert told(refit, "valid")
    assert not told(refit, "valid") & told(refit, "train")
    assert told(refit, "valid") | told(refit, "train") == told(store, "train") | told(store, "valid") | told(
        store, "confirm"
    )


def test_a_card_without_units_has_the_recipe_that_it_had() -> None:
    without = card(units=None).model_dump(by_alias=True)
    assert recipe(card(units=None)) == recipe(parse_card({k: v for k, v in without.items() if k != "units"}, "here"))
    assert recipe(card()) != recipe(card(units=None))


def test_what_happens_to_units_is_said() -> None:
    said = " ".join(explain(card(split=HASHED)))
    assert "a hash of 'user', of which no value is in two splits" in said
    assert "Half of valid's values of 'user' become confirm" in said
    assert "Rows of one 'user' are resampled together" in said
    assert "may be in train" not in said
    assert "'user' may be in train, valid and test, since the split does not go by it" in " ".join(explain(card()))
    assert "a value of 'user'" not in " ".join(explain(card(split=BY_REQUEST, units=None)))
    with pytest.raises(UserError, match="a split by group needs the top-level key 'group' or 'units'"):
        card(split=BY_REQUEST, units=None, group=None)
