"""Distinct values as codes 0, 1, 2, .. in the order they are first seen, and rows that were there
before: growing hash tables in compiled code.

What is held of each distinct text: its bytes, 8 bytes for its end, and 16 to 32 bytes for its hash
and its place; of each distinct row, 16 to 32 bytes. Of n texts or rows two share a hash of 64 bits
by chance, and so a code, with odds of n^2 / 2^65: one in 370,000 for 10^7 texts, one in 3,700 for
10^8 rows, of which one is then lost.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench.core.arrays import Ints, Mask
from bench.core.errors import UserError
from bench.core.system.intrinsics import jit
from bench.data.values import WHOLE, distinct, filled, is_list, taken_apart, texts_of, whole_column

Hashes = NDArray[np.uint64]


def stretches(array: pa.Array) -> tuple[NDArray[np.uint8], Ints]:
    """The bytes of an Arrow array of texts (n,), not copied, and (n + 1,) where each begins in
    them, and the end.
    """
    no_bytes = np.empty(0, np.uint8)
    if len(array) == 0:
        return no_bytes, np.zeros(1, np.int64)
    kind = np.dtype(np.int64 if pa.types.is_large_string(array.type) else np.int32)
    _, offsets, data = array.buffers()
    starts = np.frombuffer(offsets, kind, len(array) + 1, array.offset * kind.itemsize)
    all_bytes = np.frombuffer(data, np.uint8) if data is not None and data.size else no_bytes
    return all_bytes, starts.astype(np.int64)


BASIS = np.uint64(14695981039346656037)
"""Where FNV-1a starts."""
PRIME = np.uint64(1099511628211)
"""What FNV-1a multiplies by."""


@jit()
def hash_of(data: Any, start: Any, end: Any) -> Any:
    """FNV-1a, then the finaliser of MurmurHash3, so that every bit depends on every byte."""
    key = BASIS
    for position in range(start, end):
        key = (key ^ np.uint64(data[position])) * PRIME
    return mixed(key)


@jit()
def mixed(key: Any) -> Any:
    """A bijection of 64 bits in which every bit of the result depends on every bit of the key."""
    key ^= key >> np.uint64(33)
    key *= np.uint64(0xFF51AFD7ED558CCD)
    key ^= key >> np.uint64(33)
    key *= np.uint64(0xC4CEB9FE1A85EC53)
    return key ^ (key >> np.uint64(33))


def hashes_of(texts: pa.Array) -> Hashes:
    """(n,) `hash_of` each of an Arrow array of texts or bytes; of a missing one anything."""
    hashes = np.empty(len(texts), np.uint64)
    _hash_all(*stretches(texts), hashes)
    return hashes


@jit()
def _hash_all(data: Any, starts: Any, hashes: Any) -> None:
    for index in range(len(hashes)):
        hashes[index] = hash_of(data, starts[index], starts[index + 1])


ABSENT, UNKNOWN = -1, -2
NULL = -(2**63)
"""The number that stands for none."""
Codes = NDArray[np.int32]


class IntegerCodes:
    """The distinct numbers seen so far: 16 to 32 bytes are held of each."""

    def __init__(self) -> None:
        self._table = np.full(1024, -1, np.int32)
        self._values = np.empty(512, np.int64)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def values(self) -> NDArray[np.int64]:
        """(V,) number of each code."""
        return self._values[: self._size]

    def code(self, numbers: Ints, grow: bool = True) -> Codes:
        """Codes of numbers (n,): `NULL` is ABSENT; new ones get a code, or are UNKNOWN unless
        `grow`.
        """
        codes, row = np.empty(len(numbers), np.int32), 0
        while True:
            row, self._size = _code_numbers(
                numbers, codes, row, self._table, self._values, self._size, grow
            )
            if row == len(codes):
                return codes
            self._table = np.full(2 * len(self._table), -1, np.int32)
            self._values.resize(len(self._table) // 2, refcheck=False)  # in place where it can be
            _place_numbers(self.values, self._table)


@jit()
def _place_of(key: Any, table: Any, values: Any) -> Any:
    """Where the code of a key is in the table, or the free place it would take."""
    # Bits of doubles may differ in the upper half alone.
    scattered = np.uint64(key) ^ (np.uint64(key) >> np.uint64(32))
    scattered *= np.uint64(0x9E3779B97F4A7C15)
    mask = len(table) - 1
    place = np.int64((scattered ^ (scattered >> np.uint64(32))) & np.uint64(mask))
    while table[place] >= 0 and values[table[place]] != key:
        place = (place + 1) & mask
    return place


@jit()
def _code_numbers(
    numbers: Any, codes: Any, row: int, table: Any, values: Any, size: int, grow: bool
) -> tuple[int, int]:
    """Rows done and codes in use; stops before a row that would fill the table beyond one half."""
    while row < len(numbers):
        key = numbers[row]
        if key == NULL:
            codes[row] = ABSENT
        else:
            place = _place_of(key, table, values)
            if table[place] >= 0:
                codes[row] = table[place]
            elif not grow:
                codes[row] = UNKNOWN
            elif 2 * (size + 1) > len(table):
                return row, size
            else:
                table[place] = size
                values[size] = key
                codes[row] = size
                size += 1
        row += 1
    return row, size


@jit()
def _place_numbers(values: Any, table: Any) -> None:
    for code in range(len(values)):
        table[_place_of(values[code], table, values)] = code


@jit()
def count_codes(codes: Any, train: Any, counts: Any) -> None:
    """Adds train's rows (n,) to the counts of their codes (n, L), negative ones aside."""
    for row in range(len(codes)):
        if train[row]:
            for slot in range(codes.shape[1]):
                if codes[row, slot] >= 0:
                    counts[codes[row, slot]] += 1


@jit()
def look_up(codes: Any, first: Any, table: Any, rows: Any) -> None:
    """Puts what codes (n, C) stand for into `rows` (n, C or more).

    Code 0 of each column is at `first` (C,) in the table; ABSENT and UNKNOWN are before it.
    """
    for row in range(len(codes)):
        for column in range(codes.shape[1]):
            rows[row, column] = table[first[column] + codes[row, column]]


class TextCodes:
    """The distinct texts seen so far, found by their hashes."""

    def __init__(self) -> None:
        self._keys = IntegerCodes()  # hashes
        self._ends, self._data = np.zeros(1, np.int64), np.empty(0, np.uint8)

    def __len__(self) -> int:
        return len(self._keys)

    def code(self, texts: pa.Array, grow: bool = True) -> Codes:
        """Codes of an Arrow array of texts (n,): null is ABSENT; new ones get a code, or are
        UNKNOWN unless `grow`.
        """
        keys = _not_null(hashes_of(texts))
        keys[_is_null(texts)] = NULL
        size_before = len(self)
        codes = self._keys.code(keys, grow)
        if len(self) > size_before:
            new_rows = np.flatnonzero(fresh(codes, size_before))
            self._append(texts.take(pa.array(new_rows)), size_before)
        return codes

    def _append(self, texts: pa.Array, size_before: int) -> None:
        data, ends = stretches(texts)
        bytes_before = self._ends[size_before]
        self._ends.resize(len(self) + 1, refcheck=False)  # in place where it can be
        self._ends[size_before:] = bytes_before + ends
        self._data.resize(self._ends[-1], refcheck=False)
        self._data[bytes_before:] = data[: ends[-1]]

    def texts(self, codes: Sequence[int]) -> list[str]:
        """What they stand for."""
        return [self._text(code) for code in codes]

    def _text(self, code: int) -> str:
        start, end = self._ends[code], self._ends[code + 1]
        return self._data[start:end].tobytes().decode()

    def code_column(
        self, column: pa.Array, missing: Collection[str], grow: bool = True, spelled: bool = False
    ) -> Codes:
        """Codes of the texts of an Arrow column of any type (n,), in the form of `texts_of`."""
        rows, values = distinct(column)
        return _of_rows(self.code(texts_of(values, missing, spelled), grow), rows)

    @property
    def array(self) -> pa.Array:
        """All of them by code, as an Arrow array over the same memory; until the next ones come."""
        buffers = [None, pa.py_buffer(self._ends.copy()), pa.py_buffer(self._data)]
        return pa.Array.from_buffers(pa.large_string(), len(self), buffers)


def _not_null(hashes: Hashes) -> Ints:
    """As keys of `IntegerCodes`, none of which is `NULL`."""
    return np.maximum(hashes.view(np.int64), NULL + 1)


def _is_null(values: pa.Array) -> Mask:
    mask: Mask = values.is_null().to_numpy(zero_copy_only=False)
    return mask


def _of_rows(codes: Codes, rows: Codes) -> Codes:
    """The codes of distinct values by row; row -1 is null, which is ABSENT."""
    return np.append(codes, np.int32(ABSENT))[rows]


class ColumnCodes:
    """The values seen so far, as they are spelled; a whole number is its digits."""

    def __init__(self) -> None:
        self._numbers, self._texts = IntegerCodes(), TextCodes()

    def __len__(self) -> int:
        return len(self._numbers) + len(self._texts)

    @property
    def whole(self) -> bool:
        """Whether all values so far are whole numbers."""
        return len(self._texts) == 0

    def code_numbers(self, numbers: Ints, grow: bool = True) -> Codes:
        """Codes of whole numbers (n,), where no text came yet; see `IntegerCodes.code`."""
        assert self.whole
        return self._numbers.code(numbers, grow)

    def code_column(self, column: pa.Array, missing: Collection[str], grow: bool = True) -> Codes:
        """Codes of the values of an Arrow column of any type (n,)."""
        column = whole_column(column)
        codes = self._code_whole(column, missing, grow)
        if codes is not None:
            return codes
        rows, values = distinct(column)
        codes = self._code_whole(values, missing, grow)
        if codes is None:
            codes = self.code(texts_of(values, missing, spelled=True), grow)
        return _of_rows(codes, rows)

    def _code_whole(self, values: pa.Array, missing: Collection[str], grow: bool) -> Codes | None:
        """Codes of whole numbers; None where these or earlier values are others."""
        numbers = whole_numbers(values, missing) if self.whole else None
        return None if numbers is None else self.code_numbers(numbers, grow)

    def code(self, texts: pa.Array, grow: bool = True) -> Codes:
        """Codes of texts (n,); see `TextCodes.code`."""
        if len(self._numbers):
            digits = pa.array(self._numbers.values).cast(pa.string())
            self._texts.code(digits)  # codes stay what they are
            self._numbers = IntegerCodes()
        return self._texts.code(texts, grow)

    def texts(self, codes: Sequence[int]) -> list[str]:
        """What they stand for."""
        if not self.whole:
            return self._texts.texts(codes)
        return list(map(str, self._numbers.values[codes].tolist()))

    def two_spellings(self) -> tuple[str, str] | None:
        """Texts that are one number in two spellings, as 1 and 1.0 are; None where there are
        none.
        """
        texts = self._texts.array
        with_point = texts.filter(pc.match_substring_regex(texts, f"^{WHOLE}$"))
        digits = texts_of(with_point)
        code_of_digits = self._texts.code(digits, grow=False)
        spelled_without = np.flatnonzero(code_of_digits >= 0)
        if spelled_without.size:
            first = int(spelled_without[0])
            return texts[int(code_of_digits[first])].as_py(), with_point[first].as_py()

        numbers = TextCodes()
        codes = numbers.code(digits)
        if len(numbers) < len(with_point):
            twice = np.argmax(np.bincount(codes) > 1)
            first, second = np.flatnonzero(codes == twice)[:2].tolist()
            return with_point[first].as_py(), with_point[second].as_py()
        return None


def fresh(codes: Codes, size_before: int) -> Mask:
    """(n,) which codes came for the first time, where `size_before` codes were in use before."""
    return np.diff(np.maximum.accumulate(np.append(size_before - 1, codes))) > 0


def whole_numbers(values: pa.Array, missing: Collection[str] = ()) -> Ints | None:
    """An Arrow array (n,) of whole numbers, `NULL` where missing; None where it holds others or is
    of another type.
    """
    if not pa.types.is_integer(values.type):
        return None
    if values.type != pa.int64():
        try:
            values = values.cast(pa.int64())
        except pa.ArrowInvalid:  # beyond 2^63
            return None
    numbers: Ints = filled(values, NULL)
    if np.count_nonzero(numbers == NULL) > values.null_count:
        return None
    markers = [int(marker) for marker in missing if _is_canonical_integer(marker)]
    return np.where(np.isin(numbers, markers), NULL, numbers) if markers else numbers


def _is_canonical_integer(text: str) -> bool:
    return text.lstrip("-").isdecimal() and str(int(text)) == text


class RowSet:
    """The rows seen so far."""

    def __init__(self) -> None:
        self._fingerprints = IntegerCodes()

    def new(self, table: pa.Table) -> Mask:
        """(n,) whether no equal row of an Arrow table came before, here or in an earlier call.

        Rows are equal when each column of one holds what the other's does, as it stands in the
        file; a column that one of them lacks counts as null.
        """
        size_before = len(self._fingerprints)
        codes = self._fingerprints.code(_not_null(fingerprints(table)))
        return fresh(codes, size_before)


def fingerprints(table: pa.Table) -> Hashes:
    """(n,), independent of the order of columns; raises UserError for a column of records."""
    prints = np.zeros(table.num_rows, np.uint64)
    for name in table.column_names:
        kind = table[name].type
        if pa.types.is_nested(kind) and not _is_flat_list(kind):
            raise UserError(
                f"'{name}': expected texts, numbers or lists of these to compare rows by, found a "
                f"column of type {kind}"
            )
        codes, values = distinct(table[name])
        spelled = np.frombuffer(name.encode(), np.uint8)
        salt = np.uint64(hash_of(spelled, 0, len(spelled)))
        # Null adds nothing, and neither does a column that is not there; the last serves code -1.
        prints += np.append(_value_hashes(values, salt), np.uint64(0))[codes]
    return prints


def _is_flat_list(kind: pa.DataType) -> bool:
    return is_list(kind) and not pa.types.is_nested(kind.value_type)


def _value_hashes(values: pa.Array, salt: np.uint64) -> Hashes:
    """(n,) of distinct values, 0 for null."""
    if is_list(values.type):
        return _list_hashes(values, salt)
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        hashes = _number_hashes(values, salt)
    else:
        hashes = mixed(hashes_of(values.cast(pa.large_string())) ^ salt)
    hashes[_is_null(values)] = 0
    return hashes


def _number_hashes(values: pa.Array, salt: np.uint64) -> Hashes:
    """As floats, and as integers where a float would not hold them."""
    floats = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False) + 0.0  # no -0.0
    float_bits = np.where(np.isnan(floats), np.nan, floats).view(np.uint64)
    beyond_floats = np.zeros(len(values), np.uint64)
    if not pa.types.is_floating(values.type):
        integers = filled(values, 0).astype(np.int64)
        beyond_floats = np.where(np.abs(integers) > 2**53, integers, 0).view(np.uint64)
    hashes: Hashes = mixed(mixed(float_bits ^ salt) + beyond_floats)
    return hashes


def _list_hashes(lists: pa.Array, salt: np.uint64) -> Hashes:
    starts, values = taken_apart(lists)
    codes, distinct_values = distinct(values)
    value_hashes = np.append(_value_hashes(distinct_values, salt), np.uint64(0))
    list_hashes = np.zeros(len(lists), np.uint64)
    _hash_lists(value_hashes, codes, starts, _is_null(lists), salt, list_hashes)
    return list_hashes


@jit()
def _hash_lists(
    value_hashes: Any, codes: Any, starts: Any, null: Any, salt: Any, list_hashes: Any
) -> None:
    for row in range(len(list_hashes)):
        if not null[row]:
            key = mixed(salt + np.uint64(starts[row + 1] - starts[row]))
            for place in range(starts[row], starts[row + 1]):
                key = mixed(key ^ value_hashes[codes[place]]) + salt
            list_hashes[row] = mixed(key)
