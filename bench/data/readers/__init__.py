"""Readers turn raw files into Arrow tables with a card's raw columns, part by part. Add one to
`FILES`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from bench.core.errors import UserError
from bench.core.plugins import Registry
from bench.core.registry import Entry
from bench.core.system.data_files import Key, partitions
from bench.core.system.progress import Progress, Silent
from bench.data.card import Card
from bench.data.prefetch import ahead
from bench.data.readers.ali_ccp import read_ali_ccp
from bench.data.readers.base import RawTable, SideTable, place_among, whole
from bench.data.readers.csv import read_csv, read_double_colon
from bench.data.readers.folders import with_folders
from bench.data.readers.parquet import read_parquet
from bench.data.sources import (
    AliCcpReader,
    CsvReader,
    DoubleColonReader,
    Join,
    PairReader,
    ParquetReader,
    SyntheticReader,
)

Paths = Mapping[str, Sequence[Path]]
"""A card's name of a file -> its files: one, unless the name is a pattern."""


class FileToRead(NamedTuple):
    """A file to read: its path, its name on the card, its join if it is a side table."""

    path: Path
    name: str
    side: Join | None
    wanted: Mapping[str, str]
    """Raw column -> `text`, `number`, `vector` or `list`."""
    partition: Mapping[str, Key] = {}
    """Columns that the names of its folders hold."""


def _csv(card: Card, file: FileToRead, progress: Progress) -> Iterator[RawTable]:
    reader = card.reader
    is_row_file = file.side is None
    assert isinstance(reader, CsvReader | DoubleColonReader | PairReader)
    options: dict[str, Any] = {
        "names": file.side.columns if file.side else reader.columns,
        "missing": reader.missing,
        "keep_all": reader.drop_duplicates and is_row_file and reader.kind != "pairs",
        "drop": reader.drops and is_row_file,
    }
    if not isinstance(reader, DoubleColonReader):
        options["separator"] = reader.separator
        return read_csv(file.path, file.name, file.wanted, progress, **options)
    options["between"] = reader.separator
    if not is_row_file and reader.join_separator:
        options["between"] = reader.join_separator
    return read_double_colon(file.path, file.name, file.wanted, progress, **options)


def _parquet(card: Card, file: FileToRead, progress: Progress) -> Iterator[RawTable]:
    keep_all = card.reader.drop_duplicates and file.side is None
    return read_parquet(file.path, file.name, file.wanted, progress, keep_all=keep_all)


_OURS: dict[str, Entry[Iterator[RawTable]]] = {
    "csv": Entry(_csv, CsvReader, "-", "delimited text"),
    "double-colon": Entry(_csv, DoubleColonReader, "-", "MovieLens's text"),
    "parquet": Entry(_parquet, ParquetReader, "-", "Parquet files"),
}
FILES = Registry("reader", _OURS)
"""Kind on a card -> its `[reader]` table, and a function (card, file, progress) -> the file's rows,
part by part.
"""


def read(
    card: Card, paths: Paths, progress: Progress, folder: Path | None = None
) -> Iterator[RawTable]:
    """Reads a card's rows, part by part, in the order of its files; a thread reads the next part
    ahead.

    Temporary files go into `folder`, or the system's. Raises UserError for a file it cannot read,
    with file and line.
    """
    if isinstance(card.reader, SyntheticReader):
        return _generated(card, progress)
    if isinstance(card.reader, PairReader):
        return ahead(_pairs(card, paths, progress))
    if isinstance(card.reader, AliCcpReader):
        return read_ali_ccp(card, paths, progress, folder)  # it scans ahead
    return ahead(_rows(card, [(name, None) for name in card.row_files], paths, progress))


def read_sides(card: Card, paths: Paths, progress: Progress) -> list[tuple[Join, RawTable]]:
    """Reads the side tables, each whole into memory; errors as of `read`."""
    if isinstance(card.reader, (SyntheticReader, PairReader, AliCcpReader)):
        return []
    sides = []
    for join in card.reader.joins:
        sides.append((join, _side(card, join, paths, progress)))
    return sides


def _side(card: Card, join: Join, paths: Paths, progress: Progress) -> RawTable:
    return whole(_rows(card, [(join.file, join)], paths, progress))


def _rows(
    card: Card, files: Sequence[tuple[str, Join | None]], paths: Paths, progress: Progress
) -> Iterator[RawTable]:
    wanted = card.raw_columns | {join.on: "text" for join in card.reader.joins}
    for name, side in files:
        to_read = []
        for path, partition in partitions(paths[name]).items():
            to_read.append(FileToRead(path, name, side, wanted, partition))
        yield from _as_one_table(card, to_read, progress)


def _as_one_table(
    card: Card, files: Sequence[FileToRead], progress: Progress
) -> Iterator[RawTable]:
    """The rows of files; a column that only some of them have is missing in the others."""
    types = _types(card, files) if len(files) > 1 else {}
    for file in files:
        for part in _parts(card, file, progress):
            if types:
                columns = tuple(types) if part.columns else ()
                part = replace(part, table=_with_all(types, part.table), columns=columns)
            yield part


def _parts(card: Card, file: FileToRead, progress: Progress) -> Iterator[RawTable]:
    build = _csv if isinstance(card.reader, PairReader) else FILES[card.reader.kind].build
    return with_folders(file.path, file.partition, build(card, file, progress))


def _types(card: Card, files: Sequence[FileToRead]) -> dict[str, pa.DataType | None]:
    """Every column of the files -> its type; None where it is not read."""
    types: dict[str, pa.DataType | None] = {}
    for file in files:
        first_part = next(_parts(card, file, Silent()))
        types = dict.fromkeys(first_part.columns) | types
        for field in first_part.table.schema:
            types[field.name] = field.type
    return types


def _with_all(types: Mapping[str, pa.DataType | None], table: pa.Table) -> pa.Table:
    columns = {}
    for name, kind in types.items():
        if name in table.column_names:
            columns[name] = table[name]
        elif kind is not None:
            columns[name] = pa.nulls(table.num_rows, kind)
    return pa.table(columns)


def _pairs(card: Card, paths: Paths, progress: Progress) -> Iterator[RawTable]:
    """Joins each row file with its partner, which is held in memory, and counts rows without a
    partner.
    """
    reader = card.reader
    assert isinstance(reader, PairReader)
    partners = {join.file: join for join in reader.joins}
    for file in card.row_files:
        if file not in reader.partner:
            raise UserError(f"{card.key}: reader.partner names no partner for '{file}'")
        partner = reader.partner[file]
        side = SideTable(_side(card, partners[partner], paths, progress), reader.on)
        any_paired = False
        for part in _rows(card, [(file, None)], paths, progress):
            partner_rows = side.rows(part.table)
            paired = np.flatnonzero(partner_rows >= 0)
            any_paired |= len(paired) > 0
            table = side.beside(part.table.take(pa.array(paired)), partner_rows[paired])
            unpaired = len(partner_rows) - len(paired)
            yield RawTable(file, table, place_among(part.place, paired), part.bad, unpaired)
        if not any_paired:
            raise UserError(
                f"{file}: no row has a partner with the same '{reader.on}' in {partner}"
            )


def _generated(card: Card, progress: Progress) -> Iterator[RawTable]:
    reader = card.reader
    assert isinstance(reader, SyntheticReader)
    from bench.data.synthetic import GENERATORS  # imports scipy.special

    generator = GENERATORS[reader.generator]
    with progress.task(f"generating {card.key}", None, "rows") as advance:
        table = generator.generate(generator.config.model_validate(reader.parameters))
        advance(table.num_rows)
    yield from RawTable("generated", table, lambda row: f"generated row {row + 1}").parts()
