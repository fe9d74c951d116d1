"""The result of readers: tables of raw columns, part by part, with the place of each row; and side
tables.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

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
        part = self
        for start in range(0, max(self.table.num_rows, 1), rows):
            place = place_among(self.place, range(start, self.table.num_rows))
            yield replace(part, table=self.table.slice(start, rows), place=place)
            part = replace(self, bad=(), unpaired=0)


def place_among(place: Place, rows: Sequence[int] | NDArray[np.int64]) -> Place:
    """The places of some rows (k,) of a table."""
    return lambda row: place(int(rows[row]) if row < len(rows) else row)


def whole(parts: Iterable[RawTable]) -> RawTable:
    """Joins parts into one table; for side tables, which are held in memory."""
    parts = list(parts)
    tables = [part.table for part in parts]
    table = pa.concat_tables(tables, promote_options="permissive").unify_dictionaries()
    ends = np.cumsum([part.num_rows for part in tables])
    place = partial(_place_in_parts, [part.place for part in parts], ends)
    return RawTable(parts[0].file, table.combine_chunks(), place)


def _place_in_parts(places: Sequence[Place], ends: NDArray[np.int64], row: int) -> str:
    number = int(np.searchsorted(ends, row, side="right"))
    start = int(ends[number - 1]) if number else 0
    return places[number](row - start)


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
        rows = np.flatnonzero(codes >= 0)
        if len(self._keys) < len(rows):
            repeated = int(rows[np.argmin(fresh(codes[rows], 0))])
            key = self._keys.texts([int(codes[repeated])])[0]
            raise UserError(f"{raw.place(repeated)}: key '{on}' = {key} is there twice")
        # The last two serve UNKNOWN and ABSENT.
        self._row_of_code = np.full(len(self._keys) + 2, -1, np.int64)
        self._row_of_code[codes[rows]] = rows
        self.columns = {name: raw.table[name] for name in raw.table.column_names}

    def rows(self, table: pa.Table) -> NDArray[np.int64]:
        """(n,) its row for each row of a table, -1 if there is none."""
        if self.on not in table.column_names:
            raise UserError(f"cannot join {self.file}: the rows have no column '{self.on}'")
        codes = self._keys.code_column(table[self.on], self.missing, grow=False)
        return self._row_of_code[codes]

    def beside(self, table: pa.Table, rows: NDArray[np.int64]) -> pa.Table:
        """Adds to a table the columns that it lacks, from rows (n,) of the side table; null for
        -1.
        """
        rows_or_null = pa.array(rows, mask=rows < 0)
        columns = dict(zip(table.column_names, table.columns, strict=True))
        for name, column in self.columns.items():
            if name not in columns:
                columns[name] = column.take(rows_or_null)
        return pa.table(columns)
