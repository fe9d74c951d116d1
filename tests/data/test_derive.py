from __future__ import annotations

import datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bench.data.columns import (
    hour_of_hhmm,
    hour_of_unix_ms,
    hour_of_unix_s,
    weekday_of_unix_ms,
    weekday_of_unix_s,
    weekday_of_yyyymmdd,
)


@given(st.lists(st.dates(datetime.date(1900, 1, 1), datetime.date(2100, 1, 1)), min_size=1))
def test_weekday_is_that_of_the_calendar(days: list[datetime.date]) -> None:
    numbers = np.array([float(day.strftime("%Y%m%d")) for day in days])
    np.testing.assert_array_equal(weekday_of_yyyymmdd(numbers), [day.weekday() for day in days])


def test_missing_stays_missing() -> None:
    np.testing.assert_array_equal(weekday_of_yyyymmdd(np.array([np.nan, 20220425])), [np.nan, 0])
    np.testing.assert_array_equal(hour_of_hhmm(np.array([np.nan, 0, 59, 100, 2359])), [np.nan, 0, 0, 1, 23])


@given(st.lists(st.datetimes(datetime.datetime(1950, 1, 1), datetime.datetime(2100, 1, 1)), min_size=1))
def test_hours_and_weekdays_of_unix_time_are_those_of_utc(times: list[datetime.datetime]) -> None:
    aware = [time.replace(tzinfo=datetime.UTC, microsecond=0) for time in times]
    seconds = np.array([time.timestamp() for time in aware])
    for hour, weekday, scale in (
        (hour_of_unix_s, weekday_of_unix_s, 1),
        (hour_of_unix_ms, weekday_of_unix_ms, 1000),
    ):
        np.testing.assert_array_equal(hour(seconds * scale), [time.hour for time in aware])
        np.testing.assert_array_equal(weekday(seconds * scale), [time.weekday() for time in aware])


def test_a_missing_time_has_no_hour() -> None:
    assert np.isnan(hour_of_unix_s(np.array([np.nan])))[0]
