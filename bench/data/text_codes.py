"""Texts -> codes 0, 1, 2, .. in the order they are first seen: a growing hash table in compiled code.

What is held of each distinct text: its bytes, 8 bytes for its end, and 16 to 32 bytes of the table. Texts are compared
byte by byte, so that no two share a code by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np

from bench.data.codes import ABSENT, UNKNOWN, Codes
from bench.data.hashing import BASIS, hash_of
from bench.data.spans import Spans


class TextCodes:
    """The distinct texts seen so far."""

    def __init__(self) -> None:
        self._table = np.full((1024, 2), -1, np.int32)  # code, and half of the hash
        self._ends = np.zeros(513, np.int64)
        self._data = np.empty(1 << 13, np.uint8)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def code(self, spans: Spans, grow: bool = True) -> Codes:
        """Codes (n,): missing texts are ABSENT; new ones get a code, or are UNKNOWN unless `grow`."""
        codes, row = np.empty(len(spans.starts), np.int32), 0
        while True:
            row, self._size = _code(*spans, codes, row, self._table, self._data, self._ends, self._size, grow)
            if row == len(codes):
                return codes
            self._enlarge(int(spans.ends[row] - spans.starts[row]))

    def texts(self, codes: Sequence[int]) -> list[str]:
        """What they stand for."""
        return [self._data[self._ends[code] : self._ends[code + 1]].tobytes().decode() for code in codes]

    @property
    def spans(self) -> Spans:
        """All of them, by code; until the next ones come."""
        return Spans(self._data, self._ends[: self._size].copy(), self._ends[1 : self._size + 1])

    def _enlarge(self, coming: int) -> None:
        used = int(self._ends[self._size])
        if used + coming > len(self._data):
            self._data.resize(max(used + coming, len(self._data) * 3 // 2), refcheck=False)  # in place where it can be
        if 2 * (self._size + 1) > len(self._table):
            capacity = 2 * len(self._table)
            self._ends.resize(capacity // 2 + 1, refcheck=False)
            self._table = np.full((capacity, 2), -1, np.int32)
            _place(self._data, self._ends, self._size, self._table)


@numba.njit(nogil=True, cache=True)
def _code(
    data: Any,
    starts: Any,
    ends: Any,
    codes: Any,
    row: int,
    table: Any,
    held: Any,
    held_ends: Any,
    size: int,
    grow: bool,
) -> tuple[int, int]:
    """Rows done and codes in use; stops before a row that table or buffer might have no room for."""
    mask = len(table) - 1
    while row < len(codes):
        start, end = starts[row], ends[row]
        if start < 0:
            codes[row] = -1
            row += 1
            continue
        key = hash_of(data, start, end, BASIS)
        at, tag = np.int64(key & np.uint64(mask)), np.int32(key >> np.uint64(33))
        while table[at, 0] >= 0:
            code = table[at, 0]
            first = held_ends[code]
            if table[at, 1] == tag and held_ends[code + 1] - first == end - start:
                place = 0
                while place < end - start and data[start + place] == held[first + place]:
                    place += 1
                if place == end - start:
                    break
            at = (at + 1) & mask
        if table[at, 0] >= 0:
            codes[row] = table[at, 0]
        elif not grow:
            codes[row] = -2
        else:
            first = held_ends[size]
            if 2 * (size + 1) > len(table) or first + end - start > len(held):
                return row, size
            for place in range(end - start):
                held[first + place] = data[start + place]
            held_ends[size + 1] = first + end - start
            table[at, 0], table[at, 1] = size, tag
            codes[row] = size
            size += 1
        row += 1
    return row, size


@numba.njit(nogil=True, cache=True)
def _place(held: Any, held_ends: Any, size: int, table: Any) -> None:
    mask = len(table) - 1
    for code in range(size):
        key = hash_of(held, held_ends[code], held_ends[code + 1], BASIS)
        at = np.int64(key & np.uint64(mask))
        while table[at, 0] >= 0:
            at = (at + 1) & mask
        table[at, 0], table[at, 1] = code, np.int32(key >> np.uint64(33))


assert (ABSENT, UNKNOWN) == (-1, -2)  # as the compiled code has them
