"""Times and spans as cards have them: seconds, milliseconds, yyyymmdd or ISO dates; `7d`, `2w` or
`12h`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from bench.core.arrays import Floats
from bench.core.errors import UserError
from bench.data.values import as_text

_SPAN = re.compile(r"0*[1-9]\d*[hdw]", re.ASCII)
_HOURS = {"h": 1, "d": 24, "w": 168}


def is_span(text: str) -> bool:
    """Whether a text is a span such as `1d`, `2w` or `12h`."""
    return _SPAN.fullmatch(text) is not None


def hours_of(span: str) -> float:
    """Hours of a span; raises UserError for another text."""
    if not is_span(span):
        raise UserError(f"expected a span of time such as 1d, 2w or 12h, found '{span}'")
    return float(int(span[:-1]) * _HOURS[span[-1]])


def hours(time: float | str) -> float:
    """Hours since 1970 of a time; raises UserError where it is none that cards have."""
    try:
        number = float(time)
    except ValueError:
        number = math.nan
    try:
        if 19_000_101 <= number <= 22_001_231:
            moment = datetime.strptime(f"{number:.0f}", "%Y%m%d").replace(tzinfo=UTC)
        elif 1e8 <= number < 1e14:
            seconds = number if number < 1e11 else number / 1000
            moment = datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds)
        else:
            moment = datetime.fromisoformat(str(time).replace("/", "-"))
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise UserError(
            "expected times in seconds, milliseconds, yyyymmdd or as ISO dates, found "
            f"{str(time)[:100]!r}"
        ) from None
    return moment.timestamp() / 3600


def month_of(time: float | str) -> int:
    """The month of a time, counted from the year 0; errors as of `hours`."""
    moment = datetime.fromtimestamp(0, UTC) + timedelta(hours=hours(time))
    return 12 * moment.year + moment.month


def hours_in(column: Any, missing: Collection[str]) -> Floats:
    """(n,) hours since 1970 of a raw Arrow column of times, NaN where missing; errors as of
    `hours`.
    """
    text = as_text(column, missing)
    return np.array([*map(hours, text.values), math.nan])[text.codes]
