"""Whole numbers -> codes 0, 1, 2, .. in the order they are first seen: a growing hash table in compiled code."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

ABSENT, UNKNOWN = -1, -2
Codes = NDArray[np.int32]


class IntegerCodes:
    """The distinct numbers seen so far, and how often each was counted: 24 to 48 bytes are held of each."""

    def __init__(self) -> None:
        self._table = np.full(1024, -1, np.int32)
        self._values = np.empty(512, np.int64)
        self._counts = np.zeros(512, np.int64)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def values(self) -> NDArray[np.int64]:
        """(V,) number of each code."""
        return self._values[: self._size]

    @property
    def counts(self) -> NDArray[np.int64]:
        """(V,) sum of the weights of each code's rows."""
        return self._counts[: self._size]

    def code(self, ids: NDArray[np.int64], out: Codes, grow: bool) -> None:
        """Codes of ids (n, L) into `out` (n, L): negative ids are ABSENT; new ones get a code, or are UNKNOWN.

        Args:
            grow: whether new numbers get codes.
        """
        row = 0
        while row < len(ids):
            row, self._size = _code(ids, out, row, self._table, self._values, self._size, grow)
            if row < len(ids):
                self._double()

    def count(self, codes: Codes, weights: NDArray[np.int64]) -> None:
        """Adds each row's weight (n,) to the counts of its codes (n, L)."""
        count_codes(codes, weights, self._counts)

    def _double(self) -> None:
        capacity = 2 * len(self._table)
        self._table = np.full(capacity, -1, np.int32)
        for array in (self._values, self._counts):
            array.resize(capacity // 2, refcheck=False)  # in place where it can be; the new end is zero
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
def _code(ids: Any, out: Any, start: int, table: Any, values: Any, size: int, grow: bool) -> tuple[int, int]:
    """Rows done and codes in use; stops before a row that might fill the table beyond one half."""
    slots = ids.shape[1]
    for row in range(start, len(ids)):
        if grow and 2 * (size + slots) > len(table):
            return row, size
        for slot in range(slots):
            key = ids[row, slot]
            if key < 0:
                out[row, slot] = ABSENT
                continue
            at = _at(key, table, values)
            if table[at] >= 0:
                out[row, slot] = table[at]
            elif grow:
                table[at], values[size] = size, key
                out[row, slot] = size
                size += 1
            else:
                out[row, slot] = UNKNOWN
    return len(ids), size


@numba.njit(nogil=True, cache=True)
def _place(values: Any, table: Any) -> None:
    for code in range(len(values)):
        table[_at(values[code], table, values)] = code


@numba.njit(nogil=True, cache=True)
def count_codes(codes: Any, weights: Any, counts: Any) -> None:
    """Adds each row's weight (n,) to the counts of its codes (n, L), negative ones aside."""
    for row in range(len(codes)):
        if weights[row] != 0:
            for slot in range(codes.shape[1]):
                if codes[row, slot] >= 0:
                    counts[codes[row, slot]] += weights[row]
