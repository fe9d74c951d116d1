"""A raw column, of whatever Arrow type, as categories or as numbers. Reading and serving go through
the same door.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BeforeValidator

from bench.core.errors import UserError
from bench.core.system.intrinsics import jit

WHOLE = r"(-?\p{Nd}+)\.0+"
"""1.0, 2.00: a whole number with a point, and the number; in the syntax of Arrow's expressions."""
_WHOLE = re.compile(WHOLE.replace(r"\p{Nd}", r"\d"))
_MINUS_ZERO = re.compile(r"-0\.0+")


NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
TEXTS = (pa.types.is_string, pa.types.is_large_string)


def is_any(kind: Any, types: Sequence[Callable[[Any], bool]]) -> bool:
    """Whether an Arrow type is one of some, such as `NUMBERS`."""
    return any(is_one(kind) for is_one in types)


DATES = (pa.types.is_date, pa.types.is_timestamp)
_UNITS = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}
_FIRST, _END = -62_135_596_800, 253_402_300_800


def undated(dates: Any) -> NDArray[np.bool_]:
    """(n,) which dates or timestamps of an Arrow array are of no year from 1 to 9999, the years
    that Python knows.
    """
    kind = dates.type
    days = pa.types.is_date32(kind)
    units = 1 / 86400 if days else _UNITS[getattr(kind, "unit", "ms")]
    numbers = dates.cast(pa.int32() if days else pa.int64()).cast(pa.float64(), safe=False)
    seconds = numbers.to_numpy(zero_copy_only=False) / units
    ahead = 86400 if getattr(kind, "tz", None) else 0  # the local date may be another one
    found: NDArray[np.bool_] = (seconds < _FIRST + ahead) | (seconds >= _END - ahead)
    return found


@dataclass(frozen=True)
class Text:
    """A column as categories."""

    codes: NDArray[np.int32]
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
    return (
        tuple(canonical(value) for value in values) if isinstance(values, (list, tuple)) else values
    )


Values = Annotated[tuple[str, ...], BeforeValidator(_canonical_all)]
"""Categories named on a card, in their canonical form."""


def distinct(column: Any) -> tuple[NDArray[np.int32], Any]:
    """An Arrow array (N,) as codes (N,), -1 where null, and the values they stand for, in order of
    first appearance.
    """
    array = whole_column(column)
    if pa.types.is_nested(array.type):  # equal lists are not looked for
        there = array.is_valid().to_numpy(zero_copy_only=False)
        return np.where(there, np.arange(len(array)), -1).astype(np.int32), array
    if not pa.types.is_dictionary(array.type):
        encoded = pc.dictionary_encode(array)
        return filled(encoded.indices, -1), encoded.dictionary
    raw = filled(array.indices, -1)
    codes, order = first_seen(raw, len(array.dictionary))
    return codes, array.dictionary.take(pa.array(order))


def filled(values: Any, null: int) -> NDArray[Any]:
    """An Arrow array of whole numbers (n,), with a number in place of null."""
    whole: NDArray[Any] = (values.fill_null(null) if values.null_count else values).to_numpy(
        zero_copy_only=False
    )
    return whole


def is_list(kind: Any) -> bool:
    """Whether an Arrow type is of lists, be they in a dictionary."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return is_any(kind, (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list))


def taken_apart(lists: Any) -> tuple[NDArray[np.int64], Any]:
    """An Arrow array (N,) of lists as (N + 1,) where the values of each begin, and all values; null
    has none.
    """
    lengths = filled(pc.list_value_length(lists), 0)
    return np.append(0, np.cumsum(lengths, dtype=np.int64)), lists.flatten()


@jit()
def first_seen(raw: Any, size: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Numbers below `size`, negative ones aside, numbered again as they appear (N,); and which
    number each was.
    """
    numbers, order, seen = np.full(size, -1, np.int32), np.empty(min(size, len(raw)), np.int64), 0
    codes = np.full(len(raw), -1, np.int32)
    for row in range(len(raw)):
        at = np.int64(raw[row])
        if at < 0:
            continue
        if numbers[at] < 0:
            numbers[at], order[seen] = seen, at
            seen += 1
        codes[row] = numbers[at]
    return codes, order[:seen]


def texts_of(values: Any, missing: Collection[str] = (), spelled: bool = False) -> Any:
    """An Arrow array (n,) of any type as one of texts: what `canonical` gives for each value, null
    for None.
    """
    kind = values.type
    if is_any(kind, TEXTS):
        return _canonical_texts(values, missing, spelled)
    whole = (
        _whole(values)
        if pa.types.is_floating(kind)
        else values
        if pa.types.is_integer(kind)
        else None
    )
    if whole is not None:  # as digits, which are canonical
        return (
            _canonical_texts(whole.cast(pa.string()), missing, spelled)
            if missing
            else whole.cast(pa.string())
        )
    return pa.array([canonical(value, missing, spelled) for value in plain(values)], pa.string())


def _canonical_texts(texts: Any, missing: Collection[str], spelled: bool) -> Any:
    texts = short = pc.utf8_trim_whitespace(texts)
    marks = pa.array(["", *missing], texts.type)
    if pc.any(pc.match_substring(texts, ".0")).as_py():
        texts = pc.replace_substring_regex(texts, r"^-(0\.0+)$", r"\1")
        short = pc.replace_substring_regex(texts, f"^{WHOLE}$", r"\1")
    absent = pc.or_(pc.is_in(texts, value_set=marks), pc.is_in(short, value_set=marks))
    return pc.if_else(absent, None, texts if spelled else short)


def _whole(values: Any) -> Any:
    """Floats as integers where all are whole and exactly so; None where not."""
    numbers = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    known = ~np.isnan(numbers)
    if (np.abs(numbers[known]) >= 2**53).any() or (
        np.floor(numbers[known]) != numbers[known]
    ).any():
        return None
    return pa.array(np.where(known, numbers, 0).astype(np.int64), mask=~known)


def plain(values: Any) -> list[Any]:
    """An Arrow array (N,) as Python's own values; a float of few bits is the shortest number that
    rounds to it: 0.1.
    """
    found: list[Any] = values.to_pylist()
    if pa.types.is_float16(values.type) or pa.types.is_float32(values.type):
        few = np.float16 if pa.types.is_float16(values.type) else np.float32
        return [
            None if number is None or number != number else float(str(few(number)))
            for number in found
        ]
    return found


def as_text(column: Any, missing: Collection[str] = ()) -> Text:
    """An Arrow array (N,) of any type as categories."""
    codes, texts = coded(column, missing)
    return Text(codes, tuple(texts.to_pylist()))


def coded(column: Any, missing: Collection[str] = ()) -> tuple[NDArray[np.int32], Any]:
    """As `as_text`: codes (N,), -1 where missing, and the texts that they stand for as an Arrow
    array.
    """
    codes, values = distinct(column)
    texts = texts_of(values, missing).dictionary_encode()
    return np.append(filled(texts.indices, -1), np.int32(-1))[codes], texts.dictionary


def as_numbers(
    column: Any, missing: Collection[str] = (), name: str = "column", infinite: bool = False
) -> NDArray[np.float64]:
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
        numbers = np.array(
            array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64
        )
    elif is_any(kind, (pa.types.is_dictionary, *TEXTS)):
        codes, values = distinct(array)
        parsed, wrong = numbers_of(texts := texts_of(values, missing))
        if wrong:
            raise UserError(f"'{name}': expected a number, found '{texts[wrong[0]]}'")
        numbers = np.append(parsed, np.nan)[codes]
    else:
        raise UserError(f"'{name}': expected numbers, found a column of type {kind}")
    if marked := [number for marker in missing if (number := _parsed(marker)) is not None]:
        numbers[np.isin(numbers, marked)] = np.nan
    if not infinite:
        numbers[~np.isfinite(numbers)] = np.nan
    return numbers


def numbers_of(texts: Any) -> tuple[NDArray[np.float64], list[int]]:
    """An Arrow array of texts (n,) as numbers, NaN where missing or none; and which are none."""
    try:
        return texts.cast(pa.float64()).fill_null(np.nan).to_numpy(), []
    except pa.ArrowInvalid:  # which of them is no number must be asked one by one
        spelled = texts.to_pylist()
    parsed = [None if text is None else _parsed(text) for text in spelled]
    wrong = [at for at, text in enumerate(spelled) if text is not None and parsed[at] is None]
    return np.array([np.nan if number is None else number for number in parsed], np.float64), wrong


def _parsed(text: str) -> float | None:
    try:
        return (
            None if "_" in text else float(text)
        )  # Python takes 1_000 for a number, Arrow does not
    except ValueError:
        return None


def whole_column(column: Any) -> Any:
    """An Arrow column as one array, of a type that Arrow can work with."""
    if pa.types.is_float16(column.type):  # of which Arrow can do little
        return pa.array(plain(column), pa.float64())
    if isinstance(column, pa.ChunkedArray):
        if pa.types.is_dictionary(column.type):
            column = column.unify_dictionaries()
        return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return column
