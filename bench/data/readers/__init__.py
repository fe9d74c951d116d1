"""Readers: raw files -> Arrow tables with the columns that a card needs. Add one by adding it to `READERS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from bench.data.card import Card
from bench.data.reader_config import CsvReader, DoubleColonReader, Join, ParquetReader, SyntheticReader
from bench.data.readers.base import RawTable
from bench.data.readers.csv import read_csv
from bench.data.readers.double_colon import read_double_colon
from bench.data.readers.pairs import read_pairs
from bench.data.readers.parquet import read_parquet
from bench.data.synthetic import GENERATORS
from bench.progress import Progress

Paths = Mapping[str, Path]
Tables = tuple[list[RawTable], list[tuple[Join, RawTable]]]


def _csv(card: Card, paths: Paths, progress: Progress) -> Tables:
    reader = card.reader
    assert isinstance(reader, CsvReader)
    wanted = card.raw_columns | {join.on: "text" for join in reader.joins}
    options = {"separator": reader.separator, "missing": reader.missing}

    def read(file: str, names: tuple[str, ...], keep_all: bool) -> RawTable:
        return read_csv(paths[file], file, wanted, progress, names=names, keep_all=keep_all, **options)  # type: ignore[arg-type]

    rows = [read(file, reader.columns, reader.drop_duplicates) for file in card.row_files]
    return rows, [(join, read(join.file, join.columns, False)) for join in reader.joins]


def _parquet(card: Card, paths: Paths, progress: Progress) -> Tables:
    reader = card.reader
    assert isinstance(reader, ParquetReader)
    wanted = card.raw_columns | {join.on: "text" for join in reader.joins}
    rows = [
        read_parquet(paths[file], file, wanted, progress, keep_all=reader.drop_duplicates) for file in card.row_files
    ]
    return rows, [(join, read_parquet(paths[join.file], join.file, wanted, progress)) for join in reader.joins]


def _pairs(card: Card, paths: Paths, progress: Progress) -> Tables:
    return read_pairs(card, paths, progress), []


def _double_colon(card: Card, paths: Paths, progress: Progress) -> Tables:
    reader = card.reader
    assert isinstance(reader, DoubleColonReader)
    wanted = card.raw_columns | {join.on: "text" for join in reader.joins}
    rows = [read_double_colon(paths[file], file, wanted, reader.columns, progress) for file in card.row_files]
    sides = [
        (join, read_double_colon(paths[join.file], join.file, wanted, join.columns, progress)) for join in reader.joins
    ]
    return rows, sides


def _synthetic(card: Card, paths: Paths, progress: Progress) -> Tables:
    reader = card.reader
    assert isinstance(reader, SyntheticReader)
    generator = GENERATORS[reader.generator]
    with progress.task(f"generating {card.key}", None, "rows") as advance:
        table = generator.generate(generator.config.model_validate(reader.parameters))
        advance(table.num_rows)
    return [RawTable("generated", table, lambda row: f"generated row {row + 1}")], []


READERS: dict[str, Callable[[Card, Paths, Progress], Tables]] = {
    "csv": _csv,
    "double-colon": _double_colon,
    "pairs": _pairs,
    "parquet": _parquet,
    "synthetic": _synthetic,
}
"""Kind on a card -> function (card, files, progress) -> tables of rows, and side tables with their joins."""


def read(card: Card, paths: Paths, progress: Progress) -> Tables:
    """The tables of rows in the order of the card's files, and the side tables to join to them.

    Raises:
        UserError: a file cannot be read, with file and line.
    """
    return READERS[card.reader.kind](card, paths, progress)
