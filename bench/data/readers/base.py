"""What a reader gives: tables of raw columns, part by part, and for each row its place in the file."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.data.rejects import BadRow, Place

T = TypeVar("T")
PART = 1 << 16
"""Rows of a part, at most."""


@dataclass(frozen=True)
class RawTable:
    """Rows of one file.

    Attributes:
        file: the card's name of it.
        table: Arrow table of raw columns.
        place: row of this table -> where it is, for messages, as in `/data/log.csv.gz, line 17`.
        bad: rows before or among these that could not be read, where bad rows are dropped.
        unpaired: rows among these that had no partner, in formats that come in pairs of files.
    """

    file: str
    table: Any
    place: Place
    bad: tuple[BadRow, ...] = ()
    unpaired: int = 0

    def parts(self) -> Iterator[RawTable]:
        """The same rows, at most `PART` at a time; one part without rows where there are none."""
        for start in range(0, max(self.table.num_rows, 1), PART):
            bad, unpaired = ((), 0) if start else (self.bad, self.unpaired)
            yield RawTable(self.file, self.table.slice(start, PART), _later(self.place, start), bad, unpaired)


def kept_rows(place: Place, kept: NDArray[np.int64]) -> Place:
    """The places of the rows (k,) of a table that were kept."""
    return lambda row: place(int(kept[row]) if row < len(kept) else row)


def _later(place: Place, start: int) -> Place:
    return place if start == 0 else lambda row: place(start + row)


def whole(parts: Iterable[RawTable]) -> RawTable:
    """Parts as one table, for side tables, which are held."""
    held = list(parts)
    starts = np.array([0, *accumulate(part.table.num_rows for part in held)])
    table = pa.concat_tables([part.table for part in held], promote_options="permissive").unify_dictionaries()

    def place(row: int) -> str:
        at = int(np.searchsorted(starts, row, side="right")) - 1
        return held[at].place(row - int(starts[at]))

    held = [RawTable(part.file, None, part.place) for part in held]
    return RawTable(held[0].file, table.combine_chunks(), place)


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items; the next is made in a thread of its own while one is worked on."""
    end = object()
    try:
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(next, items, end)
            while (item := future.result()) is not end:
                future = pool.submit(next, items, end)
                yield item  # type: ignore[misc]
    finally:
        if isinstance(items, Generator):
            items.close()  # files it has open, where the work on an item failed
