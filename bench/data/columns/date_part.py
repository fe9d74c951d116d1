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
_OF_DATES = {"hour": pc.hour, "weekday": pc.day_of_week, "month": pc.month}
"""Monday is 0, as in `weekday_of_unix_s`."""


def part_of(column: Any, part: TimePart, missing: Collection[str] = ()) -> tuple[Any, Any]:
    """A part of each time of an Arrow column: whole numbers (N,), null where there is none; which
    texts are no time.

    Times are as they are written: an offset or a time zone changes nothing. A date has no hour.
    """
    array = whole_column(column)
    kind = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    if is_any(kind, DATES):
        array = array.cast(kind)
        none = part == "hour" and pa.types.is_date(kind)
        found = pa.nulls(len(array), pa.int64()) if none else _OF_DATES[part](array)
        return found, np.zeros(len(array), np.bool_)
    codes, values = distinct(array)
    texts = texts_of(values, missing, spelled=True)
    read = pc.extract_regex(texts, _ISO)
    number = {
        name: _whole(pc.struct_field(read, name)) for name in ("year", "month", "day", "hour")
    }
    months = ((number["year"] - 1970) * 12 + number["month"] - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (number["day"] - 1).astype("timedelta64[D]")
    there = (
        (number["year"] > 0) & (number["month"] > 0) & (number["month"] < 13) & (number["day"] > 0)
    )
    there &= days < (months + np.timedelta64(1, "M")).astype("datetime64[D]")
    number["weekday"] = (days.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
    mask = ~there | (number[part] < 0)
    found = pa.array(np.append(number[part], 0), mask=np.append(mask, True))
    wrong = np.append(~there & texts.is_valid().to_numpy(zero_copy_only=False), False)
    return found.take(pa.array(codes % len(found))), wrong[codes]


def _whole(digits: Any) -> Any:
    """(n,) of texts; -1 where there is none."""
    return (
        pc.if_else(pc.equal(digits, ""), None, digits)
        .cast(pa.int64())
        .fill_null(-1)
        .to_numpy(zero_copy_only=False)
    )


class _Times:
    def check(self, name: str, column: Any, missing: Collection[str], sieve: Sieve) -> None:
        """The sieve takes rows whose text is no time."""
        wrong = part_of(column, "weekday", missing)[1] & ~sieve.bad
        if wrong.any():
            sieve.refuse(wrong, "time", _unfit(name, column, wrong))


def _unfit(name: str, column: Any, wrong: Any) -> str:
    found = whole_column(column)[int(np.argmax(wrong))].as_py()
    return f"'{name}': expected a time such as {EXAMPLE}, found '{found}'"


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
        found, wrong = part_of(raw, self.part, self.missing)
        if wrong.any():  # of a side table
            raise UserError(_unfit(self.column, raw, wrong))
        return found


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
        """See `Kind.source_of`."""
        return TimeSource(column=self.source or name, missing=missing, part=self.part)

    @classmethod
    def draft(cls, column: Counted, labels: Any) -> Finding | None:
        """A time is no input itself; what comes again of it is proposed: its hour, or the weekday
        of dates.
        """
        if not column.is_time:
            return None
        why = "a date or point in time: later rows have times that train never saw"
        hours, unread = part_of(column.distinct, "hour")
        if unread.any():
            return Finding(None, why)
        part = "weekday" if hours.null_count == len(hours) else "hour"
        option = {"kind": "date-part", "from": column.name, "part": part}
        return Finding(
            option, f"{why}; its {part} may be an input", f"{column.name}_{part}", proposed=True
        )
