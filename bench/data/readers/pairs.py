"""Two files a row: what belongs to the item in one, what belongs to the user in the other, joined by a key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.data.card import Card
from bench.data.reader_config import PairReader
from bench.data.readers.base import RawTable
from bench.data.readers.csv import read_csv
from bench.data.values import as_text
from bench.errors import UserError
from bench.progress import Progress


def read_pairs(card: Card, paths: Mapping[str, Path], progress: Progress) -> list[RawTable]:
    """One table for each row file: the inner join with its partner.

    Raises:
        UserError: a broken line, a key that the partner holds twice, or no row with a partner.
    """
    reader = card.reader
    assert isinstance(reader, PairReader)
    wanted = card.raw_columns | {reader.on: "text"}
    tables = []
    for file in card.row_files:
        partner = reader.partner[file]
        rows = read_csv(paths[file], file, wanted, progress, names=reader.columns)
        side = read_csv(paths[partner], partner, wanted, progress, names=reader.partner_columns)
        tables.append(_joined(rows, side, reader.on))
    return tables


def _joined(rows: RawTable, side: RawTable, on: str) -> RawTable:
    keys, wanted = as_text(side.table[on]), as_text(rows.table[on])
    row_of: dict[str, int] = {}
    for row, code in enumerate(keys.codes.tolist()):
        if code >= 0 and row_of.setdefault(keys.values[code], row) != row:
            raise UserError(f"{side.place(row)}: key '{on}' = {keys.values[code]} is there twice")
    at = np.array([*(row_of.get(value, -1) for value in wanted.values), -1])[wanted.codes]
    kept = np.flatnonzero(at >= 0)
    if len(kept) == 0:
        raise UserError(f"{rows.file}: no row has a partner with the same '{on}' in {side.file}")
    table = rows.table.take(pa.array(kept))
    for name in side.table.column_names:
        if name != on:
            table = table.append_column(name, side.table[name].take(pa.array(at[kept])))
    return RawTable(rows.file, table, lambda row: rows.place(int(kept[row])))
