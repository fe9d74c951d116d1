"""A raw column, of whatever Arrow type, as categories, numbers or times. Reading and serving go
through the same door.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BeforeValidator

from bench.core.arrays import Floats, Ids, Ints, Mask
from bench.core.errors import UserError
from bench.core.system.intrinsics import jit

WHOLE = r"(-?\p{Nd}+)\.0+"
"""1.0, 2.00: a whole number with a point, and the number; in the syntax of Arrow's expressions."""
_WHOLE = re.compile(WHOLE.replace(r"\p{Nd}", r"\d"))
_MINUS_ZERO = re.compile(r"-0\.0+")


NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
TEXTS = (pa.types.is_string, pa.types.is_large_string)
DATES = (pa.types.is_date, pa.types.is_timestamp)
_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)


def is_any(kind: pa.DataType, types: Sequence[Callable[[Any], bool]]) -> bool:
    """Whether an Arrow type is one of some, such as `NUMBERS`."""
    return any(is_one(kind) for is_one in types)


def is_list(kind: pa.DataType) -> bool:
    """Whether an Arrow type is of lists, be they in a dictionary."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return is_any(kind, _LISTS)


@dataclass(frozen=True)
class Text:
    """A column as categories."""

    codes: Ids
    """(N,), index into `values`; -1 where missing."""
    values: tuple[str, ...]
    """Those that occur, in their canonical form, each once."""


def canonical(value: Any, missing: Collection[str] = (), spelled: bool = False) -> str | None:
    """The one spelling of a category, or None where it is missing.

    Outer blanks go; 1, 1.0, "1" and "1.0" are one category (a join or a table library may have
    turned whole numbers into floats), -0.0 is 0; True is 1; the empty string, NaN and the markers
    in `missing`, as numbers too, are missing.

    Args:
        spelled: whether texts stand for themselves: "1" and "1.0" are two categories, and the
            number 1.0 is the first.
    """
    if value is None:
        return None
    if isinstance(value, bool):
        value = int(value)
    if isinstance(value, float):
        if math.isnan(value):
            return None
        value = int(value) if value.is_integer() else value
    text = str(value).strip()
    if _MINUS_ZERO.fullmatch(text):
        text = text[1:]
    whole = _WHOLE.fullmatch(text)
    short = whole[1] if whole else text
    if not text or text in missing or short in missing:
        return None
    return text if spelled and isinstance(value, str) else short


def _canonical_all(values: object) -> object:
    if isinstance(values, (list, tuple)):
        return tuple(canonical(value) for value in values)
    return values


Values = Annotated[tuple[str, ...], BeforeValidator(_canonical_all)]
"""Categories named on a card, in their canonical form."""


def distinct(column: pa.Array) -> tuple[Ids, pa.Array]:
    """An Arrow array (N,) as codes (N,), -1 where null, and the values they stand for, in order of
    first appearance.
    """
    array = whole_column(column)
    if pa.types.is_nested(array.type):  # equal lists are not looked for
        valid = array.is_valid().to_numpy(zero_copy_only=False)
        return np.where(valid, np.arange(len(array)), -1).astype(np.int32), array
    if not pa.types.is_dictionary(array.type):
        encoded = pc.dictionary_encode(array)
        return filled(encoded.indices, -1), encoded.dictionary
    indices = filled(array.indices, -1)
    codes, index_of_code = first_seen(indices, len(array.dictionary))
    return codes, array.dictionary.take(pa.array(index_of_code))


def filled(values: pa.Array, null: int) -> NDArray[Any]:
    """An Arrow array of whole numbers (n,), with a number in place of null."""
    if values.null_count:
        values = values.fill_null(null)
    numbers: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return numbers


def taken_apart(lists: pa.Array) -> tuple[Ints, pa.Array]:
    """An Arrow array (N,) of lists as (N + 1,) where the values of each begin, and all values; null
    has none.
    """
    lengths = filled(pc.list_value_length(lists), 0)
    return np.append(0, np.cumsum(lengths, dtype=np.int64)), lists.flatten()


@jit()
def first_seen(raw: NDArray[Any], size: int) -> tuple[Ids, Ints]:
    """Numbers below `size`, negative ones aside, numbered again as they appear (N,); and which
    number each was.
    """
    codes = np.full(len(raw), -1, np.int32)
    code_of_number = np.full(size, -1, np.int32)
    number_of_code = np.empty(min(size, len(raw)), np.int64)
    count = 0
    for row in range(len(raw)):
        number = np.int64(raw[row])
        if number < 0:
            continue
        if code_of_number[number] < 0:
            code_of_number[number] = count
            number_of_code[count] = number
            count += 1
        codes[row] = code_of_number[number]
    return codes, number_of_code[:count]


def texts_of(values: pa.Array, missing: Collection[str] = (), spelled: bool = False) -> pa.Array:
    """An Arrow array (n,) of any type as one of texts: what `canonical` gives for each value, null
    for None.
    """
    kind = values.type
    if is_any(kind, TEXTS):
        return _canonical_texts(values, missing, spelled)
    whole = None
    if pa.types.is_floating(kind):
        whole = _exact_integers(values)
    elif pa.types.is_integer(kind):
        whole = values
    if whole is None:
        texts = [canonical(value, missing, spelled) for value in plain(values)]
        return pa.array(texts, pa.string())
    digits = whole.cast(pa.string())  # canonical already
    return _canonical_texts(digits, missing, spelled) if missing else digits


def _canonical_texts(texts: pa.Array, missing: Collection[str], spelled: bool) -> pa.Array:
    texts = short = pc.utf8_trim_whitespace(texts)
    marks = pa.array(["", *missing], texts.type)
    if pc.any(pc.match_substring(texts, ".0")).as_py():
        texts = pc.replace_substring_regex(texts, r"^-(0\.0+)$", r"\1")
        short = pc.replace_substring_regex(texts, f"^{WHOLE}$", r"\1")
    absent = pc.or_(pc.is_in(texts, value_set=marks), pc.is_in(short, value_set=marks))
    return pc.if_else(absent, None, texts if spelled else short)


def _exact_integers(values: pa.Array) -> pa.Array | None:
    """Floats as integers where all are whole and exactly so; None where not."""
    numbers = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    is_nan = np.isnan(numbers)
    numbers = np.where(is_nan, 0, numbers)
    if (np.abs(numbers) >= 2**53).any() or (np.floor(numbers) != numbers).any():
        return None
    return pa.array(numbers.astype(np.int64), mask=is_nan)


def plain(values: pa.Array) -> list[Any]:
    """An Arrow array (N,) as Python's own values; a float of few bits is the shortest number that
    rounds to it: 0.1.
    """
    plain_values: list[Any] = values.to_pylist()
    if pa.types.is_float16(values.type):
        return [_shortest(number, np.float16) for number in plain_values]
    if pa.types.is_float32(values.type):
        return [_shortest(number, np.float32) for number in plain_values]
    return plain_values


def _shortest(number: float | None, precision: type[np.floating[Any]]) -> float | None:
    if number is None or math.isnan(number):
        return None
    return float(str(precision(number)))


def as_text(column: pa.Array, missing: Collection[str] = ()) -> Text:
    """An Arrow array (N,) of any type as categories."""
    codes, texts = coded(column, missing)
    return Text(codes, tuple(texts.to_pylist()))


def coded(column: pa.Array, missing: Collection[str] = ()) -> tuple[Ids, pa.Array]:
    """As `as_text`: codes (N,), -1 where missing, and the texts that they stand for as an Arrow
    array.
    """
    codes, values = distinct(column)
    texts = texts_of(values, missing).dictionary_encode()
    return np.append(filled(texts.indices, -1), np.int32(-1))[codes], texts.dictionary


def as_numbers(
    column: pa.Array, missing: Collection[str] = (), name: str = "column", infinite: bool = False
) -> Floats:
    """An Arrow array (N,) as numbers; NaN where missing or not a number.

    Raises UserError for a text that is not a number, or a type that holds none.

    Args:
        missing: markers; a number that one of them spells is missing, too.
        infinite: whether infinite numbers stay; else they are missing.
    """
    array = whole_column(column)
    kind = array.type
    if is_any(kind, NUMBERS):
        if pa.types.is_float32(kind):
            array = array.cast(pa.string())  # as `plain`
        floats = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        numbers = np.array(floats, np.float64)
    elif is_any(kind, (pa.types.is_dictionary, *TEXTS)):
        codes, values = distinct(array)
        texts = texts_of(values, missing)
        parsed, wrong = numbers_of(texts)
        if wrong:
            raise UserError(f"'{name}': expected a number, found '{texts[wrong[0]]}'")
        numbers = np.append(parsed, np.nan)[codes]
    else:
        raise UserError(f"'{name}': expected numbers, found a column of type {kind}")

    markers = [number for number in map(_parsed, missing) if number is not None]
    if markers:
        numbers[np.isin(numbers, markers)] = np.nan
    if not infinite:
        numbers[~np.isfinite(numbers)] = np.nan
    return numbers


def numbers_of(texts: pa.Array) -> tuple[Floats, list[int]]:
    """An Arrow array of texts (n,) as numbers, NaN where missing or none; and which are none."""
    try:
        return texts.cast(pa.float64()).fill_null(np.nan).to_numpy(), []
    except pa.ArrowInvalid:  # which of them is no number must be asked one by one
        spelled = texts.to_pylist()
    numbers, wrong = np.full(len(spelled), np.nan), []
    for index, text in enumerate(spelled):
        number = None if text is None else _parsed(text)
        if number is not None:
            numbers[index] = number
        elif text is not None:
            wrong.append(index)
    return numbers, wrong


def _parsed(text: str) -> float | None:
    if "_" in text:  # Python takes 1_000 for a number, Arrow does not
        return None
    try:
        return float(text)
    except ValueError:
        return None


def whole_column(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """An Arrow column as one array, of a type that Arrow can work with."""
    if pa.types.is_float16(column.type):  # of which Arrow can do little
        return pa.array(plain(column), pa.float64())
    if isinstance(column, pa.ChunkedArray):
        if pa.types.is_dictionary(column.type):
            column = column.unify_dictionaries()
        return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return column


_UNITS = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}
_SECONDS_A_DAY = 86_400
_FIRST, _END = -62_135_596_800, 253_402_300_800
"""Seconds of the first moment of year 1, and of year 10,000."""


def undated(dates: pa.Array) -> Mask:
    """(n,) which dates or timestamps of an Arrow array are of no year from 1 to 9999, the years
    that Python knows.
    """
    kind = dates.type
    if pa.types.is_date32(kind):
        units_a_second, integers = 1 / _SECONDS_A_DAY, pa.int32()
    else:
        units_a_second, integers = _UNITS[getattr(kind, "unit", "ms")], pa.int64()
    numbers = dates.cast(integers).cast(pa.float64(), safe=False)
    seconds = numbers.to_numpy(zero_copy_only=False) / units_a_second
    # With a zone, the local date may be another one.
    margin = _SECONDS_A_DAY if getattr(kind, "tz", None) else 0
    beyond: Mask = (seconds < _FIRST + margin) | (seconds >= _END - margin)
    return beyond


_SPAN = re.compile(r"0*[1-9]\d*[hdw]", re.ASCII)
_HOURS = {"h": 1, "d": 24, "w": 168}
_1970 = datetime.fromtimestamp(0, UTC)


def is_span(text: str) -> bool:
    """Whether a text is a span such as `1d`, `2w` or `12h`."""
    return _SPAN.fullmatch(text) is not None


def hours_of(span: str) -> float:
    """Hours of a span; raises UserError for another text."""
    if not is_span(span):
        raise UserError(f"expected a span of time such as 1d, 2w or 12h, found '{span}'")
    return float(int(span[:-1]) * _HOURS[span[-1]])


def hours(time: float | str) -> float:
    """Hours since 1970 of a time as cards have them: seconds, milliseconds, yyyymmdd or ISO dates.

    Raises UserError for any other.
    """
    try:
        return _moment(time).timestamp() / 3600
    except (ValueError, OverflowError):
        raise UserError(
            "expected times in seconds, milliseconds, yyyymmdd or as ISO dates, found "
            f"{str(time)[:100]!r}"
        ) from None


def _moment(time: float | str) -> datetime:
    try:
        number = float(time)
    except ValueError:
        number = math.nan
    if 19_000_101 <= number <= 22_001_231:
        return datetime.strptime(f"{number:.0f}", "%Y%m%d").replace(tzinfo=UTC)
    if 1e8 <= number < 1e14:
        seconds = number if number < 1e11 else number / 1000
        return _1970 + timedelta(seconds=seconds)
    moment = datetime.fromisoformat(str(time).replace("/", "-"))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def month_of(time: float | str) -> int:
    """The month of a time, counted from the year 0; errors as of `hours`."""
    moment = _1970 + timedelta(hours=hours(time))
    return 12 * moment.year + moment.month


def hours_in(column: pa.Array, missing: Collection[str]) -> Floats:
    """(n,) hours since 1970 of a raw Arrow column of times, NaN where missing; errors as of
    `hours`.
    """
    text = as_text(column, missing)
    return np.array([*map(hours, text.values), math.nan])[text.codes]
