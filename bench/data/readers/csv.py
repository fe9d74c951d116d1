"""Streams delimited text to Arrow in blocks. Errors carry file and line."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from bench.core.errors import UserError, repeated
from bench.core.system.progress import Progress
from bench.data.checks import BadRow
from bench.data.readers import blocks
from bench.data.readers.base import RawTable, place_among
from bench.data.readers.blocks import lines

_NUMBER = re.compile(
    r"In CSV column #(\d+): Row #(\d+): CSV conversion error to double: invalid value '(.*)'",
    re.DOTALL,
)


def explained(
    error: pa.ArrowInvalid, path: Path, header: Sequence[str], before: int, block: bytes
) -> UserError:
    """Converts an error of Arrow's reader into a UserError with file and line.

    `block` has the lines that were read, none empty; `before` counts the file's non-empty lines
    before it.
    """
    text = str(error)
    number = _NUMBER.search(text)
    if number is not None:
        column, row, value = int(number[1]), int(number[2]), number[3]
        place = place_of(path, before + row - 1)
        return UserError(f"{place}: '{header[column]}': expected a number, found '{value}'")
    if "UTF8" in text:
        is_broken = [line.decode(errors="ignore").encode() != line for line in block.split(b"\n")]
        return UserError(f"{place_of(path, before + is_broken.index(True))}: expected UTF-8 text")
    return UserError(f"{path}: {text.splitlines()[0]}")


def place_of(path: Path, row: int) -> str:
    """File and line (from 1) of a row; `row` counts non-empty lines from 0, the header included."""
    filled = -1
    for number, line in enumerate(lines(path), 1):
        filled += bool(line.strip(b"\r\n"))
        if filled == row:
            return f"{path}, line {number}"
    return f"{path}, row {row + 1}"


UNFIT = "\x1a"
"""Replaces a line with an open quote, with one separator too many so that the parser rejects it."""
OPEN = "expected a row on one line, found a quote that is not closed on it"
_EMPTY = re.compile(rb"(\A|\n)[\r\n]+")


class Cleaner:
    """Removes empty lines and open quotes from blocks of whole lines for Arrow's reader.

    Arrow reads empty lines in quadratic time. Where a quoted value continues on the next line,
    Arrow's result depends on its blocks, so such a line becomes `UNFIT`. `separator` is empty where
    quotes have no meaning.
    """

    def __init__(self, separator: str, columns: int) -> None:
        self._quotes = bool(separator)
        self._unfit = (UNFIT + separator * columns).encode()
        mark = re.escape(separator).encode()
        # As in Arrow's reader, a quote opens only where a field begins, and two within quotes stand
        # for one.
        field = rb'(?:"(?:[^"\n]|"")*+"[^%b\r\n]*+|(?!")[^%b\r\n]*+)[%b\r]' % (mark, mark, mark)
        self._open_line = re.compile(rb'^(?:%b)*+"(?:[^"\n]|"")*+$' % field, re.MULTILINE)

    def clean(self, block: bytes) -> bytes:
        """The block as Arrow's reader takes it."""
        if self._quotes and b'"' in block:
            block = self._open_line.sub(lambda line: self._unfit, block)
        if b"\n\n" in block or b"\n\r" in block or block[:1] in b"\r\n":
            return _EMPTY.sub(rb"\1", block)
        return block


class SkippedRows:
    """Rows of a block that Arrow's reader passes over, since their number of columns is wrong.

    Args:
        before: non-empty lines of the file before the block.
    """

    def __init__(self, path: Path, before: int) -> None:
        self._path, self._before = path, before
        self.rows: list[int] = []
        self.bad: list[BadRow] = []

    def skip(self, row: pacsv.InvalidRow) -> str:
        """Takes a row and its fault."""
        reason = "columns"
        fault = f"expected {row.expected_columns} columns, found {row.actual_columns}"
        if row.text.startswith(UNFIT):
            reason, fault = "quotes", OPEN
        self.rows.append(row.number - 1)
        self.bad.append((reason, partial(self._message, row.number - 1, fault)))
        return "skip"

    def _message(self, row: int, fault: str) -> str:
        return f"{place_of(self._path, self._before + row)}: {fault}"


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
    quoted: bool = True,
    change: Callable[[bytes], bytes] = bytes,
) -> Generator[RawTable]:
    """Reads the wanted columns that the file has, or all if `keep_all`, part by part.

    Raises UserError for a broken compressed file, no header, a bad number, or bytes that are not
    UTF-8; and for a line that is too long, has an open quote, or a wrong number of columns.

    Args:
        wanted: raw column -> `text`, `number` or `list`; all except numbers are text.
        names: column names of a file without header.
        drop: leave out rows with a wrong number of columns or an open quote; numbers then come as
            text, and texts unchecked, for `bench.data.checks`.
        quoted: whether quotes around a value are removed.
        change: converts blocks of whole lines to comma-separated UTF-8.
    """
    header = tuple(names) or header_of(path, separator)
    columns = [name for name in header if keep_all or name in wanted]
    markers = ["", *missing]
    # Arrow compares the markers before it trims blanks; text columns are trimmed later, in
    # `values`.
    markers += [f" {marker}" for marker in markers]
    numbers = TEXT if drop else NUMBER
    types = {name: numbers if wanted.get(name) == "number" else TEXT for name in columns}
    empty = pa.schema(types).empty_table()
    yield RawTable(file, empty, lambda row: str(path), columns=header)
    before = 0 if names else 1
    cleaner = Cleaner(separator if quoted else "", len(header))
    converting = pacsv.ConvertOptions(
        column_types=types,
        include_columns=columns,
        null_values=markers,
        strings_can_be_null=True,
        check_utf8=not drop,
    )
    with closing(blocks.blocks(path, progress)) as source:
        for number, block in enumerate(map(change, source)):
            if number == 0:
                block = block.removeprefix(codecs.BOM_UTF8)
                if not names:
                    _, _, block = block.partition(b"\n")
            block = cleaner.clean(block)
            if not block:
                continue
            skipped = SkippedRows(path, before)
            reading = pacsv.ReadOptions(
                use_threads=False, column_names=list(header), block_size=len(block)
            )
            parsing = pacsv.ParseOptions(
                delimiter=separator,
                quote_char='"' if quoted else False,
                invalid_row_handler=skipped.skip,
            )
            try:
                table = pacsv.read_csv(pa.BufferReader(block), reading, parsing, converting)
            except pa.ArrowInvalid as error:
                if drop or not skipped.bad:
                    raise explained(error, path, header, before, block) from None
            if skipped.bad and not drop:
                _, message = skipped.bad[0]
                raise UserError(message())
            end = before + table.num_rows + len(skipped.bad)
            rows = np.delete(np.arange(before, end), skipped.rows)
            place = place_among(partial(place_of, path), rows)
            yield from RawTable(file, table, place, tuple(skipped.bad)).parts()
            before = end
    if before == 0:
        raise UserError(f"{path}: expected rows, found an empty file")


def read_double_colon(
    path: Path,
    file: str,
    wanted: Mapping[str, str],
    progress: Progress,
    *,
    between: str = "::",
    **options: Any,
) -> Generator[RawTable]:
    """Reads MovieLens's text like `read_csv`: fields between `between`, no header, Latin-1, quotes
    as plain letters.
    """

    change = partial(_with_separator, between)
    return read_csv(
        path, file, wanted, progress, separator=_UNIT, quoted=False, change=change, **options
    )


_UNIT = "\x1f"
"""The separator that Arrow's reader sees; it takes one byte only."""


def _with_separator(between: str, block: bytes) -> bytes:
    text = block.removeprefix(codecs.BOM_UTF8).decode("latin-1")
    return text.replace(between, _UNIT).encode()


def header_of(path: Path, separator: str) -> tuple[str, ...]:
    """Reads the column names from a file's first line; raises UserError if it is no header."""
    first = next(blocks.lines(path), b"")
    if not first:
        raise UserError(f"{path}: expected rows, found an empty file")
    try:
        line = first.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise UserError(f"{path}, line 1: expected UTF-8 text") from None
    if "\r" in line:
        raise UserError(
            f"{path}, line 1: expected lines that end with a newline, found a carriage return "
            "inside"
        )
    no_header = f"{path}, line 1: expected a header with the names of the columns"
    try:
        fields = next(csv.reader([line], delimiter=separator, strict=True), [])
    except csv.Error as error:
        if "end of data" in str(error):
            raise UserError(f"{no_header}, found a quote that this line does not end") from None
        raise UserError(f"{no_header}: {error}") from None
    if not fields:
        raise UserError(f"{no_header}, found an empty line")
    names = tuple(name.strip() for name in fields)
    twice = repeated(names)
    if twice is not None:
        raise UserError(
            f"{path}, line 1: column '{twice}' is named twice; of a file without header say the "
            "columns' names (--columns, or reader.columns on a card)"
        )
    return names
