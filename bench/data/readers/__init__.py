"""Readers: raw files -> Arrow tables with the columns that a card needs, part by part. Add one to `FILES`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.data.card import Card
from bench.data.prefetch import ahead
from bench.data.readers.ali_ccp import read_ali_ccp
from bench.data.readers.base import RawTable, whole
from bench.data.readers.csv import read_csv
from bench.data.readers.double_colon import read_double_colon
from bench.data.readers.pairs import read_pairs
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
from bench.data.synthetic import GENERATORS
from bench.plugins import Registry
from bench.progress import Progress
from bench.registry import Entry

Paths = Mapping[str, Sequence[Path]]
"""A card's name of a file -> the files it stands for: one, unless the name is a pattern."""


class RawFile(NamedTuple):
    """A file to read.

    Attributes:
        name: the card's name of it.
        side: the join it is the side table of, None for a file of rows.
        wanted: raw column -> `text`, `number` or `list`.
    """

    path: Path
    name: str
    side: Join | None
    wanted: Mapping[str, str]


def _csv(card: Card, file: RawFile, progress: Progress) -> Iterator[RawTable]:
    reader = card.reader
    assert isinstance(reader, CsvReader)
    return read_csv(
        file.path,
        file.name,
        file.wanted,
        progress,
        names=reader.columns if file.side is None else file.side.columns,
        separator=reader.separator,
        missing=reader.missing,
        keep_all=reader.drop_duplicates and file.side is None,
        drop=_drops(card) and file.side is None,
    )


def _parquet(card: Card, file: RawFile, progress: Progress) -> Iterator[RawTable]:
    reader = card.reader
    assert isinstance(reader, ParquetReader)
    keep_all = reader.drop_duplicates and file.side is None
    return read_parquet(file.path, file.name, file.wanted, progress, keep_all=keep_all)


def _double_colon(card: Card, file: RawFile, progress: Progress) -> Iterator[RawTable]:
    reader = card.reader
    assert isinstance(reader, DoubleColonReader)
    if file.side is not None:
        separator = reader.join_separator or reader.separator
        return read_double_colon(file.path, file.name, file.wanted, file.side.columns, progress, separator=separator)
    return read_double_colon(
        file.path, file.name, file.wanted, reader.columns, progress, _drops(card), reader.separator
    )


_OURS: dict[str, Entry[Iterator[RawTable]]] = {
    "csv": Entry(_csv, CsvReader, "-", "delimited text"),
    "double-colon": Entry(_double_colon, DoubleColonReader, "-", "MovieLens's text"),
    "parquet": Entry(_parquet, ParquetReader, "-", "Parquet files"),
}
FILES = Registry("reader", _OURS)
"""Kind on a card -> its `[reader]` table, and a function (card, file, progress) -> the file's rows, part by part."""


def read(card: Card, paths: Paths, progress: Progress, folder: Path | None = None) -> Iterator[RawTable]:
    """The rows of a card, part by part, in the order of its files; the next part is read while one is worked on.

    Args:
        folder: where a reader may put what it does not hold; none: where the system does.

    Raises:
        UserError: a file cannot be read, with file and line.
    """
    if isinstance(card.reader, SyntheticReader):
        return _generated(card, progress)
    if isinstance(card.reader, PairReader):
        return ahead(read_pairs(card, paths, progress, _drops(card)))
    if isinstance(card.reader, AliCcpReader):
        return read_ali_ccp(card, paths, progress, _drops(card), folder)  # it scans ahead itself
    return ahead(_rows(card, paths, progress))


def read_sides(card: Card, paths: Paths, progress: Progress) -> list[tuple[Join, RawTable]]:
    """The side tables to join to each row, whole: they are held in memory.

    Raises:
        UserError: a file cannot be read, with file and line.
    """
    if isinstance(card.reader, (SyntheticReader, PairReader, AliCcpReader)):
        return []
    wanted, one = _wanted(card), FILES[card.reader.kind].build
    return [
        (
            join,
            whole(
                part
                for path in paths[join.file]
                for part in one(card, RawFile(path, join.file, join, wanted), progress)
            ),
        )
        for join in card.reader.joins
    ]


def _rows(card: Card, paths: Paths, progress: Progress) -> Iterator[RawTable]:
    wanted, one = _wanted(card), FILES[card.reader.kind].build
    for name in card.row_files:
        for path in paths[name]:
            yield from one(card, RawFile(path, name, None, wanted), progress)


def _drops(card: Card) -> bool:
    return card.reader.on_bad_row == "drop"


def _wanted(card: Card) -> dict[str, str]:
    return card.raw_columns | {join.on: "text" for join in card.reader.joins}


def _generated(card: Card, progress: Progress) -> Iterator[RawTable]:
    reader = card.reader
    assert isinstance(reader, SyntheticReader)
    generator = GENERATORS[reader.generator]
    with progress.task(f"generating {card.key}", None, "rows") as advance:
        table = generator.generate(generator.config.model_validate(reader.parameters))
        advance(table.num_rows)
    yield from RawTable("generated", table, lambda row: f"generated row {row + 1}").parts()
