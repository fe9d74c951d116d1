"""The fields that one thread of a compiled touched-row optimizer works on, with the memory it needs for that."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.schema import Schema
from bench.training.optimizers.kernels import sum_by_row

TYPICAL_BATCH = 2048  # for sharing out work only


class Part:
    """Some fields of a schema: sums a batch's gradient by their distinct rows.

    Args:
        fields: (first column of `ids`, slots, cardinality) of each.
    """

    def __init__(self, fields: Sequence[tuple[int, int, int]]) -> None:
        self.fields = fields
        self.columns = np.array([first + i for first, slots, _ in fields for i in range(slots)], dtype=np.int64)
        self.ends = np.cumsum([slots for _, slots, _ in fields], dtype=np.int64)
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
        bits = np.array([(2 * batch * slots).bit_length() for _, slots, _ in self.fields], dtype=np.int64)
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
    """At most `threads` parts of about equal work: the costliest field first, to whoever has the least so far."""
    fields, at = [], 0
    for field in schema.fields:
        fields.append((at, field.slots, field.cardinality))
        at += field.slots
    shares: list[list[tuple[int, int, int]]] = [[] for _ in range(max(1, min(threads, len(fields))))]
    for field_columns in sorted(fields, key=_cost, reverse=True):
        min(shares, key=lambda one: sum(map(_cost, one))).append(field_columns)
    return [Part(sorted(one)) for one in shares]


def _cost(field: tuple[int, int, int]) -> float:
    """Looking at an id costs about as much as updating half a row, and half the ids of a large field are repeats."""
    _, slots, cardinality = field
    return slots + min(slots, cardinality / TYPICAL_BATCH)
