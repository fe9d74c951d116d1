"""Two files a row: what belongs to the item in one, what belongs to the user in the other, joined by a key.

The partner is held in memory, as Arrow columns; the rows stream past it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.data.card import Card
from bench.data.readers.base import RawTable, SideTable, kept_rows, whole
from bench.data.readers.csv import read_csv
from bench.data.sources import PairReader
from bench.errors import UserError
from bench.progress import Progress


def read_pairs(card: Card, paths: Mapping[str, Sequence[Path]], progress: Progress) -> Iterator[RawTable]:
    """The inner join of each row file with its partner, part by part; rows without a partner are counted.

    Raises:
        UserError: a broken line, a key that the partner holds twice, or no row with a partner.
    """
    reader = card.reader
    assert isinstance(reader, PairReader)
    wanted = card.raw_columns | {reader.on: "text"}
    for file in card.row_files:
        if file not in reader.partner:
            raise UserError(f"{card.key}: reader.partner names no partner for '{file}'")
        partner = reader.partner[file]
        given: dict[str, Any] = {"names": reader.partner_columns, "missing": reader.missing}
        held = (part for path in paths[partner] for part in read_csv(path, partner, wanted, progress, **given))
        side, paired = SideTable(whole(held), reader.on), False
        for path in paths[file]:
            for part in read_csv(
                path, file, wanted, progress, names=reader.columns, missing=reader.missing, drop=reader.drops
            ):
                at = side.rows(part.table)
                kept = np.flatnonzero(at >= 0)
                paired |= len(kept) > 0
                table = side.beside(part.table.take(pa.array(kept)), at[kept])
                yield RawTable(file, table, kept_rows(part.place, kept), part.bad, len(at) - len(kept))
        if not paired:
            raise UserError(f"{file}: no row has a partner with the same '{reader.on}' in {partner}")
