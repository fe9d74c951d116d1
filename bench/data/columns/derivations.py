"""Functions of raw numbers, which a card names under `derive`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator

from bench.core.errors import unknown

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


def hour_of_unix(numbers: Numbers, unit: int) -> Numbers:
    """Time since 1970, `unit` units a second -> hour of the day, UTC."""
    return np.floor(numbers / (3600 * unit)) % 24


def weekday_of_unix(numbers: Numbers, unit: int) -> Numbers:
    """Time since 1970, `unit` units a second -> 0 (Monday) to 6, UTC."""
    return (np.floor(numbers / (86400 * unit)) + 3) % 7  # 1970-01-01 was a Thursday


DERIVATIONS: dict[str, Callable[[Numbers], Numbers]] = {
    "hour_of_hhmm": hour_of_hhmm,
    "hour_of_unix_ms": partial(hour_of_unix, unit=1000),
    "hour_of_unix_s": partial(hour_of_unix, unit=1),
    "weekday_of_unix_ms": partial(weekday_of_unix, unit=1000),
    "weekday_of_unix_s": partial(weekday_of_unix, unit=1),
    "weekday_of_yyyymmdd": weekday_of_yyyymmdd,
}
"""Name on a card -> function of numbers (N,), NaN where missing."""


def _known(name: str) -> str:
    if name not in DERIVATIONS:
        raise ValueError(str(unknown("derivation", name, DERIVATIONS)))
    return name


Derivation = Annotated[str, AfterValidator(_known)]


def example_of(name: str) -> float:
    """A raw number that every such function takes."""
    return 20240101.0 if name.endswith("yyyymmdd") else 1200.0
