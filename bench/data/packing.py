"""How a store holds ids: in 16 bits where a field has few rows of the embedding table, which most
fields have.

A row has one word of 16 bits for each slot, in slot order, then one for each wide slot, those of
fields with more than `MOST_NARROW` rows. A narrow slot's word is 0 for padding, else it counts from
1 for the field's first row. A wide slot's two words are the low and the high half of its row of the
table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Ids, Ints
from bench.core.schema import Schema
from bench.core.system.intrinsics import AHEAD, jit, prefetch_to_read

MOST_NARROW = (1 << 16) - 1
"""Rows of a field whose slots are narrow."""
LINE = 32  # words in a cache line
Words = NDArray[np.uint16]


@dataclass(frozen=True)
class Packing:
    """The layout of a schema's ids."""

    before: Ids
    """(S,), what is added to a slot's word unless that is 0; 0 of wide slots."""
    wide: NDArray[np.uint64]
    """The wide slots, ascending."""

    @classmethod
    def of(cls, schema: Schema) -> Packing:
        """The packing of a schema; tasks play no part."""
        slots = [field.slots for field in schema.fields]
        wide = np.array([field.cardinality > MOST_NARROW for field in schema.fields], np.bool_)
        before = np.where(wide, 0, np.array(schema.offsets, np.int32) - 1)
        wide_slots = np.flatnonzero(np.repeat(wide, slots)).astype(np.uint64)
        return cls(np.repeat(before, slots), wide_slots)

    @property
    def words(self) -> int:
        """W, 16-bit words of a row."""
        return len(self.before) + len(self.wide)

    def packed(self, ids: Ids) -> Words:
        """Ids (n, S) as words (n, W)."""
        words = np.empty((len(ids), self.words), np.uint16)
        _pack(ids, self.before, self.wide, words)
        return words

    def unpacked(self, words: Words, rows: Ints | None = None) -> Ids:
        """Ids (n, S) of the given rows (n,) of words (N, W), or of all rows."""
        if not words.flags.writeable:  # else compiled once more, for read-only arrays
            words = np.array(words)
        if rows is None:
            rows = np.arange(len(words))
        ids = np.empty((len(rows), len(self.before)), np.int32)
        _unpack(words, rows, self.before, self.wide, ids)
        return ids


@jit()
def _pack(ids, before, wide, words):  # type: ignore[no-untyped-def]
    slots = np.uint64(len(before))
    for i in range(len(ids)):
        for s in range(slots):
            words[i, s] = ids[i, s] - before[s] if ids[i, s] != 0 else 0
        for k in range(np.uint64(len(wide))):
            words[i, slots + k] = ids[i, wide[k]] >> 16


@jit()
def _ask(words, row):  # type: ignore[no-untyped-def]
    for k in range(0, words.shape[1], LINE):
        prefetch_to_read(words, row, k)
    prefetch_to_read(words, row, words.shape[1] - 1)


@jit()
def _unpack(words, rows, before, wide, ids):  # type: ignore[no-untyped-def]
    """In one pass, about a fifth faster than copying rows of 32-bit ids: there is less to wait
    for.
    """
    slots, count = np.uint64(len(before)), np.uint64(len(rows))
    for i in range(min(AHEAD, count)):
        _ask(words, rows[i])
    for i in range(count):
        if i + AHEAD < count:
            _ask(words, rows[i + AHEAD])
        row = np.uint64(rows[i])
        if row >= np.uint64(len(words)):
            raise IndexError("a row beyond the last")
        for s in range(slots):
            word = np.int32(words[row, s])
            ids[i, s] = word + (before[s] if word != 0 else np.int32(0))
        for k in range(np.uint64(len(wide))):
            ids[i, wide[k]] += np.int32(words[row, slots + k]) << 16
