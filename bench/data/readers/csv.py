"""Delimited text -> Arrow, streamed in blocks. Errors carry file and line."""

from __future__ import annotations

import csv
import io
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv

from bench.data.readers import blocks
from bench.data.readers.base import RawTable
from bench.data.readers.csv_errors import explained, place_of
from bench.data.readers.csv_lines import OPEN, UNFIT, CleanLines
from bench.data.rejects import BadRow, Place
from bench.errors import UserError
from bench.progress import Progress

TEXT = pa.dictionary(pa.int32(), pa.string())
NUMBER = pa.float64()


def read_csv(
    path: Path,
    file: str,
    wanted: Mapping[str, str],
    progress: Progress,
    *,
    names: Sequence[str] = (),
    separator: str = ",",
    missing: Collection[str] = (),
    keep_all: bool = False,
    drop: bool = False,
) -> Iterator[RawTable]:
    """Reads the wanted columns that the file has, part by part; all columns where `keep_all` is set.

    Args:
        wanted: raw column -> `text`, `number` or `list`; all but numbers are text.
        names: column names of a file without header.
        drop: leave out rows with a wrong number of columns or an open quote; numbers come as text then, and texts
            unchecked, for `bench.data.checks`.

    Raises:
        UserError: a broken packed file, no header, a line that is too long or has an open quote, a wrong number of
            columns, a bad number, bytes that are not UTF-8.
    """
    header = tuple(names) or _header(path, separator)
    kept = [name for name in header if keep_all or name in wanted]
    markers = ["", *missing]
    # Arrow compares the markers before it trims blanks; text columns are trimmed later, in `values`.
    markers += [f" {marker}" for marker in markers]
    dropped, bad = array("q"), list[BadRow]()

    def skip(row: Any) -> str:
        reason, what = "columns", f"expected {row.expected_columns} columns, found {row.actual_columns}"
        if row.text.startswith(UNFIT):
            reason, what = "quotes", OPEN
        number = row.number - 1
        bad.append((reason, lambda: f"{place_of(path, number)}: {what}"))
        dropped.append(number)
        return "skip"

    reading = pacsv.ReadOptions(
        use_threads=False, column_names=list(header), skip_rows=0 if names else 1, block_size=blocks.BLOCK
    )
    parsing = pacsv.ParseOptions(delimiter=separator, invalid_row_handler=skip if drop else None)
    numbers = TEXT if drop else NUMBER
    converting = pacsv.ConvertOptions(
        column_types={name: numbers if wanted.get(name) == "number" else TEXT for name in kept},
        include_columns=kept,
        null_values=markers,
        strings_can_be_null=True,
        check_utf8=not drop,
    )
    row = 0 if names else 1
    try:
        with (
            closing(blocks.blocks(path, progress)) as source,
            io.BufferedReader(CleanLines(source, separator, str(path), len(header) * drop), 1 << 20) as stream,
            pacsv.open_csv(stream, read_options=reading, parse_options=parsing, convert_options=converting) as reader,
        ):
            yield RawTable(file, reader.schema.empty_table(), lambda row: str(path))
            for batch in reader:
                found, bad[:] = tuple(bad), []
                place = _places(path, row, dropped)
                yield from RawTable(file, pa.Table.from_batches([batch]), place, found).parts()
                row += batch.num_rows
            yield RawTable(file, reader.schema.empty_table(), lambda row: str(path), tuple(bad))
    except pa.ArrowInvalid as error:
        raise explained(error, path, header) from None


def _places(path: Path, first: int, dropped: array[int]) -> Place:
    """`first`: the number of the first row among those that were kept, a header being row 0."""

    def place(row: int) -> str:
        filled = first + row
        for earlier in dropped:  # rising
            if earlier > filled:
                break
            filled += 1
        return place_of(path, filled)

    return place


def _header(path: Path, separator: str) -> tuple[str, ...]:
    first = next(blocks.lines(path), b"")
    try:
        line = first.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise UserError(f"{path}, line 1: expected UTF-8 text") from None
    if "\r" in line:
        raise UserError(f"{path}, line 1: expected lines that end with a newline, found a carriage return inside")
    try:
        names = tuple(name.strip() for name in next(csv.reader([line], delimiter=separator, strict=True), []))
    except csv.Error as error:
        raise UserError(f"{path}, line 1: expected a header with the names of the columns: {error}") from None
    if not names:
        raise UserError(f"{path}, line 1: expected a header with the names of the columns, found an empty line")
    if len(set(names)) < len(names):
        raise UserError(f"{path}, line 1: column '{next(n for n in names if names.count(n) > 1)}' is named twice")
    return names
