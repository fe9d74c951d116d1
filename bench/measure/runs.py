"""Rows that come in pieces and are read back in order; more than memory should hold wait in sorted
runs in a file.
"""

from __future__ import annotations

import tempfile
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
Sorter = Callable[[Array], Array]
"""Rows -> a new array of them, sorted; it may leave some out."""


class Sorted:
    """Rows that are read back in each of several orders.

    Args:
        kind: dtype of rows.
        limit: rows to hold; of more, all are in a temporary file, once for each order.
        read: rows that `read` may hold beside those, where there is a file.

    Attributes:
        orders: by name; one that is new has none of the rows that were put aside before. It makes
            numbers of rows, or records that are sorted by the field of the order's name.
    """

    def __init__(self, kind: DTypeLike, limit: int, read: int) -> None:
        self._kind = np.dtype(kind)
        self._limit = limit
        self._read = max(1, read)
        self.orders: Mapping[str, Sorter] = {}
        self._pieces: list[Array] = []
        self._runs: dict[str, Runs] = {}
        self._aside = 0
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    @property
    def held(self) -> Array | None:
        """All rows as they came; None where some are in a file."""
        if self._aside:
            return None
        return self._together()

    def add(self, rows: Array) -> None:
        """Takes the next rows; raises OSError if no space is left."""
        for start in range(0, len(rows), self._limit):
            piece = rows[start : start + self._limit]
            rows_held = self._rows - self._aside
            if rows_held + len(piece) > self._limit:
                self._put_aside()
            self._pieces.append(piece)
            self._rows += len(piece)

    def read(self, order: str) -> Iterator[Array]:
        """All rows in ascending order, in pieces of which none is empty."""
        last = self.orders[order](self._together())
        pieces = iter([last])
        if order in self._runs:
            pieces = self._runs[order].merged(last)
        return (piece for piece in pieces if len(piece))

    def _together(self) -> Array:
        if len(self._pieces) != 1:
            self._pieces = [np.concatenate([np.empty(0, self._kind), *self._pieces])]
        return self._pieces[0]

    def _put_aside(self) -> None:
        for name, order in self.orders.items():
            run = order(self._together())
            if name not in self._runs:
                field = name if run.dtype.names else None
                self._runs[name] = Runs(run.dtype, self._read, field)
            self._runs[name].add(run)
        self._pieces = []
        self._aside = self._rows


class Runs:
    """Sorted arrays in an unnamed file that vanishes with this object.

    Args:
        kind: dtype of the arrays.
        limit: rows that `merged` may hold at a time.
        by: the field that orders them; None for plain numbers.
    """

    def __init__(self, kind: DTypeLike, limit: int, by: str | None = None) -> None:
        self._kind = np.dtype(kind)
        self._limit = limit
        self._by = by
        self._lengths: list[int] = []
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as this object is there)

    def add(self, run: Array) -> None:
        """Puts a sorted array aside; raises OSError if no space is left."""
        if len(run):
            self._file.write(np.ascontiguousarray(run).data)
            self._file.flush()
            self._lengths.append(len(run))

    def merged(self, last: Array) -> Iterator[Array]:
        """All rows, those of a last sorted array among them, as one ascending sequence of pieces.

        Values that many rows share come as they are; between two of them, each run gives a slice,
        and the slices are sorted together. The dividing values are drawn from every n-th row of
        each run, so that slices fit the limit.
        """
        runs = [*self._mapped(), last]
        keys = runs
        if self._by is not None:
            keys = [run[self._by] for run in runs]
        starts = [0] * len(runs)
        for value in self._dividing_values(keys):
            firsts = [bisect_left(key, value) for key in keys]
            yield self._sorted_slices(runs, starts, firsts)
            starts = [bisect_right(key, value) for key in keys]
            for run, first, end in zip(runs, firsts, starts, strict=True):
                for start in range(first, end, self._limit):
                    stop = min(start + self._limit, end)
                    yield run[start:stop]
        ends = [len(run) for run in runs]
        yield self._sorted_slices(runs, starts, ends)

    def _mapped(self) -> list[Array]:
        runs = []
        starts = accumulate(self._lengths, initial=0)
        for start, length in zip(starts, self._lengths, strict=False):
            offset = start * self._kind.itemsize
            run = np.memmap(self._file, self._kind, "r", offset, (length,))
            runs.append(np.asarray(run))
        return runs

    def _dividing_values(self, keys: list[Array]) -> Array:
        step = max(1, self._limit // (4 * len(keys)))
        samples = [key[::step] for key in keys]
        sample = np.sort(np.concatenate(samples))
        return np.unique(sample[:: len(keys)])

    def _sorted_slices(self, runs: list[Array], starts: list[int], ends: list[int]) -> Array:
        slices = []
        for run, start, end in zip(runs, starts, ends, strict=True):
            slices.append(run[start:end])
        rows = np.concatenate(slices)
        if self._by is None:
            rows.sort()
            return rows
        order = np.argsort(rows[self._by], kind="stable")
        return rows.take(order)  # several times faster than indexing records
