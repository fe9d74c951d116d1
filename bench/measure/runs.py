"""More rows than memory should hold: put aside in sorted runs in a file, and read back in order."""

from __future__ import annotations

import tempfile
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class Runs:
    """Sorted arrays in an unnamed file that vanishes with this object.

    Args:
        kind: dtype of the arrays.
        limit: elements that `merged` may hold at a time.
        by: the field that orders them; None for plain numbers.
    """

    def __init__(self, kind: DTypeLike, limit: int, by: str | None = None) -> None:
        self._kind, self._limit, self._by = np.dtype(kind), limit, by
        self._lengths: list[int] = []
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as this object is there)

    def __len__(self) -> int:
        return sum(self._lengths)

    def add(self, run: NDArray[Any]) -> None:
        """Puts a sorted array aside.

        Raises:
            OSError: no space left.
        """
        if len(run) == 0:
            return
        self._file.write(np.ascontiguousarray(run).data)
        self._file.flush()
        self._lengths.append(len(run))

    def merged(self, last: NDArray[Any]) -> Iterator[NDArray[Any]]:
        """All elements, those of a last sorted array among them, as one ascending sequence of pieces.

        Values that many elements share come as they are; between two of them, each run gives a slice, and the slices
        are sorted together. The dividing values are drawn from every n-th element of each run, so that slices fit the
        limit.
        """
        runs = [*self._mapped(), last]
        keys = [self._key(run) for run in runs]
        step = max(1, self._limit // (4 * len(runs)))
        sample = np.sort(np.concatenate([key[::step] for key in keys]))
        starts = [0] * len(runs)
        for value in np.unique(sample[:: len(runs)]):
            at = [bisect_left(key, value) for key in keys]
            yield self._together(runs, starts, at)
            starts = [bisect_right(key, value) for key in keys]
            for run, start, end in zip(runs, at, starts, strict=True):
                for first in range(start, end, self._limit):
                    yield run[first : min(first + self._limit, end)]
        yield self._together(runs, starts, [len(run) for run in runs])

    def _mapped(self) -> Iterator[NDArray[Any]]:
        at = 0
        for length in self._lengths:
            yield np.asarray(np.memmap(self._file, self._kind, "r", at * self._kind.itemsize, (length,)))
            at += length

    def _key(self, run: NDArray[Any]) -> NDArray[Any]:
        return run if self._by is None else run[self._by]

    def _together(self, runs: list[NDArray[Any]], starts: list[int], ends: list[int]) -> NDArray[Any]:
        found = np.concatenate([run[start:end] for run, start, end in zip(runs, starts, ends, strict=True)])
        if self._by is None:
            found.sort()
            return found
        return found[np.argsort(found[self._by], kind="stable")]
