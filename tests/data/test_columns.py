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
from bench.data.shape import shape_of


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


def test_a_scenario_is_a_segment_that_models_know(shop, shop_raw, tmp_path):
    """Its field is named in the schema; values that are rare on train have its code of the unknown."""
    frame = pd.read_csv(shop_raw / "log.csv").assign(page=["cart", *["search", "search", "home"] * 66, "home"])
    frame.to_csv(shop_raw / "log.csv", index=False)
    split = {"kind": "time", "train": {"last": 20240105}, "valid": {"first": 20240106, "last": 20240108}}
    shop |= {"time": "day", "split": split | {"test": {"first": 20240109}}}
    place = {"kind": "categorical", "from": "page"}
    shop["columns"] = {"price": "numeric", "place": place}
    segments = {"user": {"known": "user"}, "weight": {"column": "weight", "ranges": [25, 45.5]}}
    card = parse_card(shop | {"scenario": "page", "segments": segments}, "here")
    assert shape_of(card).scenario == "place"
    store = prepare(card, tmp_path / "home", shop_raw)
    assert store.schema.scenario == "place"
    assert store.schema.fields[0].cardinality == 3
    ranges = ("< 25", "25 to 45.5", ">= 45.5")
    assert store.segments == {"scenario": ("search", "home", "cart"), "user": ("known", "new"), "weight": ranges}
    train = store.split("train")
    assert train.segments.dtype == np.int16
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
