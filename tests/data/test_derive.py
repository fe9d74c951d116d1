from __future__ import annotations

import datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bench.data.derive import hour_of_hhmm, weekday_of_yyyymmdd


@given(st.lists(st.dates(datetime.date(1900, 1, 1), datetime.date(2100, 1, 1)), min_size=1))
def test_weekday_is_that_of_the_calendar(days: list[datetime.date]) -> None:
    numbers = np.array([float(day.strftime("%Y%m%d")) for day in days])
    np.testing.assert_array_equal(weekday_of_yyyymmdd(numbers), [day.weekday() for day in days])


def test_missing_stays_missing() -> None:
    np.testing.assert_array_equal(weekday_of_yyyymmdd(np.array([np.nan, 20220425])), [np.nan, 0])
    np.testing.assert_array_equal(hour_of_hhmm(np.array([np.nan, 0, 59, 100, 2359])), [np.nan, 0, 0, 1, 23])
