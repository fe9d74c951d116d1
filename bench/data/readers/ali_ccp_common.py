"""The common lines of Ali-CCP, which many impressions share: kept on disk, looked up by their index."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from bench.data.codes import Codes, IntegerCodes
from bench.data.readers.feature_lists import Lines, Wanted


class Shared(NamedTuple):
    """What m common lines hold; see `feature_lists.Lines`."""

    ids: NDArray[np.int64]
    sums: NDArray[np.float64]
    keys: NDArray[np.uint64]


class CommonLines:
    """The common lines of one file of impressions: 16 to 32 bytes of each are held, 8 for each id and sum are on disk.

    A context that holds the open file, which goes with it.
    """

    def __init__(self, wanted: Wanted, folder: Path | None) -> None:
        self._ids, self._rows = sum(wanted.slots), IntegerCodes()
        self._width = self._ids + sum(wanted.summed) + 1
        number, self._path = tempfile.mkstemp(dir=folder)
        os.close(number)

    def __enter__(self) -> Self:
        self._file = open(self._path, "w+b")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        os.unlink(self._path)

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, lines: Lines) -> int | None:
        """Adds lines; the first of them whose index was there before, if there is one."""
        seen, keys = len(self._rows), lines.keys.view(np.int64)
        again = self._rows.code(keys) != np.arange(seen, seen + len(keys))
        self._file.write(np.hstack([lines.ids, lines.sums.view(np.int64), keys[:, None]]).data)
        return int(np.argmax(again)) if again.any() else None

    def rows(self, keys: NDArray[np.uint64]) -> Codes:
        """(n,) the row of each index, UNKNOWN where there is none."""
        return self._rows.code(keys.view(np.int64), grow=False)

    def take(self, rows: NDArray[np.int64]) -> Shared:
        """What rows (m,) hold; neighbours are read at once."""
        found, size = np.empty((len(rows), self._width), np.int64), 8 * self._width
        starts = np.flatnonzero(np.diff(rows, prepend=-2) != 1).tolist()
        for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
            self._file.seek(int(rows[start]) * size)
            self._file.readinto(found[start:end].data)
        ids, sums, keys = np.split(found, [self._ids, self._width - 1], axis=1)
        return Shared(ids, np.ascontiguousarray(sums).view(np.float64), keys[:, 0].view(np.uint64))
