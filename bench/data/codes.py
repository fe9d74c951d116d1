"""Distinct values as codes 0, 1, 2, .. in the order they are first seen: growing hash tables in
compiled code.

What is held of each distinct text: its bytes, 8 bytes for its end, and 16 to 32 bytes for its hash
and its place. Of n texts two share a hash of 64 bits by chance, and so a code, with odds of n^2 /
2^65: one in 370,000 for 10^7 texts.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench.core.system.intrinsics import jit
from bench.data.values import WHOLE, distinct, filled, texts_of, whole_column


def stretches(array: Any) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The bytes of an Arrow array of texts (n,), not copied, and (n + 1,) where each begins in
    them, and the end.
    """
    if len(array) == 0:
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    kind = np.int64 if pa.types.is_large_string(array.type) else np.int32
    _, offsets, data = array.buffers()
    at = np.frombuffer(
        offsets, kind, len(array) + 1, array.offset * np.dtype(kind).itemsize
    ).astype(np.int64)
    return np.frombuffer(data, np.uint8) if data is not None and data.size else np.empty(
        0, np.uint8
    ), at


BASIS = np.uint64(14695981039346656037)
"""Where FNV-1a starts."""
PRIME = np.uint64(1099511628211)
"""What FNV-1a multiplies by."""


@jit()
def hash_of(data: Any, start: Any, end: Any) -> Any:
    """FNV-1a, then the finaliser of MurmurHash3, so that every bit depends on every byte."""
    key = BASIS
    for at in range(start, end):
        key = (key ^ np.uint64(data[at])) * PRIME
    return mixed(key)


@jit()
def mixed(key: Any) -> Any:
    """A bijection of 64 bits in which every bit of the result depends on every bit of the key."""
    key ^= key >> np.uint64(33)
    key *= np.uint64(0xFF51AFD7ED558CCD)
    key ^= key >> np.uint64(33)
    key *= np.uint64(0xC4CEB9FE1A85EC53)
    return key ^ (key >> np.uint64(33))


def hashes_of(texts: Any) -> NDArray[np.uint64]:
    """(n,) `hash_of` each of an Arrow array of texts or bytes; of a missing one anything."""
    hashes = np.empty(len(texts), np.uint64)
    _hash_all(*stretches(texts), hashes)
    return hashes


@jit()
def _hash_all(data: Any, ends: Any, hashes: Any) -> None:
    for at in range(len(hashes)):
        hashes[at] = hash_of(data, ends[at], ends[at + 1])


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

    def code(self, ids: NDArray[np.int64], grow: bool = True) -> Codes:
        """Codes of numbers (n,): `NULL` is ABSENT; new ones get a code, or are UNKNOWN unless
        `grow`.
        """
        codes, row = np.empty(len(ids), np.int32), 0
        while True:
            row, self._size = _code_numbers(
                ids, codes, row, self._table, self._values, self._size, grow
            )
            if row == len(codes):
                return codes
            self._table = np.full(2 * len(self._table), -1, np.int32)
            self._values.resize(len(self._table) // 2, refcheck=False)  # in place where it can be
            _place_numbers(self.values, self._table)


@jit()
def _at(key: Any, table: Any, values: Any) -> Any:
    """Where the code of a key is in the table, or the free place it would take."""
    mixed = np.uint64(key) ^ (
        np.uint64(key) >> np.uint64(32)
    )  # bits of doubles may differ in the upper half alone
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    mask = len(table) - 1
    at = np.int64((mixed ^ (mixed >> np.uint64(32))) & np.uint64(mask))
    while table[at] >= 0 and values[table[at]] != key:
        at = (at + 1) & mask
    return at


@jit()
def _code_numbers(
    ids: Any, out: Any, row: int, table: Any, values: Any, size: int, grow: bool
) -> tuple[int, int]:
    """Rows done and codes in use; stops before a row that would fill the table beyond one half."""
    while row < len(ids):
        key = ids[row]
        if key == NULL:
            out[row] = ABSENT
        else:
            at = _at(key, table, values)
            if table[at] >= 0:
                out[row] = table[at]
            elif not grow:
                out[row] = UNKNOWN
            elif 2 * (size + 1) > len(table):
                return row, size
            else:
                table[at], values[size] = size, key
                out[row] = size
                size += 1
        row += 1
    return row, size


@jit()
def _place_numbers(values: Any, table: Any) -> None:
    for code in range(len(values)):
        table[_at(values[code], table, values)] = code


@jit()
def count_codes(codes: Any, train: Any, counts: Any) -> None:
    """Adds train's rows (n,) to the counts of their codes (n, L), negative ones aside."""
    for row in range(len(codes)):
        if train[row]:
            for slot in range(codes.shape[1]):
                if codes[row, slot] >= 0:
                    counts[codes[row, slot]] += 1


@jit()
def look_up(codes: Any, first: Any, table: Any, found: Any) -> None:
    """Puts what codes (n, C) stand for into `found` (n, C or more).

    Code 0 of each column is at `first` (C,) in the table; ABSENT and UNKNOWN are before it.
    """
    for row in range(len(codes)):
        for column in range(codes.shape[1]):
            found[row, column] = table[first[column] + codes[row, column]]


class TextCodes:
    """The distinct texts seen so far, found by their hashes."""

    def __init__(self) -> None:
        self._keys = IntegerCodes()  # hashes
        self._ends, self._data = np.zeros(1, np.int64), np.empty(0, np.uint8)

    def __len__(self) -> int:
        return len(self._keys)

    def code(self, texts: Any, grow: bool = True) -> Codes:
        """Codes of an Arrow array of texts (n,): null is ABSENT; new ones get a code, or are
        UNKNOWN unless `grow`.
        """
        keys = np.maximum(hashes_of(texts).view(np.int64), NULL + 1)
        keys[texts.is_null().to_numpy(zero_copy_only=False)] = NULL
        known = len(self)
        codes = self._keys.code(keys, grow)
        if known < len(self):
            data, ends = stretches(texts.take(pa.array(np.flatnonzero(fresh(codes, known)))))
            self._ends.resize(len(self) + 1, refcheck=False)  # in place where it can be
            self._ends[known:] = self._ends[known] + ends
            self._data.resize(self._ends[-1], refcheck=False)
            self._data[self._ends[known] :] = data[: ends[-1]]
        return codes

    def texts(self, codes: Sequence[int]) -> list[str]:
        """What they stand for."""
        return [
            self._data[self._ends[code] : self._ends[code + 1]].tobytes().decode() for code in codes
        ]

    def code_column(
        self, column: Any, missing: Collection[str], grow: bool = True, spelled: bool = False
    ) -> Codes:
        """Codes of the texts of an Arrow column of any type (n,), in the form of `texts_of`."""
        rows, values = distinct(column)
        codes: Codes = np.append(
            self.code(texts_of(values, missing, spelled), grow), np.int32(ABSENT)
        )
        return codes[rows]  # the last serves null

    @property
    def array(self) -> Any:
        """All of them by code, as an Arrow array over the same memory; until the next ones come."""
        buffers = [None, pa.py_buffer(self._ends.copy()), pa.py_buffer(self._data)]
        return pa.Array.from_buffers(pa.large_string(), len(self), buffers)


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

    def code_numbers(self, numbers: NDArray[np.int64], grow: bool = True) -> Codes:
        """Codes of whole numbers (n,), where no text came yet; see `IntegerCodes.code`."""
        assert self.whole
        return self._numbers.code(numbers, grow)

    def code_column(self, column: Any, missing: Collection[str], grow: bool = True) -> Codes:
        """Codes of the values of an Arrow column of any type (n,)."""
        column = whole_column(column)
        if self.whole and (numbers := whole_numbers(column, missing)) is not None:
            return self.code_numbers(numbers, grow)
        rows, values = distinct(column)
        if self.whole and (numbers := whole_numbers(values, missing)) is not None:
            codes = self.code_numbers(numbers, grow)
        else:
            codes = self.code(texts_of(values, missing, spelled=True), grow)
        return np.append(codes, np.int32(ABSENT))[rows]

    def code(self, texts: Any, grow: bool = True) -> Codes:
        """Codes of texts (n,); see `TextCodes.code`."""
        if len(self._numbers):
            self._texts.code(
                pa.array(self._numbers.values).cast(pa.string())
            )  # codes stay what they are
            self._numbers = IntegerCodes()
        return self._texts.code(texts, grow)

    def texts(self, codes: Sequence[int]) -> list[str]:
        """What they stand for."""
        return (
            self._texts.texts(codes)
            if not self.whole
            else list(map(str, self._numbers.values[codes].tolist()))
        )

    def two_spellings(self) -> tuple[str, str] | None:
        """Texts that are one number in two spellings, as 1 and 1.0 are; None where there are
        none.
        """
        texts = self._texts.array
        longer = texts.filter(pc.match_substring_regex(texts, f"^{WHOLE}$"))
        short, apart = texts_of(longer), TextCodes()
        shorter, same = self._texts.code(short, grow=False), apart.code(short)
        if (found := np.flatnonzero(shorter >= 0)).size:
            return texts[int(shorter[found[0]])].as_py(), longer[int(found[0])].as_py()
        if len(apart) < len(longer):
            first, second = np.flatnonzero(same == np.argmax(np.bincount(same) > 1))[:2].tolist()
            return longer[first].as_py(), longer[second].as_py()
        return None


def fresh(codes: Codes, known: int) -> NDArray[np.bool_]:
    """(n,) which codes came for the first time, where `known` codes were in use before."""
    return np.diff(np.maximum.accumulate(np.append(known - 1, codes))) > 0


def whole_numbers(values: Any, missing: Collection[str] = ()) -> NDArray[np.int64] | None:
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
    numbers: NDArray[np.int64] = filled(values, NULL)
    if np.count_nonzero(numbers == NULL) > values.null_count:
        return None
    marks = [
        int(marker)
        for marker in missing
        if marker.lstrip("-").isdecimal() and str(int(marker)) == marker
    ]
    return np.where(np.isin(numbers, marks), NULL, numbers) if marks else numbers
