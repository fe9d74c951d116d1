"""Delimited text -> Arrow, streamed in blocks. Errors carry file and line."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from bench.data.readers.base import RawTable
from bench.data.readers.raw import open_raw
from bench.errors import UserError
from bench.progress import Progress

TEXT = pa.dictionary(pa.int32(), pa.string())
NUMBER = pa.float64()
_ROW = re.compile(r"Row #(\d+): (.*)", re.DOTALL)
_NUMBER = re.compile(
    r"In CSV column #(\d+): Row #(\d+): CSV conversion error to double: invalid value '(.*)'", re.DOTALL
)


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
) -> RawTable:
    """Reads the wanted columns that the file has; all columns where `keep_all` is set.

    Args:
        wanted: raw column -> `text` or `number`; columns not named are text.
        names: column names of a file without header.

    Raises:
        UserError: broken gzip, no header, a wrong number of columns, a bad number, bytes that are not UTF-8.
    """
    header = tuple(names) or _header(path, separator)
    kept = [name for name in header if keep_all or name in wanted]
    markers = ["", *missing]
    # Arrow compares the markers before it trims blanks; text columns are trimmed later, in `values`.
    markers += [f" {marker}" for marker in markers]
    reading = pacsv.ReadOptions(
        use_threads=False, column_names=list(header), skip_rows=0 if names else 1, block_size=4 << 20
    )
    parsing = pacsv.ParseOptions(delimiter=separator)
    converting = pacsv.ConvertOptions(
        column_types={name: NUMBER if wanted.get(name) == "number" else TEXT for name in kept},
        include_columns=kept,
        null_values=markers,
        strings_can_be_null=True,
    )
    batches = []
    try:
        with (
            progress.task(f"reading {path.name}", path.stat().st_size, "B") as advance,
            open_raw(path, advance) as stream,
            pacsv.open_csv(stream, read_options=reading, parse_options=parsing, convert_options=converting) as reader,
        ):
            schema = reader.schema
            batches.extend(reader)
    except pa.ArrowInvalid as error:
        raise _explained(error, path, header, separator) from None
    return RawTable(file, pa.Table.from_batches(batches, schema), lambda row: _place(path, row + (0 if names else 1)))


def _header(path: Path, separator: str) -> tuple[str, ...]:
    with open_raw(path) as stream:
        first = stream.readline()
    try:
        line = first.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise UserError(f"{path}, line 1: expected UTF-8 text") from None
    names = tuple(name.strip() for name in next(csv.reader([line], delimiter=separator), []))
    if not names:
        raise UserError(f"{path}, line 1: expected a header with the names of the columns, found an empty line")
    if len(set(names)) < len(names):
        raise UserError(f"{path}, line 1: column '{next(n for n in names if names.count(n) > 1)}' is named twice")
    return names


def _explained(error: pa.ArrowInvalid, path: Path, header: Sequence[str], separator: str) -> UserError:
    text = str(error)
    if match := _NUMBER.search(text):
        column, row, value = int(match[1]), int(match[2]), match[3]
        return UserError(f"{_place(path, row - 1)}: '{header[column]}': expected a number, found '{value}'")
    if "UTF8" in text:
        return UserError(f"{path}{_first_not_utf8(path)}: expected UTF-8 text")
    if match := _ROW.search(text):
        expected = match[2].split(": ")[0].splitlines()[0]
        reason = re.sub(r"Expected (\d+) columns, got (\d+).*", r"expected \1 columns, found \2", expected)
        return UserError(f"{_place(path, int(match[1]) - 1)}: {reason}")
    if "Empty CSV" in text:
        return UserError(f"{path}: expected rows, found an empty file")
    return UserError(f"{path}: {text.splitlines()[0]}")


def _place(path: Path, row: int) -> str:
    """`row` counts from 0 over lines that are not empty, the header among them; the answer counts all from 1."""
    with open_raw(path) as stream:
        filled = -1
        for number, line in enumerate(stream, 1):
            filled += bool(line.strip(b"\r\n"))
            if filled == row:
                return f"{path}, line {number}"
    return f"{path}, row {row + 1}"


def _first_not_utf8(path: Path) -> str:
    with open_raw(path) as stream:
        for number, line in enumerate(stream, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return f", line {number}"
    return ""
