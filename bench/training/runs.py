"""Sorts more keys than memory should hold: sorted runs in a file, merged as they are read back."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]


class Runs:
    """Sorted arrays of keys in an unnamed file that vanishes with this object.

    Args:
        limit: keys that `merged` may hold at a time.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lengths: list[int] = []
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as this object is there)

    def add(self, keys: Keys) -> None:
        """Puts a sorted array aside.

        Raises:
            OSError: no space left.
        """
        if len(keys) == 0:
            return
        self._file.write(np.ascontiguousarray(keys).data)
        self._file.flush()
        self._lengths.append(len(keys))

    def merged(self, last: Keys) -> Iterator[Keys]:
        """All keys, those of a last sorted array among them, as one ascending sequence of pieces.

        Values that many keys share come as they are; between two of them, each run gives a slice, and the slices are
        sorted together. The dividing values are drawn from every n-th key of each run, so that slices fit the limit.
        """
        runs = [*self._mapped(), last]
        step = max(1, self._limit // (4 * len(runs)))
        sample = np.sort(np.concatenate([run[::step] for run in runs]))
        starts = [0] * len(runs)
        for value in np.unique(sample[:: len(runs)]):
            at = [int(np.searchsorted(run, value)) for run in runs]
            yield _together(runs, starts, at)
            starts = [int(np.searchsorted(run, value, side="right")) for run in runs]
            for run, start, end in zip(runs, at, starts, strict=True):
                for first in range(start, end, self._limit):
                    yield run[first : min(first + self._limit, end)]
        yield _together(runs, starts, [len(run) for run in runs])

    def _mapped(self) -> Iterator[Keys]:
        at = 0
        for length in self._lengths:
            yield np.memmap(self._file, np.uint64, "r", 8 * at, (length,))
            at += length


def _together(runs: list[Keys], starts: list[int], ends: list[int]) -> Keys:
    keys = np.concatenate([run[start:end] for run, start, end in zip(runs, starts, ends, strict=True)])
    keys.sort()
    return keys
