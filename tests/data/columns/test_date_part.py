"""Parts of times, against the calendar of the standard library."""

import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import UserError
from bench.data.columns.base import DERIVATIONS, weekday_of_yyyymmdd
from bench.data.columns.date_part import TimeSource, part_of

FIRST, LAST = datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1)
FORMS = ("%Y-%m-%d %H:%M:%S", "%Y/%m/%dT%H:%M", "%Y.%m.%d %H:%M:%S.%f+05:30")


def read(values, part, **options):
    part_values, wrong = part_of(pa.chunked_array([pa.array(values)]), part, **options)
    assert not wrong.any()
    return part_values.to_pylist()


@given(
    st.lists(st.one_of(st.none(), st.datetimes(FIRST, LAST)), min_size=1, max_size=20),
    st.sampled_from(FORMS),
)
def test_every_form_of_a_time_has_the_parts_that_the_calendar_says(times, form):
    expected = {
        "hour": [time and time.hour for time in times],
        "weekday": [time and time.weekday() for time in times],
        "month": [time and time.month for time in times],
    }
    texts = pa.array([time and time.strftime(form) for time in times], pa.string())
    stamps = pa.array(times, pa.timestamp("us"))
    for part, wanted in expected.items():
        assert read(texts, part) == wanted
        assert read(texts.dictionary_encode(), part) == wanted
        assert read(stamps, part) == wanted
    for part in ("weekday", "month"):
        assert (
            read(pa.array([time and time.date() for time in times], pa.date32()), part)
            == expected[part]
        )


def test_a_date_has_no_hour_and_a_marker_no_part():
    assert read(["2024-03-01", None, "-"], "hour", missing=("-",)) == [None, None, None]
    assert read(pa.array([datetime.date(2024, 3, 1)]), "hour") == [None]
    assert read(["2024-03-01", None, "-"], "weekday", missing=("-",)) == [4, None, None]


def test_a_time_zone_changes_nothing():
    stamps = pa.array([datetime.datetime(2024, 7, 1, 22)], pa.timestamp("ms", "UTC")).cast(
        pa.timestamp("ms", "Europe/Berlin")
    )
    assert read(stamps, "hour") == read(["2024-07-02 00:00:00+02:00"], "hour") == [0]
    assert read(stamps, "weekday") == [1]


@pytest.mark.parametrize(
    "text",
    [
        "2023-02-29",
        "2024-13-01",
        "2024-00-10",
        "2024-01-00",
        "0000-01-01",
        "2024-01-01 24:00",
        "1/3/2024",
        "x",
        "7",
    ],
)
def test_other_texts_are_no_times(text):
    column = pa.array(["2024-02-29", text, None])
    assert part_of(column, "month")[1].tolist() == [False, True, False]
    with pytest.raises(
        UserError, match=f"'t': expected a time such as 2024-03-01 10:00:00, found '{text}'"
    ):
        TimeSource(column="t", part="hour").values(pa.table({"t": column}))


@given(st.lists(st.dates(datetime.date(1900, 1, 1), datetime.date(2100, 1, 1)), min_size=1))
def test_weekday_is_that_of_the_calendar(days):
    numbers = np.array([float(day.strftime("%Y%m%d")) for day in days])
    np.testing.assert_array_equal(weekday_of_yyyymmdd(numbers), [day.weekday() for day in days])


@given(
    st.lists(st.datetimes(datetime.datetime(1950, 1, 1), datetime.datetime(2100, 1, 1)), min_size=1)
)
def test_hours_and_weekdays_of_unix_time_are_those_of_utc(times):
    aware = [time.replace(tzinfo=datetime.UTC, microsecond=0) for time in times]
    seconds = np.array([time.timestamp() for time in aware])
    for unit, units in (("s", seconds), ("ms", seconds * 1000)):
        hours = DERIVATIONS[f"hour_of_unix_{unit}"](units)
        weekdays = DERIVATIONS[f"weekday_of_unix_{unit}"](units)
        np.testing.assert_array_equal(hours, [time.hour for time in aware])
        np.testing.assert_array_equal(weekdays, [time.weekday() for time in aware])
