"""Whole numbers -> codes 0, 1, 2, .. in the order they are first seen: a growing hash table in compiled code."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

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
        """Codes of numbers (n,): `NULL` is ABSENT; new ones get a code, or are UNKNOWN unless `grow`."""
        codes, row = np.empty(len(ids), np.int32), 0
        while True:
            row, self._size = _code(ids, codes, row, self._table, self._values, self._size, grow)
            if row == len(codes):
                return codes
            self._table = np.full(2 * len(self._table), -1, np.int32)
            self._values.resize(len(self._table) // 2, refcheck=False)  # in place where it can be
            _place(self.values, self._table)


@numba.njit(nogil=True, cache=True)
def _at(key: Any, table: Any, values: Any) -> Any:
    """Where the code of a key is in the table, or the free place it would take."""
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    mask = len(table) - 1
    at = np.int64((mixed ^ (mixed >> np.uint64(32))) & np.uint64(mask))
    while table[at] >= 0 and values[table[at]] != key:
        at = (at + 1) & mask
    return at


@numba.njit(nogil=True, cache=True)
def _code(ids: Any, out: Any, row: int, table: Any, values: Any, size: int, grow: bool) -> tuple[int, int]:
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


@numba.njit(nogil=True, cache=True)
def _place(values: Any, table: Any) -> None:
    for code in range(len(values)):
        table[_at(values[code], table, values)] = code


@numba.njit(nogil=True, cache=True)
def count_codes(codes: Any, train: Any, counts: Any) -> None:
    """Adds train's rows (n,) to the counts of their codes (n, L), negative ones aside."""
    for row in range(len(codes)):
        if train[row]:
            for slot in range(codes.shape[1]):
                if codes[row, slot] >= 0:
                    counts[codes[row, slot]] += 1
