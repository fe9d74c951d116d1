"""The tables that one thread of a compiled touched-row optimizer works on, with the memory it needs for that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.schema import Schema
from bench.training.optimizers.kernels import sum_by_row

TYPICAL_BATCH = 2048  # for sharing out work only


class Table(NamedTuple):
    """Rows that belong together: those of a field, and of the histories that use them.

    Attributes:
        columns: of `ids`.
        cardinality: rows.
    """

    columns: tuple[int, ...]
    cardinality: int


class Part:
    """Some tables of a schema: sums a batch's gradient by their distinct rows."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self.tables = tables
        self.columns = np.array([column for table in tables for column in table.columns], dtype=np.int64)
        self.ends = np.cumsum([len(table.columns) for table in tables], dtype=np.int64)
        self._batch = self._width = -1
        self._scratch: tuple[NDArray[np.generic], ...] = ()

    def sums(
        self, ids: NDArray[np.uint32], gradient: NDArray[np.float32]
    ) -> tuple[NDArray[np.uint32], NDArray[np.float32], int]:
        """The distinct rows, their gradients (.., W), and how many: both are filled from 1 to that number.

        They lie in scratch memory: valid until the next call.
        """
        if len(ids) > self._batch or gradient.shape[2] != self._width:
            self._reserve(len(ids), gradient.shape[2])
        bits, table, at, rows, sums = self._scratch
        count = sum_by_row(ids, gradient, self.columns, self.ends, bits, table, at, rows, sums)
        return rows, sums, count  # type: ignore[return-value]

    @property
    def memory_bytes(self) -> int:
        """Bytes of the scratch memory."""
        return sum(array.nbytes for array in self._scratch)

    def _reserve(self, batch: int, width: int) -> None:
        self._batch, self._width = batch, width
        bits = np.array([(2 * batch * len(table.columns)).bit_length() for table in self.tables], dtype=np.int64)
        most = 1 + batch * len(self.columns)  # pages that no distinct row reaches are never made resident
        self._scratch = (
            bits,
            np.empty(1 << bits.max(), dtype=np.uint32),
            np.empty(batch, dtype=np.uint32),
            np.empty(most, dtype=np.uint32),
            np.empty((most, width), dtype=np.float32),
        )
        self._scratch[-1][0] = 0  # collects the padding's gradient; must not overflow from garbage


def share(schema: Schema, threads: int) -> list[Part]:
    """At most `threads` parts of about equal work: the costliest table first, to whoever has the least so far."""
    tables, at = dict[str, Table](), 0
    for field in schema.fields:
        owner, own = field.of or field.name, tuple(range(at, at + field.slots))
        earlier = tables[owner].columns if owner in tables else ()
        tables[owner] = Table((*earlier, *own), field.cardinality)
        at += field.slots
    shares: list[list[Table]] = [[] for _ in range(max(1, min(threads, len(tables))))]
    for table in sorted(tables.values(), key=_cost, reverse=True):
        min(shares, key=lambda one: sum(map(_cost, one))).append(table)
    return [Part(sorted(one)) for one in shares]


def _cost(table: Table) -> float:
    """Looking at an id costs about as much as updating half a row, and half the ids of a large field are repeats."""
    slots = len(table.columns)
    return slots + min(slots, table.cardinality / TYPICAL_BATCH)
