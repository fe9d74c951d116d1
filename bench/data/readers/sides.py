"""Side tables: held in memory as Arrow columns (texts as codes and a dictionary), looked up by a key for each row."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.data.codes import ABSENT
from bench.data.readers.base import RawTable
from bench.data.spans import spans_of
from bench.data.text_codes import TextCodes
from bench.data.values import distinct
from bench.errors import UserError


class SideTable:
    """The rows of a side table, and which row each key is in."""

    def __init__(self, raw: RawTable, on: str, missing: Collection[str] = ()) -> None:
        """Takes in a table whose columns are one chunk each.

        Raises:
            UserError: no such key column, or a key that is there twice.
        """
        if on not in raw.table.column_names:
            raise UserError(f"cannot join {raw.file}: {raw.file} have no column '{on}'")
        self.file, self.on, self.missing = raw.file, on, missing
        self._keys = TextCodes()
        codes = self._coded(raw.table[on], grow=True)
        where = np.flatnonzero(codes >= 0)
        self._row_of = np.full(len(self._keys) + 2, -1, np.int64)  # the last two serve UNKNOWN and ABSENT
        if len(self._keys) < len(where):
            first = np.full(len(self._keys), -1, np.int64)
            first[codes[where[::-1]]] = where[::-1]
            second = int(where[first[codes[where]] != where][0])
            key = self._keys.texts([int(codes[second])])[0]
            raise UserError(f"{raw.place(second)}: key '{on}' = {key} is there twice")
        self._row_of[codes[where]] = where
        self._columns = {name: raw.table[name] for name in raw.table.column_names}

    @property
    def names(self) -> tuple[str, ...]:
        """Of its columns."""
        return tuple(self._columns)

    def rows(self, table: Any) -> NDArray[np.int64]:
        """(n,) its row for each row of a table, -1 where there is none.

        Raises:
            UserError: the table lacks the key column.
        """
        if self.on not in table.column_names:
            raise UserError(f"cannot join {self.file}: the rows have no column '{self.on}'")
        found: NDArray[np.int64] = self._row_of[self._coded(table[self.on], grow=False)]
        return found

    def beside(self, table: Any, rows: NDArray[np.int64]) -> Any:
        """The table with those of its columns that the table lacks: its given rows (n,), null for -1."""
        at = pa.array(rows, mask=rows < 0)
        columns = dict(zip(table.column_names, table.columns, strict=True))
        columns |= {name: column.take(at) for name, column in self._columns.items() if name not in columns}
        return pa.table(columns)

    def _coded(self, column: Any, grow: bool) -> NDArray[np.int32]:
        rows, values = distinct(column)
        codes: NDArray[np.int32] = np.append(self._keys.code(spans_of(values, self.missing), grow), np.int32(ABSENT))
        return codes[rows]
