"""The result of readers: tables of raw columns, part by part, with the place of each row; and side
tables.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.data.checks import BadRow, Place
from bench.data.codes import TextCodes, fresh

PART = 1 << 16
"""Largest number of rows in a part."""


@dataclass(frozen=True)
class RawTable:
    """Rows of one file, by its name on the card, as an Arrow table of raw columns."""

    file: str
    table: pa.Table
    place: Place
    """Row of this table -> its place, for messages, as in `/data/log.csv.gz, line 17`."""
    bad: tuple[BadRow, ...] = ()
    """Unreadable rows before or among these, where bad rows are dropped."""
    unpaired: int = 0
    """Number of rows among these without a partner, in formats of paired files."""
    columns: tuple[str, ...] = ()
    """All columns of the file, on its first part, which has no rows: suggestions where a wanted one
    is missing.
    """

    def parts(self, rows: int | None = None) -> Iterator[RawTable]:
        """Cuts it into parts of at most `rows` (default `PART`) rows; an empty table gives one
        empty part.
        """
        rows = PART if rows is None else rows
        for start in range(0, max(self.table.num_rows, 1), rows):
            bad, unpaired = ((), 0) if start else (self.bad, self.unpaired)
            place = kept_rows(self.place, range(start, self.table.num_rows))
            yield RawTable(
                self.file, self.table.slice(start, rows), place, bad, unpaired, self.columns
            )


def kept_rows(place: Place, kept: Sequence[int] | NDArray[np.int64]) -> Place:
    """The places of the rows (k,) that were kept."""
    return lambda row: place(int(kept[row]) if row < len(kept) else row)


def whole(parts: Iterable[RawTable]) -> RawTable:
    """Joins parts into one table; for side tables, which are held in memory."""
    held = list(parts)
    starts = np.array([0, *accumulate(part.table.num_rows for part in held)])
    table = pa.concat_tables(
        [part.table for part in held], promote_options="permissive"
    ).unify_dictionaries()

    def place(row: int) -> str:
        at = int(np.searchsorted(starts, row, side="right")) - 1
        return held[at].place(row - int(starts[at]))

    held = [RawTable(part.file, None, part.place) for part in held]
    return RawTable(held[0].file, table.combine_chunks(), place)


class SideTable:
    """A side table, indexed by its key."""

    def __init__(self, raw: RawTable, on: str, missing: Collection[str] = ()) -> None:
        """Indexes a table of one chunk; raises UserError for a missing key column or a repeated
        key.
        """
        if on not in raw.table.column_names:
            raise UserError(f"cannot join {raw.file}: {raw.file} have no column '{on}'")
        self.file, self.on, self.missing = raw.file, on, missing
        self._keys = TextCodes()
        codes = self._keys.code_column(raw.table[on], missing)
        where = np.flatnonzero(codes >= 0)
        self._row_of = np.full(
            len(self._keys) + 2, -1, np.int64
        )  # the last two serve UNKNOWN and ABSENT
        if len(self._keys) < len(where):
            second = int(where[np.argmin(fresh(codes[where], 0))])
            key = self._keys.texts([int(codes[second])])[0]
            raise UserError(f"{raw.place(second)}: key '{on}' = {key} is there twice")
        self._row_of[codes[where]] = where
        self.columns = {name: raw.table[name] for name in raw.table.column_names}

    def rows(self, table: pa.Table) -> NDArray[np.int64]:
        """(n,) its row for each row of a table, -1 if there is none."""
        if self.on not in table.column_names:
            raise UserError(f"cannot join {self.file}: the rows have no column '{self.on}'")
        rows: NDArray[np.int64] = self._row_of[
            self._keys.code_column(table[self.on], self.missing, grow=False)
        ]
        return rows

    def beside(self, table: pa.Table, rows: NDArray[np.int64]) -> pa.Table:
        """Adds to a table the columns that it lacks, from rows (n,) of the side table; null for
        -1.
        """
        at = pa.array(rows, mask=rows < 0)
        columns = dict(zip(table.column_names, table.columns, strict=True))
        columns |= {
            name: column.take(at) for name, column in self.columns.items() if name not in columns
        }
        return pa.table(columns)
