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
from bench.data.readers.base import RawTable, kept_rows
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
    if match := _NUMBER.search(text):
        column, row, value = int(match[1]), int(match[2]), match[3]
        return UserError(
            f"{place_of(path, before + row - 1)}: '{header[column]}': expected a number, found "
            f"'{value}'"
        )
    if "UTF8" in text:
        wrong = (line.decode(errors="ignore").encode() != line for line in block.split(b"\n"))
        return UserError(f"{place_of(path, before + [*wrong].index(True))}: expected UTF-8 text")
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


def cleaner(separator: str, columns: int) -> Callable[[bytes], bytes]:
    """Returns a function that removes empty lines and open quotes from blocks of whole lines for
    Arrow's reader.

    Arrow reads empty lines in quadratic time. Where a quoted value continues on the next line,
    Arrow's result depends on its blocks, so such a line becomes `UNFIT`. `separator` is empty where
    quotes have no meaning.
    """
    unfit, mark = (UNFIT + separator * columns).encode(), re.escape(separator).encode()
    # As in Arrow's reader, a quote opens only where a field begins, and two within quotes stand for
    # one.
    whole = rb'(?:"(?:[^"\n]|"")*+"[^%b\r\n]*+|(?!")[^%b\r\n]*+)[%b\r]' % (mark, mark, mark)
    left_open = re.compile(rb'^(?:%b)*+"(?:[^"\n]|"")*+$' % whole, re.MULTILINE)

    def cleaned(block: bytes) -> bytes:
        if separator and b'"' in block:
            block = left_open.sub(lambda line: unfit, block)
        return (
            _EMPTY.sub(rb"\1", block)
            if b"\n\n" in block or b"\n\r" in block or block[:1] in b"\r\n"
            else block
        )

    return cleaned


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
    kept = [name for name in header if keep_all or name in wanted]
    markers = ["", *missing]
    # Arrow compares the markers before it trims blanks; text columns are trimmed later, in
    # `values`.
    markers += [f" {marker}" for marker in markers]
    numbers = TEXT if drop else NUMBER
    types = {name: numbers if wanted.get(name) == "number" else TEXT for name in kept}
    empty = pa.schema(types).empty_table()
    yield RawTable(file, empty, lambda row: str(path), columns=header)
    before, skipped, bad = 0 if names else 1, list[int](), list[BadRow]()
    clean = cleaner(separator if quoted else "", len(header))

    def skip(row: Any) -> str:
        reason, what = (
            "columns",
            f"expected {row.expected_columns} columns, found {row.actual_columns}",
        )
        if row.text.startswith(UNFIT):
            reason, what = "quotes", OPEN
        number = before + row.number - 1
        bad.append((reason, lambda: f"{place_of(path, number)}: {what}"))
        skipped.append(row.number - 1)
        return "skip"

    parsing = pacsv.ParseOptions(
        delimiter=separator, quote_char='"' if quoted else False, invalid_row_handler=skip
    )
    converting = pacsv.ConvertOptions(
        column_types=types,
        include_columns=kept,
        null_values=markers,
        strings_can_be_null=True,
        check_utf8=not drop,
    )
    with closing(blocks.blocks(path, progress)) as source:
        for number, block in enumerate(map(change, source)):
            if number == 0:
                block = block.removeprefix(codecs.BOM_UTF8)
                block = block if names else block.partition(b"\n")[2]
            if not (block := clean(block)):
                continue
            reading = pacsv.ReadOptions(
                use_threads=False, column_names=list(header), block_size=len(block)
            )
            try:
                table = pacsv.read_csv(
                    pa.BufferReader(block),
                    read_options=reading,
                    parse_options=parsing,
                    convert_options=converting,
                )
            except pa.ArrowInvalid as error:
                if drop or not bad:
                    raise explained(error, path, header, before, block) from None
            if bad and not drop:
                raise UserError(bad[0][1]())
            lines_of = np.delete(np.arange(before, before + table.num_rows + len(skipped)), skipped)
            yield from RawTable(
                file, table, kept_rows(partial(place_of, path), lines_of), tuple(bad)
            ).parts()
            before += table.num_rows + len(skipped)
            skipped.clear()
            bad.clear()
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

    def separated(block: bytes) -> bytes:
        return (
            block.removeprefix(codecs.BOM_UTF8).decode("latin-1").replace(between, "\x1f").encode()
        )

    return read_csv(
        path, file, wanted, progress, separator="\x1f", quoted=False, change=separated, **options
    )


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
    try:
        names = tuple(
            name.strip() for name in next(csv.reader([line], delimiter=separator, strict=True), [])
        )
    except csv.Error as error:
        problem = (
            ", found a quote that this line does not end"
            if "end of data" in str(error)
            else f": {error}"
        )
        raise UserError(
            f"{path}, line 1: expected a header with the names of the columns{problem}"
        ) from None
    if not names:
        raise UserError(
            f"{path}, line 1: expected a header with the names of the columns, found an empty line"
        )
    if (twice := repeated(names)) is not None:
        hint = (
            "of a file without header say the columns' names (--columns, or reader.columns on "
            "a card)"
        )
        raise UserError(f"{path}, line 1: column '{twice}' is named twice; {hint}")
    return names
