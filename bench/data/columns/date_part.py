"""A part of a date or a point in time, such as the hour of the day.

Hours and weekdays come again after training has ended; a point in time does not.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from bench.core.errors import UserError
from bench.data.columns.base import EXAMPLES, Finding, Kind, Source
from bench.data.columns.categorical import CategoricalField, CategoricalFitter
from bench.data.values import DATES, distinct, is_any, texts_of, whole_column

if TYPE_CHECKING:
    from bench.data.checks import Sieve
    from bench.data.inspection.column import Counted

TimePart = Literal["hour", "weekday", "month"]
EXAMPLE = "2024-03-01 10:00:00"
_ISO = (
    r"^(?P<year>\d{4})[-/.](?P<month>\d{2})[-/.](?P<day>\d{2})"
    r"(?:[T ](?P<hour>[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:[.,]\d+)?)?"
    r"(?: ?(?:Z|[+-]\d{2}(?::?\d{2})?))?)?$"
)
_ISO_FIELDS = ("year", "month", "day", "hour")
_OF_DATES = {"hour": pc.hour, "weekday": pc.day_of_week, "month": pc.month}
"""Monday is 0, as in `weekday_of_unix_s`."""


def part_of(column: Any, part: TimePart, missing: Collection[str] = ()) -> tuple[Any, Any]:
    """A part of each time of an Arrow column: whole numbers (N,), null where there is none; which
    texts are no time.

    Times are as they are written: an offset or a time zone changes nothing. A date has no hour.
    """
    array = whole_column(column)
    value_type = array.type
    if pa.types.is_dictionary(value_type):
        value_type = value_type.value_type
    if is_any(value_type, DATES):
        is_time = np.ones(len(array), np.bool_)
        if part == "hour" and pa.types.is_date(value_type):
            return pa.nulls(len(array), pa.int64()), ~is_time
        return _OF_DATES[part](array.cast(value_type)), ~is_time

    codes, values = distinct(array)
    texts = texts_of(values, missing, spelled=True)
    fields = pc.extract_regex(texts, _ISO)
    year, month, day, hour = (_integers(pc.struct_field(fields, name)) for name in _ISO_FIELDS)
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - 1).astype("timedelta64[D]")
    next_months = (months + np.timedelta64(1, "M")).astype("datetime64[D]")
    is_time = (year > 0) & (month > 0) & (month < 13) & (day > 0) & (days < next_months)
    weekday = (days.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
    numbers = {"hour": hour, "weekday": weekday, "month": month}[part]
    has_none = ~is_time | (numbers < 0)
    parts = pa.array(np.append(numbers, 0), mask=np.append(has_none, True))
    wrong = np.append(~is_time & texts.is_valid().to_numpy(zero_copy_only=False), False)
    return parts.take(pa.array(codes % len(parts))), wrong[codes]


def _integers(digits: Any) -> Any:
    """(n,) of texts; -1 where there is none."""
    numbers = pc.if_else(pc.equal(digits, ""), None, digits).cast(pa.int64())
    return numbers.fill_null(-1).to_numpy(zero_copy_only=False)


class _Times:
    def check(self, name: str, column: Any, missing: Collection[str], sieve: Sieve) -> None:
        """The sieve takes rows whose text is no time."""
        _, no_time = part_of(column, "weekday", missing)
        wrong = no_time & ~sieve.bad
        if wrong.any():
            sieve.refuse(wrong, "time", _unfit(name, column, wrong))


def _unfit(name: str, column: Any, wrong: Any) -> str:
    text = whole_column(column)[int(np.argmax(wrong))].as_py()
    return f"'{name}': expected a time such as {EXAMPLE}, found '{text}'"


class TimeSource(Source):
    """A raw column of dates, timestamps or texts such as `EXAMPLE`, of which a part is taken."""

    part: TimePart

    @property
    def markers(self) -> tuple[str, ...]:
        """None: missing times have no part."""
        return ()

    def values(self, table: pa.Table) -> Any:
        """The parts, an Arrow array of whole numbers (N,)."""
        raw = self.raw(table)
        parts, wrong = part_of(raw, self.part, self.missing)
        if wrong.any():  # of a side table
            raise UserError(_unfit(self.column, raw, wrong))
        return parts


class DatePartField(_Times, CategoricalField):
    """The part as one category a row."""

    kind: Literal["date-part"] = "date-part"  # type: ignore[assignment]
    source: TimeSource

    def _examples(self) -> list[Any]:
        return [EXAMPLE] * EXAMPLES


class DatePartFitter(CategoricalFitter):
    """Counts the parts of times."""

    part = DatePartField


class DatePart(_Times, Kind):
    """A part of a time, as a category: the hour of the day, the weekday (Monday is 0), or the
    month.
    """

    kind: Literal["date-part"] = "date-part"
    part: TimePart
    """Which; of a text or timestamp as it is written, without regard to its offset or time zone."""
    min_count: int | None = Field(None, ge=1)
    derive: None = None
    fits: ClassVar = DatePartFitter
    parts: ClassVar = (DatePartField,)

    def source_of(self, name: str, missing: tuple[str, ...]) -> Source:
        """What the input of that name reads: the part."""
        return TimeSource(column=self.source or name, missing=missing, part=self.part)

    @classmethod
    def draft(cls, column: Counted, labels: Any) -> Finding | None:
        """A time is no input itself; what comes again of it is proposed: its hour, or the weekday
        of dates.
        """
        if not column.is_time:
            return None
        why = "a date or point in time: later rows have times that train never saw"
        hours, wrong = part_of(column.distinct, "hour")
        if wrong.any():
            return Finding(None, why)
        part = "weekday" if hours.null_count == len(hours) else "hour"
        option = {"kind": "date-part", "from": column.name, "part": part}
        why += f"; its {part} may be an input"
        return Finding(option, why, f"{column.name}_{part}", proposed=True)
