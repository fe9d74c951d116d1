"""Compiled part of touched-row optimizers: one gradient for each distinct row of a batch, on
several threads.

The loops here, and the update kernels of the optimizers, wait for memory more than they compute: a
batch's rows are scattered over a table that no cache holds. So they prefetch each line some
iterations ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.core.schema import Schema
from bench.core.system.intrinsics import AHEAD, LINE, jit, prefetch
from bench.models.compiling import widen

TYPICAL_BATCH = 2048  # only balances work between threads
_SPREAD = np.uint32(
    2654435769
)  # 2^32 / golden ratio: Fibonacci hashing (Knuth, TAOCP 3, section 6.4)


@jit("contract")
def sum_by_row(ids, gradient, columns, ends, bits, table, at, rows, sums):  # type: ignore[no-untyped-def]
    """Sums the gradient of each distinct row except row 0, field by field.

    A field's rows are found in a hash table that fits a fast cache, whatever the size of the
    embedding table. A row's gradients are added column by column in the order of the samples, so
    sums do not depend on the threads.

    Args:
        ids: (B, S) uint32.
        gradient: (B, S, W) float32, or the bits of bfloat16 in uint16.
        columns: of `ids`, whole fields one after the other.
        ends: end of each field in `columns`.
        bits: for each field, the logarithm of its part of `table`: at least twice its ids in a
            batch.
        table: uint32, the largest 2^bits or more: hash -> index in `rows`, 0 if free.
        at: (B,) uint32 scratch.
        rows: uint32, filled from 1 on with the distinct rows.
        sums: (len(rows), W) float32, filled likewise.

    Returns:
        The number n of distinct rows; results are in `rows[1 : n + 1]` and `sums[1 : n + 1]`.
    """
    batch, width = ids.shape[0], gradient.shape[2]
    slots = np.uint64(ids.shape[1])
    lines = gradient.reshape(-1, width)
    count = np.uint32(0)
    begin = 0
    for field in range(len(ends)):
        shift = np.uint32(32 - bits[field])
        mask = np.uint32((1 << bits[field]) - 1)
        table[: 1 << bits[field]] = 0
        for c in range(begin, ends[field]):
            column = np.uint64(columns[c])
            before = count
            for sample in range(batch):
                row = ids[np.uint64(sample), column]
                place = np.uint32(0)
                if row != 0:
                    slot = np.uint32(row * _SPREAD) >> shift
                    place = table[slot]
                    while place != 0 and rows[place] != row:
                        slot = (slot + np.uint32(1)) & mask
                        place = table[slot]
                    if place == 0:
                        count += np.uint32(1)
                        place = count
                        table[slot] = place
                        rows[place] = row
                at[sample] = place
            sums[before + 1 : count + 1] = 0
            for sample in range(batch):
                position = np.uint64(sample) * slots + column
                for k in range(0, width, LINE):
                    prefetch(lines, position + AHEAD * slots, k)
                place = at[sample]
                for k in range(width):  # place 0 collects the padding's gradient, and is never read
                    sums[place, k] += widen(lines[position, k])
        begin = ends[field]
    return count


class Table(NamedTuple):
    """Rows of a field, and of the histories that share them: `columns` of `ids`, `cardinality`
    rows.
    """

    columns: tuple[int, ...]
    cardinality: int


class TableGroup:
    """Some tables of a schema: sums a batch's gradient by their distinct rows."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self.tables = tables
        self.columns = np.array(
            [column for table in tables for column in table.columns], dtype=np.int64
        )
        self.ends = np.cumsum([len(table.columns) for table in tables], dtype=np.int64)
        self._batch = self._width = -1
        self._scratch: tuple[NDArray[np.generic], ...] = ()

    def sums(
        self, ids: NDArray[np.uint32], gradient: NDArray[Any]
    ) -> tuple[NDArray[np.uint32], NDArray[np.float32], int]:
        """Distinct rows, gradients (.., W), their number n: both are filled from 1 to n, valid
        until the next call.
        """
        if len(ids) > self._batch or gradient.shape[2] != self._width:
            self._reserve(len(ids), gradient.shape[2])
        bits, table, at, rows, sums = self._scratch
        count = sum_by_row(ids, gradient, self.columns, self.ends, bits, table, at, rows, sums)
        return rows, sums, count  # type: ignore[return-value]

    def _reserve(self, batch: int, width: int) -> None:
        self._batch, self._width = batch, width
        bits = np.array(
            [(2 * batch * len(table.columns)).bit_length() for table in self.tables], dtype=np.int64
        )
        most = 1 + batch * len(self.columns)  # pages beyond the distinct rows never become resident
        self._scratch = (
            bits,
            np.empty(1 << bits.max(), dtype=np.uint32),
            np.empty(batch, dtype=np.uint32),
            np.empty(most, dtype=np.uint32),
            np.empty((most, width), dtype=np.float32),
        )
        self._scratch[-1][0] = 0  # collects the padding's gradient; must not overflow from garbage


def share(schema: Schema, threads: int) -> list[TableGroup]:
    """Divides the tables into at most `threads` parts of about equal work, greedily from the
    costliest.
    """
    tables, at = dict[str, Table](), 0
    for field in schema.fields:
        owner, own = field.of or field.name, tuple(range(at, at + field.slots))
        earlier = tables[owner].columns if owner in tables else ()
        tables[owner] = Table((*earlier, *own), field.cardinality)
        at += field.slots
    shares: list[list[Table]] = [[] for _ in range(max(1, min(threads, len(tables))))]
    for table in sorted(tables.values(), key=_cost, reverse=True):
        min(shares, key=lambda one: sum(map(_cost, one))).append(table)
    return [TableGroup(sorted(one)) for one in shares]


def _cost(table: Table) -> float:
    """Reading an id costs about as much as updating half a row, and half the ids of a large field
    are repeats.
    """
    slots = len(table.columns)
    return slots + min(slots, table.cardinality / TYPICAL_BATCH)
