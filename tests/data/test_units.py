"""Units beside groups: which rows are of one, on which side of a split they are, and what may not be."""

import numpy as np
import pandas as pd
import pytest
from data_toys import LEAST

from bench.data import parse_card, prepare

SPLITS = ("train", "valid", "confirm", "test")
BY_REQUEST = {"kind": "random", "valid": 0.3, "test": 0.2, "unit": "group"}
HASHED = {"kind": "hash", "column": "request", "valid": 0.3, "test": 0.2}
BY_DAY = {"kind": "time", "train": {"last": 1}, "valid": {"first": 2, "last": 2}, "test": {"first": 3}}


@pytest.fixture
def log(tmp_path):
    """900 rows of 300 requests of 60 users; requests of the last five users have no user, ten rows have no request."""
    rng = np.random.default_rng(0)
    request = np.repeat(np.arange(300), 3)
    frame = pd.DataFrame({"row": np.arange(900), "request": request, "user": [f"u{at % 60}" for at in request]})
    frame = frame.assign(day=request // 60, click=rng.integers(0, 2, 900))
    frame.loc[request % 60 >= 55, "user"] = None
    frame["request"] = [f"r{at}" for at in request]
    frame.loc[:9, ["request", "user"]] = None
    return frame


def prepared(log, folder, **values):
    """The store of the log by a card with these values."""
    (folder / "raw").mkdir(exist_ok=True)
    log.to_csv(folder / "raw" / "log.csv", index=False)
    return prepare(card(**values), folder / "home", folder / "raw")


def card(**values):
    least = {"group": "request", "units": "user", "time": "day", "files": [{"name": "log.csv"}]}
    inputs = {"row": {"kind": "numeric"}}
    return parse_card(LEAST | least | {"reader": {"kind": "csv"}, "columns": inputs} | values, "here")


def told(store, name):
    """The units of a split's rows, those of rows alone left out."""
    units = store.split(name).together
    return set(units[units >= 0].tolist())


@pytest.mark.parametrize("rule", [BY_REQUEST, HASHED, BY_DAY])
def test_units_stay_whole_where_the_split_keeps_groups_whole(log, tmp_path, rule):
    """A split by time parts them, but not validation's halves."""
    store = prepared(log, tmp_path, split=rule)
    sides = {name: told(store, name) for name in SPLITS}
    assert not sides["valid"] & sides["confirm"]
    shared = [bool(sides[one] & sides[other]) for one in SPLITS for other in SPLITS if one < other]
    assert any(shared) == (rule is BY_DAY)


def test_a_row_without_a_unit_belongs_to_its_group_and_else_to_itself(log, tmp_path):
    store = prepared(log, tmp_path, split=BY_REQUEST)
    rows = [store.split(name) for name in SPLITS]
    found = pd.DataFrame({"units": np.concatenate([each.units for each in rows])})
    numbers = [store.encoder.dense[0]]
    dense = np.concatenate([each.dense[:, 0] for each in rows])
    found["row"] = np.round(dense * numbers[0].scale + numbers[0].mean).astype(int)
    found = found.sort_values("row").reset_index(drop=True)
    wanted = log["user"].fillna(log["request"])
    assert (found["units"][wanted.isna()] == -1).all()
    known = wanted.notna()
    pairs = pd.DataFrame({"units": found["units"][known], "wanted": wanted[known]}).drop_duplicates()
    assert pairs["units"].is_unique
    assert pairs["wanted"].is_unique
    assert len(pairs) == 55 + 25
