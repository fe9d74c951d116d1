"""What a part's columns must hold before anything is made of them: UTF-8 in texts, numbers where numbers are wanted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench.data.rejects import Sieve
from bench.data.spans import spans_of
from bench.data.values import as_text, distinct, is_list, taken_apart
from bench.errors import UserError

_NUMBERS = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_boolean,
    pa.types.is_null,
    pa.types.is_string,
    pa.types.is_large_string,
)
_EXPECTED = {
    "number": "numbers",
    "text": "texts or numbers",
    "list": "texts, numbers or lists of these",
    "vector": "lists of numbers",
}
_DIGITS = str.maketrans(dict.fromkeys("123456789", "0"))


def checked(
    table: Any,
    wanted: Mapping[str, str],
    missing: Collection[str],
    sieve: Sieve,
    vectors: Mapping[str, int] = MappingProxyType({}),
) -> Any:
    """The table with numbers in columns that are wanted as such; the sieve takes the rows that do not fit.

    Args:
        wanted: raw column -> `text`, `number`, `vector` or `list`, which is several texts or one.
        vectors: raw column -> how many numbers its vectors have.

    Raises:
        UserError: a column of a type that does not hold what is wanted.
    """
    columns = dict(zip(table.column_names, table.columns, strict=True))
    for name, column in columns.items():
        kind = column.type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if name in wanted and not _holds(kind, wanted[name]):
            raise UserError(
                f"{sieve.place(0)}: '{name}': expected {_EXPECTED[wanted[name]]}, found a column of type {kind}"
            )
        if wanted.get(name) == "vector":
            _check_lengths(name, column, vectors[name], sieve)
        elif name in wanted and is_list(kind):
            _check_lists(name, column, sieve)
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            continue
        codes, values = distinct(column)
        if (broken := _not_utf8(values)).any():
            sieve.refuse(np.append(broken, False)[codes], "bytes", f"'{name}': expected UTF-8 text")
            values = pa.array([None if bad else value.as_py() for bad, value in zip(broken, values, strict=True)])
            columns[name] = pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), values.cast(pa.string()))
        if wanted.get(name) == "number":
            columns[name] = pa.array(_numbers(name, codes, values, missing, sieve), from_pandas=True)
    return pa.table(columns)


def check_times(
    column: Any, name: str, ends: Sequence[int | float | str], missing: Collection[str], sieve: Sieve
) -> None:
    """The sieve takes rows whose time, a text, is spelled in another way than the times that the split compares with.

    It would compare as a text all the same, and land in one of the splits.
    """
    shapes = {str(end).translate(_DIGITS) for end in ends}
    text = as_text(column, missing)
    fits: dict[str, bool] = {}
    for code, value in enumerate(text.values):
        own = value.translate(_DIGITS)
        if own not in fits:
            fits[own] = any(own.startswith(shape) or shape.startswith(own) for shape in shapes)
        if not fits[own]:
            sieve.refuse(text.codes == code, "time", f"'{name}': expected a time such as '{ends[0]}', found '{value}'")


def _holds(kind: Any, wanted: str) -> bool:
    if wanted == "vector":
        return pa.types.is_null(kind) or (is_list(kind) and any(is_one(kind.value_type) for is_one in _NUMBERS[:4]))
    if wanted == "list" and is_list(kind):
        kind = kind.value_type
    return any(is_one(kind) for is_one in _NUMBERS) if wanted == "number" else not pa.types.is_nested(kind)


def _check_lengths(name: str, column: Any, length: int, sieve: Sieve) -> None:
    """The sieve takes rows whose vector has another length."""
    if pa.types.is_null(column.type):
        return
    rows, lists = distinct(column)
    sizes = np.append(np.diff(taken_apart(lists)[0]), length)[rows]
    if (wrong := (sizes != length) & ~sieve.bad).any():
        found = f"expected a vector of {length:,} numbers, found {sizes[np.argmax(wrong)]:,}"
        sieve.refuse(wrong, "length", f"'{name}': {found}")


def _check_lists(name: str, column: Any, sieve: Sieve) -> None:
    """The sieve takes rows whose list holds a text that is not UTF-8."""
    rows, lists = distinct(column)
    first, values = taken_apart(lists)
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return
    if (broken := _not_utf8(values)).any():
        of_list = np.append(np.diff(np.append(0, np.cumsum(broken))[first]) > 0, False)
        sieve.refuse(of_list[rows], "bytes", f"'{name}': expected UTF-8 text")


def _not_utf8(values: Any) -> NDArray[np.bool_]:
    """(n,) which texts are not."""
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        return np.array([_broken(value) for value in values.cast(pa.binary()).to_pylist()])
    return np.zeros(len(values), np.bool_)


def _broken(value: bytes | None) -> bool:
    try:
        (value or b"").decode()
    except UnicodeDecodeError:
        return True
    return False


def _numbers(
    name: str, codes: NDArray[np.int32], values: Any, missing: Collection[str], sieve: Sieve
) -> NDArray[np.float64]:
    """(n,), NaN where missing or bad."""
    spans = spans_of(values, missing)
    parsed = np.full(len(values) + 1, np.nan)  # the last serves code -1
    there = spans.starts >= 0
    try:
        trimmed = pc.utf8_trim_whitespace(values.filter(pa.array(there)))
        parsed[:-1][there] = trimmed.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:  # which of them is no number must be asked one by one
        for at in np.flatnonzero(there).tolist():
            if (number := _number(spans.text(at))) is not None:
                parsed[at] = number
            else:
                sieve.refuse(codes == at, "number", f"'{name}': expected a number, found '{spans.text(at)}'")
    return parsed[codes]


def _number(text: str) -> float | None:
    try:
        return None if "_" in text else float(text)  # Python takes 1_000 for a number, Arrow does not
    except ValueError:
        return None
