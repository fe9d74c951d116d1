"""Inputs computed from one raw column: hour of day, day of week. Add one by adding it to `DERIVATIONS`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


def hour_of_hhmm(numbers: Numbers) -> Numbers:
    """1730 -> 17."""
    return np.floor(numbers / 100)


def weekday_of_yyyymmdd(numbers: Numbers) -> Numbers:
    """20220425 -> 0, a Monday; numbers of more than 8 digits are missing."""
    known = (numbers >= 0) & (numbers < 1e8)
    dates = numbers[known].astype(np.int64)
    months = (dates // 10000 - 1970) * 12 + (dates // 100) % 100 - 1
    days = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) + dates % 100 - 1
    weekdays = np.full(len(numbers), np.nan)
    weekdays[known] = (days + 3) % 7  # 1970-01-01 was a Thursday
    return weekdays


def _hour_of_unix(numbers: Numbers, unit: float) -> Numbers:
    return np.floor(numbers / (3600 * unit)) % 24


def _weekday_of_unix(numbers: Numbers, unit: float) -> Numbers:
    return (np.floor(numbers / (86400 * unit)) + 3) % 7  # 1970-01-01 was a Thursday


def hour_of_unix_s(numbers: Numbers) -> Numbers:
    """Seconds since 1970 -> hour of the day, UTC."""
    return _hour_of_unix(numbers, 1)


def hour_of_unix_ms(numbers: Numbers) -> Numbers:
    """Milliseconds since 1970 -> hour of the day, UTC."""
    return _hour_of_unix(numbers, 1000)


def weekday_of_unix_s(numbers: Numbers) -> Numbers:
    """Seconds since 1970 -> 0 (Monday) to 6, UTC."""
    return _weekday_of_unix(numbers, 1)


def weekday_of_unix_ms(numbers: Numbers) -> Numbers:
    """Milliseconds since 1970 -> 0 (Monday) to 6, UTC."""
    return _weekday_of_unix(numbers, 1000)


DERIVATIONS: dict[str, Callable[[Numbers], Numbers]] = {
    "hour_of_hhmm": hour_of_hhmm,
    "hour_of_unix_ms": hour_of_unix_ms,
    "hour_of_unix_s": hour_of_unix_s,
    "weekday_of_unix_ms": weekday_of_unix_ms,
    "weekday_of_unix_s": weekday_of_unix_s,
    "weekday_of_yyyymmdd": weekday_of_yyyymmdd,
}
"""Name on a card -> function of numbers (N,), NaN where missing."""
