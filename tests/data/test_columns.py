import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import UserError
from bench.data import Store, parse_card, prepare
from bench.data.columns.base import DERIVATIONS, weekday_of_yyyymmdd
from bench.data.preparation import recipe
from bench.data.readers import base
from bench.data.shape import shape_of
from bench.data.splits import SPLITS


@given(st.lists(st.dates(datetime.date(1900, 1, 1), datetime.date(2100, 1, 1)), min_size=1))
def test_weekday_is_that_of_the_calendar(days):
    numbers = np.array([float(day.strftime("%Y%m%d")) for day in days])
    np.testing.assert_array_equal(weekday_of_yyyymmdd(numbers), [day.weekday() for day in days])


@given(st.lists(st.datetimes(datetime.datetime(1950, 1, 1), datetime.datetime(2100, 1, 1)), min_size=1))
def test_hours_and_weekdays_of_unix_time_are_those_of_utc(times):
    aware = [time.replace(tzinfo=datetime.UTC, microsecond=0) for time in times]
    seconds = np.array([time.timestamp() for time in aware])
    for unit, units in (("s", seconds), ("ms", seconds * 1000)):
        hours, weekdays = DERIVATIONS[f"hour_of_unix_{unit}"](units), DERIVATIONS[f"weekday_of_unix_{unit}"](units)
        np.testing.assert_array_equal(hours, [time.hour for time in aware])
        np.testing.assert_array_equal(weekdays, [time.weekday() for time in aware])


RULES = {"country": {"column": "country"}, "age": {"column": "age", "ranges": [25, 45.5]}, "user": {"known": "user"}}
DAYS = {"kind": "time", "train": {"last": 5}, "valid": {"first": 6, "last": 7}, "test": {"first": 8}}


@pytest.fixture
def frame(shop_raw):
    """A log of ten days; users from day 6 on are new now and then, and some values are missing."""
    rng = np.random.default_rng(0)
    frame = pd.read_csv(shop_raw / "log.csv").iloc[np.repeat(np.arange(200), 3)].reset_index(drop=True)
    rows = len(frame)
    frame["row"] = np.arange(rows)
    frame["day"] = 1 + frame["row"] * 10 // rows
    names = [f"c{at:02d}" for at in range(25)]
    frame["country"] = rng.choice([*names, None], rows, p=[0.22, 0.18, *[0.55 / 23] * 23, 0.05])
    frame["age"] = np.where(rng.random(rows) < 0.1, np.nan, rng.choice([20, 25, 30, 45.5, 60], rows))
    new = (frame["day"] > 5) & (rng.random(rows) < 0.3)
    frame.loc[new, "user"] = "v" + frame["row"].astype(str)
    frame.loc[rng.random(rows) < 0.1, "user"] = None
    frame["score"] = np.where(rng.random(rows) < 0.1, np.nan, rng.random(rows))
    frame.to_csv(shop_raw / "log.csv", index=False)
    return frame


@pytest.fixture
def with_rules(shop):
    shop["columns"] = {"price": "numeric", "row": "numeric"}
    return shop | {"time": "day", "split": DAYS, "segments": RULES, "logged": ["score"]}


def whole(store):
    """Segments and logged scores of all rows, in the order of the log."""
    parts = [store.split(name) for name in SPLITS]
    at = list(store.schema.dense).index("row")
    order = np.argsort(np.concatenate([part.dense[:, at] for part in parts]))
    return [np.concatenate([getattr(part, name) for part in parts])[order] for name in ("segments", "logged")]


def wanted(frame, store):
    """What the rules say, a row and a segment at a time."""
    train = frame[frame["day"] <= 5]
    counts = train["country"].value_counts()
    named, known = store.segments["country"][:-1], set(train["user"].dropna())
    assert sorted(counts.index, key=lambda name: -counts[name])[:2] == list(named[:2])
    assert min(counts[list(named)]) >= max(counts.drop(list(named)))

    def codes(row):
        country = -1 if pd.isna(row.country) else named.index(row.country) if row.country in named else 20
        age = -1 if np.isnan(row.age) else 0 if row.age < 25 else 1 if row.age < 45.5 else 2
        return [country, age, -1 if pd.isna(row.user) else int(row.user not in known)]

    return np.array([codes(row) for row in frame.itertuples()])


@pytest.mark.parametrize("part", [7, 1 << 16])
def test_each_row_has_its_segments_and_its_score(with_rules, frame, shop_raw, tmp_path, part, monkeypatch):  # fmt: skip
    monkeypatch.setattr(base, "PART", part)
    store = prepare(parse_card(with_rules, "here"), tmp_path / "home", shop_raw)
    assert store.segments["age"] == ("< 25", "25 to 45.5", ">= 45.5")
    assert store.segments["user"] == ("known", "new")
    assert len(store.segments["country"]) == 21
    assert store.segments["country"][-1] == "other"
    assert store.logged == ("score",)
    segments, logged = whole(store)
    assert (segments.dtype, logged.dtype) == (np.int16, np.float32)
    np.testing.assert_array_equal(segments, wanted(frame, store))
    np.testing.assert_array_equal(logged[:, 0], frame["score"].to_numpy(np.float32))
    assert not list(store.path.rglob("provisional*"))


def test_a_scenario_is_a_segment_that_models_know(shop, frame, shop_raw, tmp_path):
    """Its field is named in the schema; values that are rare on train have its code of the unknown."""
    frame["page"] = np.where(frame["row"] % 3 == 0, "home", "search")
    frame.loc[frame["row"] == 0, "page"] = "cart"
    frame.to_csv(shop_raw / "log.csv", index=False)
    place = {"kind": "categorical", "from": "page"}
    shop |= {"time": "day", "split": DAYS, "columns": {"price": "numeric", "row": "numeric", "place": place}}
    card = parse_card(shop | {"scenario": "page", "segments": {"user": {"known": "user"}}}, "here")
    assert shape_of(card).scenario == "place"
    store = prepare(card, tmp_path / "home", shop_raw)
    assert store.schema.scenario == "place"
    assert store.schema.fields[0].cardinality == 3
    assert store.segments == {"scenario": ("search", "home", "cart"), "user": ("known", "new")}
    train = store.split("train")
    assert train.ids[train.segments[:, 0] == 2, 0].tolist() == [store.schema.offsets[0]]
    assert Store.open(store.path).schema == store.schema
    assert recipe(card) != recipe(parse_card(shop, "here"))
    for changes, message in (
        ({"scenario": "pages"}, "raw column of a categorical input without 'derive', found 'pages'; .* are page"),
        ({"scenario": "price"}, "found 'price'"),
        ({"scenario": "page", "segments": {"scenario": {"column": "day"}}}, "'scenario' makes a segment of this name"),
    ):
        with pytest.raises(UserError, match=message):
            parse_card(shop | changes, "here")
