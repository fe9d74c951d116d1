"""Delimited text -> Arrow, streamed in blocks. Errors carry file and line."""

from __future__ import annotations

import codecs
import csv
import io
import re
from array import array
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv

from bench.data.checks import BadRow
from bench.data.readers import blocks
from bench.data.readers.base import RawTable, kept_rows
from bench.data.readers.blocks import lines
from bench.errors import UserError, repeated
from bench.progress import Progress

_NUMBER = re.compile(
    r"In CSV column #(\d+): Row #(\d+): CSV conversion error to double: invalid value '(.*)'", re.DOTALL
)


def explained(error: pa.ArrowInvalid, path: Path, header: Sequence[str]) -> UserError:
    """The user's mistake behind an error of Arrow's reader, with file and line.

    Args:
        header: names of the columns, in order.
    """
    text = str(error)
    if match := _NUMBER.search(text):
        column, row, value = int(match[1]), int(match[2]), match[3]
        return UserError(f"{place_of(path, row - 1)}: '{header[column]}': expected a number, found '{value}'")
    if "UTF8" in text:
        return UserError(f"{path}{_first_not_utf8(path)}: expected UTF-8 text")
    if "Empty CSV" in text:
        return UserError(f"{path}: expected rows, found an empty file")
    return UserError(f"{path}: {text.splitlines()[0]}")


def place_of(path: Path, row: int) -> str:
    """Where a row is.

    Args:
        row: counted from 0 over the lines that are not empty, the header among them; the answer counts all from 1.
    """
    filled = -1
    for number, line in enumerate(lines(path), 1):
        filled += bool(line.strip(b"\r\n"))
        if filled == row:
            return f"{path}, line {number}"
    return f"{path}, row {row + 1}"


def _first_not_utf8(path: Path) -> str:
    for number, line in enumerate(lines(path), 1):
        try:
            line.decode()
        except UnicodeDecodeError:
            return f", line {number}"
    return ""


UNFIT = "\x1a"
"""The replacement of a line with an open quote: one separator more than it should have."""
OPEN = "expected a row on one line, found a quote that is not closed on it"
_EMPTY = re.compile(rb"(\A|\n)[\r\n]+")


class CleanLines(io.RawIOBase):
    """Blocks of whole lines as a stream for Arrow's reader, without empty lines and without quotes that are left open.

    Arrow reads empty lines at the cost of their square. Where a value goes on in the next line, it takes what follows
    for part of it or gives up: that depends on where its blocks end. So such a line becomes `UNFIT`.

    Args:
        separator: between fields; none where quotes mean nothing.
        columns: how many a line has.
    """

    def __init__(self, source: Iterator[bytes], separator: str, columns: int) -> None:
        self._source, self._separator = source, separator
        self._unfit = (UNFIT + separator * columns).encode()
        mark = re.escape(separator).encode()
        # As in Arrow's reader, a quote counts where a field begins, and two within quotes stand for one.
        whole = rb'(?:"(?:[^"\n]|"")*+"[^%b\r\n]*+|(?!")[^%b\r\n]*+)[%b\r]' % (mark, mark, mark)
        self._open = re.compile(rb'^(?:%b)*+"(?:[^"\n]|"")*+$' % whole, re.MULTILINE)
        self._block, self._at, self._first = b"", 0, True

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As of any stream."""
        while self._at == len(self._block):
            if (block := next(self._source, None)) is None:
                return 0
            self._block, self._at = self._cleaned(block), 0
        size = min(len(buffer), len(self._block) - self._at)
        buffer[:size] = self._block[self._at : self._at + size]
        self._at += size
        return size

    def _cleaned(self, block: bytes) -> bytes:
        if self._first:
            block, self._first = block.removeprefix(codecs.BOM_UTF8), False
        if self._separator and b'"' in block:
            block = self._open.sub(lambda line: self._unfit, block)
        return _EMPTY.sub(rb"\1", block) if b"\n\n" in block or b"\n\r" in block or block[:1] in b"\r\n" else block


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
    """Reads the wanted columns that the file has, part by part; all columns where `keep_all` is set.

    Args:
        wanted: raw column -> `text`, `number` or `list`; all except numbers are text.
        names: column names of a file without header.
        drop: leave out rows with a wrong number of columns or an open quote; numbers come as text then, and texts
            unchecked, for `bench.data.checks`.
        quoted: whether quotes around a value are no part of it.
        change: of blocks of whole lines, where the file is not comma-separated UTF-8 itself.

    Raises:
        UserError: a broken packed file, no header, a line that is too long or has an open quote, a wrong number of
            columns, a bad number, bytes that are not UTF-8.
    """
    header = tuple(names) or header_of(path, separator)
    kept = [name for name in header if keep_all or name in wanted]
    markers = ["", *missing]
    # Arrow compares the markers before it trims blanks; text columns are trimmed later, in `values`.
    markers += [f" {marker}" for marker in markers]
    dropped, bad = array("q"), list[BadRow]()

    def place(row: int) -> str:
        for earlier in dropped:  # rising
            row += earlier <= row
        return place_of(path, row)

    def skip(row: Any) -> str:
        reason, what = "columns", f"expected {row.expected_columns} columns, found {row.actual_columns}"
        if row.text.startswith(UNFIT):
            reason, what = "quotes", OPEN
        number = row.number - 1
        bad.append((reason, lambda: f"{place_of(path, number)}: {what}"))
        dropped.append(number)
        return "skip"

    def refuse() -> None:
        if bad and not drop:
            raise UserError(bad[0][1]())

    reading = pacsv.ReadOptions(
        use_threads=False, column_names=list(header), skip_rows=0 if names else 1, block_size=blocks.BLOCK
    )
    parsing = pacsv.ParseOptions(delimiter=separator, quote_char='"' if quoted else False, invalid_row_handler=skip)
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
            io.BufferedReader(
                CleanLines(map(change, source), separator if quoted else "", len(header)), 1 << 20
            ) as stream,
            pacsv.open_csv(stream, read_options=reading, parse_options=parsing, convert_options=converting) as reader,
        ):
            refuse()
            yield RawTable(file, reader.schema.empty_table(), lambda row: str(path), columns=header)
            for batch in reader:
                refuse()
                found, bad[:] = tuple(bad), []
                rows = kept_rows(place, range(row, row + batch.num_rows))
                yield from RawTable(file, pa.Table.from_batches([batch]), rows, found).parts()
                row += batch.num_rows
            refuse()
            yield RawTable(file, reader.schema.empty_table(), lambda row: str(path), tuple(bad))
    except pa.ArrowInvalid as error:
        refuse()
        raise explained(error, path, header) from None


def read_double_colon(
    path: Path, file: str, wanted: Mapping[str, str], progress: Progress, *, between: str = "::", **options: Any
) -> Generator[RawTable]:
    """MovieLens's text as `read_csv` reads it: fields between `between`, no header, Latin-1; a quote is a letter."""

    def separated(block: bytes) -> bytes:
        return block.removeprefix(codecs.BOM_UTF8).decode("latin-1").replace(between, "\x1f").encode()

    return read_csv(path, file, wanted, progress, separator="\x1f", quoted=False, change=separated, **options)


def header_of(path: Path, separator: str) -> tuple[str, ...]:
    """The names of the columns, by a file's first line; raises UserError where that is no header."""
    first = next(blocks.lines(path), b"")
    if not first:
        raise UserError(f"{path}: expected rows, found an empty file")
    try:
        line = first.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise UserError(f"{path}, line 1: expected UTF-8 text") from None
    if "\r" in line:
        raise UserError(f"{path}, line 1: expected lines that end with a newline, found a carriage return inside")
    try:
        names = tuple(name.strip() for name in next(csv.reader([line], delimiter=separator, strict=True), []))
    except csv.Error as error:
        found = ", found a quote that this line does not end" if "end of data" in str(error) else f": {error}"
        raise UserError(f"{path}, line 1: expected a header with the names of the columns{found}") from None
    if not names:
        raise UserError(f"{path}, line 1: expected a header with the names of the columns, found an empty line")
    if (twice := repeated(names)) is not None:
        hint = "of a file without header say the columns' names (--columns, or reader.columns on a card)"
        raise UserError(f"{path}, line 1: column '{twice}' is named twice; {hint}")
    return names
