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
    """20220425 -> 0, a Monday."""
    known = np.isfinite(numbers)
    dates = numbers[known].astype(np.int64)
    months = (dates // 10000 - 1970) * 12 + (dates // 100) % 100 - 1
    days = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) + dates % 100 - 1
    weekdays = np.full(len(numbers), np.nan)
    weekdays[known] = (days + 3) % 7  # 1970-01-01 was a Thursday
    return weekdays


DERIVATIONS: dict[str, Callable[[Numbers], Numbers]] = {
    "hour_of_hhmm": hour_of_hhmm,
    "weekday_of_yyyymmdd": weekday_of_yyyymmdd,
}
"""Name on a card -> function of numbers (N,), NaN where missing."""
