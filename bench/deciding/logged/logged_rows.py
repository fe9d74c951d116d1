"""Reads a log: its columns as arrays, from files or from a table in memory."""

from __future__ import annotations

import csv as csv_module
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv
from pyarrow.types import (
    is_boolean,
    is_date,
    is_decimal,
    is_dictionary,
    is_floating,
    is_integer,
    is_null,
    is_timestamp,
)

from bench.core.arrays import Floats, Ints, Mask
from bench.core.errors import UserError, missing, shortened
from bench.core.system.data_files import NAMES, Key, files_at, partitions, unchanged
from bench.core.system.object_store import opened
from bench.core.system.progress import Progress, Work
from bench.deciding.logged.asked import Asked
from bench.deciding.logged.columns import Numbers, Place

LARGEST = float(np.finfo(np.float32).max)
WANTED_BY_TYPE = {"double": "numbers", "bool": "true or false", "int64": "whole numbers"}
"""In words, what Arrow expects in a column of a type."""

NUMERIC = (is_integer, is_floating, is_boolean, is_decimal, is_null)

ArrowColumn: TypeAlias = pa.Array | pa.ChunkedArray


@dataclass(frozen=True)
class Origin:
    """Where rows come from.

    Attributes:
        files: with the number of rows of each, in order; none of a table.
    """

    files: Sequence[tuple[Path, int]] = ()

    def place(self, row: int) -> str:
        """A row, counted from 0 over all files, in words: a CSV file's line, else the row of its
        file or table.
        """
        for file, rows in self.files:
            if row < rows:
                return _place(file, row)
            row -= rows
        return f"row {row:,} of the table (from 0)"


class NameColumn(NamedTuple):
    """A column whose values are compared, but not computed with.

    Attributes:
        codes: (N,) from 0, -1 where missing.
        values: by code what it stands for; empty where codes stand for themselves.
    """

    codes: Ints
    values: Numbers


@dataclass
class LoggedRows:
    """N rows of a log.

    Attributes:
        numbers: by column (N,) float32, NaN where missing; today's score and what it is made of in
            double precision.
        notes: sentences on what was left out.
        rows: (N,), which rows of the origin these are; None for all of them.
    """

    numbers: dict[str, Numbers]
    names: dict[str, NameColumn]
    notes: list[str] = field(default_factory=list)
    origin: Origin = field(default_factory=Origin)
    rows: Ints | None = None

    def __len__(self) -> int:
        return len(next(iter(self.numbers.values())))

    def where(self, mask: Mask) -> LoggedRows:
        """The rows where a mask (N,) is true."""
        if mask.all():
            return self
        numbers = {name: values[mask] for name, values in self.numbers.items()}
        names = {}
        for name, column in self.names.items():
            names[name] = NameColumn(column.codes[mask], column.values)
        rows = np.flatnonzero(mask)
        if self.rows is not None:
            rows = self.rows[mask]
        return LoggedRows(numbers, names, self.notes, self.origin, rows)

    def place(self, row: int) -> str:
        """Where one of these rows lies, in words."""
        if self.rows is not None:
            row = int(self.rows[row])
        return self.origin.place(row)


def files_of(asked: Asked) -> list[Path]:
    """The log's files, in order; UserError for one that is missing, or none."""
    files: list[Path] = []
    for path in asked.log:
        files += files_at(Path(path))
    if not files:
        raise UserError("expected a log: a CSV or parquet file, or a folder of them, found none")
    for file in files:
        if not NAMES.search(file.name):
            raise UserError(
                f"{file}: expected a name that ends with .csv, .tsv or .parquet, found "
                f"'{file.suffix}'"
            )
    return files


def read(asked: Asked, progress: Progress, made: Mapping[str, Numbers] | None = None) -> LoggedRows:
    """The log's files, column by column; UserError for a missing file or column, or a value that
    should be a number.

    Args:
        made: the columns (N,) that packages make of it.
    """
    files = files_of(asked)
    read_numbers = _in_log(asked)
    pieces: dict[str, list[Any]] = {name: [] for name in (*read_numbers, *asked.names)}
    file_of_piece: list[Path] = []
    total_bytes = sum(file.stat().st_size for file in files)
    rows_by_file = []
    with progress.show(Work("reading the log", total_bytes, "B")) as advance:
        for file, partition in partitions(files).items():
            rows = 0
            for batch in _batches(file, partition, asked):
                place = partial(_place_after, file, rows)
                for name in read_numbers:
                    numbers = _numbers(batch[name], str(file), name, asked, place)
                    pieces[name].append(numbers)
                for name in asked.names:
                    pieces[name].append(_without_dictionary(batch[name]))
                file_of_piece.append(file)
                rows += len(batch)
            rows_by_file.append((file, rows))
            advance(file.stat().st_size)
    if not any(rows for _, rows in rows_by_file):
        raise UserError(f"{files[0]}: expected rows, found none")

    numbers_by_name = {name: np.concatenate(pieces.pop(name)) for name in read_numbers}
    return LoggedRows(
        numbers_by_name | dict(made or {}),
        {
            name: _coded(_joined(pieces.pop(name), name, file_of_piece), name)
            for name in asked.names
        },
        origin=Origin(rows_by_file),
    )


def of_frame(frame: object, asked: Asked, made: Mapping[str, Numbers] | None = None) -> LoggedRows:
    """The same of a table of pandas, Arrow, or any library whose tables Arrow reads, such as
    Polars.
    """
    table = _table(frame, asked)
    if not len(table):
        raise UserError("the table: expected rows, found none")
    origin = Origin()
    numbers = {}
    for name in _in_log(asked):
        numbers[name] = _numbers(table[name], "the table", name, asked, origin.place)
    numbers |= made or {}
    names = {}
    for name in asked.names:
        names[name] = _coded(_without_dictionary(table[name]), name)
    return LoggedRows(numbers, names, origin=origin)


def _in_log(asked: Asked) -> list[str]:
    """Columns of numbers that the log must have."""
    made = {*asked.made}
    return [name for name in asked.numbers if name not in made]


def _table(frame: object, asked: Asked) -> pa.Table:
    """An Arrow table of the columns that are asked for."""
    wanted = list(dict.fromkeys([*_in_log(asked), *asked.names]))
    if isinstance(frame, pd.DataFrame):
        _check_columns([*frame.columns], asked, "the table")
        return pa.table({name: _arrow_column(frame[name], name) for name in wanted})
    if isinstance(frame, pa.Table | pa.RecordBatch) or hasattr(frame, "__arrow_c_stream__"):
        table = pa.table(frame)
    else:
        raise UserError(
            "expected a pandas or Arrow table, or paths of CSV or parquet files, found "
            f"{type(frame).__name__}"
        )
    _check_columns(table.column_names, asked, "the table")
    return table.select(wanted)


def _arrow_column(values: pd.Series[Any], name: str) -> pa.ChunkedArray:
    """A column of a pandas table; UserError for one that holds values of several kinds, with the
    first odd one.
    """
    try:
        column = pa.array(values, from_pandas=True)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        types = values.map(type)
        common_type = types[values.notna()].mode().iloc[0]
        odd_rows = np.flatnonzero((types != common_type) & values.notna())
        row = 0
        if len(odd_rows):
            row = int(odd_rows[0])
        raise UserError(
            f"the table: expected values of one kind in the column '{name}', found "
            f"{shortened(repr(values.iloc[row]))} in {Origin().place(row)}"
        ) from None
    if isinstance(column, pa.ChunkedArray):
        return column
    return pa.chunked_array([column])


def _is_text(file: Path) -> bool:
    kind = NAMES.search(file.name)
    return kind is not None and kind["table"] is None


def delimiter(file: Path) -> str:
    """Between the values of a text file."""
    kind = NAMES.search(file.name)
    return "\t" if kind is not None and kind["text"] == "tsv" else ","


def _batches(file: Path, partition: Mapping[str, Key], asked: Asked) -> Iterator[pa.Table]:
    """The columns that are asked for, those that the file's folders hold among them."""
    batches = _text_batches if _is_text(file) else _parquet_batches
    try:
        with unchanged(file):
            for batch in batches(file, partition, asked):
                table = pa.table(batch)
                for name in {*_in_log(asked), *asked.names}.difference(table.column_names):
                    column = pa.repeat(pa.scalar(partition[name]), len(table))
                    table = table.append_column(name, column)
                yield table
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        raise UserError(_unreadable(file, error)) from None


def _parquet_batches(
    file: Path, partition: Mapping[str, Key], asked: Asked
) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(opened(file)) as source:
        columns = _columns_of(file, source.schema_arrow, partition, asked)
        yield from source.iter_batches(columns=columns)


def _columns_of(
    file: Path, schema: pa.Schema, partition: Mapping[str, Key], asked: Asked
) -> list[str]:
    """The columns to read of a file; UserError for one that neither it nor its folders have."""
    of_folders = [name for name in partition if name not in schema.names]
    _check_columns([*schema.names, *of_folders], asked, str(file))
    return [name for name in (*_in_log(asked), *asked.names) if name not in of_folders]


def _text_batches(
    file: Path, partition: Mapping[str, Key], asked: Asked
) -> Iterator[pa.RecordBatch]:
    parse = csv.ParseOptions(delimiter=delimiter(file))
    with _text_stream(file) as stream, csv.open_csv(stream, parse_options=parse) as reader:
        schema = reader.schema
    columns = _columns_of(file, schema, partition, asked)
    types = {}
    for name in columns:
        kind = schema.field(name).type
        if name in asked.numbers:
            types[name] = pa.bool_() if is_boolean(kind) else pa.float64()
        else:
            types[name] = pa.int64() if is_integer(kind) else pa.string()
    convert = csv.ConvertOptions(
        include_columns=columns,
        column_types=types,
        strings_can_be_null=True,
    )
    with (
        _text_stream(file) as stream,
        csv.open_csv(stream, parse_options=parse, convert_options=convert) as reader,
    ):
        yield from reader


def _text_stream(file: Path) -> pa.NativeFile:
    """The bytes of a text file, unpacked by its name."""
    packed = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}.get(file.suffix)
    return pa.input_stream(opened(file), compression=packed)


def _unreadable(file: Path, error: Exception) -> str:
    """What is wrong in a file that Arrow does not read."""
    reason = str(error).partition("\n")[0]
    if isinstance(error, UnicodeDecodeError) or "invalid UTF8" in reason:
        return (
            f"{file}: expected text in UTF-8, found other bytes; iconv -f latin1 -t utf-8 "
            "changes Latin-1"
        )
    refused_value = re.match(
        r"In CSV column #(\d+): .*conversion error to (\w+): invalid value '(.*)'", reason
    )
    if refused_value is None:
        wanted = "a CSV file" if _is_text(file) else "a parquet file"
        return f"{file}: expected {wanted}, found: {shortened(reason)}"
    arrow_type, value = refused_value[2], refused_value[3]
    wanted = WANTED_BY_TYPE.get(arrow_type, arrow_type)
    name, line = _header_and_line(file, int(refused_value[1]), value)
    return (
        f"{file}: expected {wanted} in the column '{name}', found '{shortened(value)}' in line "
        f"{line:,}"
    )


def _header_and_line(file: Path, column: int, value: str) -> tuple[str, int]:
    """A column's name, and the first line that has a value in it; the last one where none has."""
    header, line = str(column), 0
    for line, record in _records(file):
        if column >= len(record):
            continue
        if line == 1:
            header = record[column]
        elif record[column].strip() == value.strip():
            break
    return header, line


def _records(file: Path) -> Iterator[tuple[int, list[str]]]:
    """The records of a text file, each with the number of its last line. Empty lines are none."""
    with (
        _text_stream(file) as stream,
        io.TextIOWrapper(stream, "utf-8-sig", errors="replace") as lines,
    ):
        reader = csv_module.reader(lines, delimiter=delimiter(file))
        for record in reader:
            if record:
                yield reader.line_num, record


def _place(file: Path, row: int) -> str:
    if not _is_text(file):
        return f"row {row:,} of {file} (from 0)"
    try:
        line, _ = next(islice(_records(file), row + 1, None))
    except (StopIteration, csv_module.Error):  # Arrow sees other rows than Python
        return f"row {row:,} of {file} (from 0)"
    return f"line {line:,} of {file}"


def _place_after(file: Path, rows_before: int, row: int) -> str:
    return _place(file, rows_before + row)


def _check_columns(columns: Sequence[object], asked: Asked, where: str) -> None:
    wanted = [*_in_log(asked), *asked.names]
    for name in wanted:
        if name not in columns:
            raise UserError(f"{where}: {missing('column', name, map(str, columns))}")
    for name in wanted:
        if columns.count(name) > 1:
            raise UserError(f"{where}: expected the column '{name}' once, found it twice")


def _without_dictionary(column: ArrowColumn) -> ArrowColumn:
    if not is_dictionary(column.type):
        return column
    return column.cast(column.type.value_type)


def _joined(pieces: Sequence[ArrowColumn], name: str, files: Sequence[Path]) -> pa.ChunkedArray:
    tables = [pa.table({name: piece}) for piece in pieces]
    try:
        return pa.concat_tables(tables, promote_options="permissive")[name]
    except (pa.ArrowException, TypeError):
        kind = pieces[0].type
        odd = next(number for number, piece in enumerate(pieces) if piece.type != kind)
        raise UserError(
            f"{files[odd]}: expected {kind} in the column '{name}' as in {files[0]}, found "
            f"{pieces[odd].type}"
        ) from None


def _numbers(column: ArrowColumn, where: str, name: str, asked: Asked, place: Place) -> Numbers:
    column = _without_dictionary(column)
    kind = column.type
    if not any(is_kind(kind) for is_kind in NUMERIC):
        raise UserError(f"{where}: expected numbers in the column '{name}', found {kind}")
    if is_boolean(kind):
        column = column.cast(pa.int8())
    exact = name == asked.score or name in asked.weighed
    precision = pa.float64() if exact else pa.float32()
    numbers = column.cast(precision, safe=False).to_numpy(zero_copy_only=False)
    infinite = np.isinf(numbers)
    if infinite.any():
        row = int(infinite.argmax())
        value = float(column[row].as_py())
        beyond = f", which is beyond single precision ({LARGEST:.2g})"
        if np.isinf(value):
            beyond = ""
        raise UserError(
            f"expected finite numbers in the column '{name}', found {value:g} in "
            f"{place(row)}{beyond}"
        )
    return np.asarray(numbers)


def _coded(column: ArrowColumn, name: str) -> NameColumn:
    """Codes and what they stand for; whole numbers from 0 on stand for themselves, which keeps
    resamples the same.
    """
    if is_integer(column.type) and not column.null_count and len(column):
        whole_numbers = column.to_numpy()
        if whole_numbers.min() >= 0 and whole_numbers.max() < 1 << 31:
            return NameColumn(whole_numbers.astype(np.int64), np.empty(0))
    try:
        if is_timestamp(column.type) or is_date(column.type):
            microseconds = column.cast(pa.timestamp("us")).cast(pa.int64())
            column = pc.divide(microseconds.cast(pa.float64()), 1e6)
        if not is_floating(column.type):
            column = column.cast(pa.string())
    except pa.ArrowException:
        raise UserError(
            f"expected numbers, texts or times in the column '{name}', found {column.type}"
        ) from None
    codes, values = pd.factorize(column.to_pandas().to_numpy(), sort=True)
    return NameColumn(codes.astype(np.int64), np.asarray(values))


def times(log: LoggedRows, name: str) -> Floats:
    """(N,) seconds or numbers of a column of times, to compare; raises UserError for a row without
    a time.
    """
    codes, values = log.names[name]
    if not len(values):
        return codes.astype(np.float64)
    if (codes < 0).any():
        raise UserError(
            f"time: expected a value of '{name}' in each row, found {int((codes < 0).sum()):,} "
            "without"
        )
    seconds_of_values = np.array([seconds(value, name) for value in values.tolist()])
    return seconds_of_values[codes]


def until(log: LoggedRows, name: str, last: str | float) -> float:
    """The last time of training, as `times` has them. The command line gives numbers as texts."""
    if isinstance(last, str) and re.fullmatch(r"-?\d+(\.\d+)?", last):
        is_whole_column = not len(log.names[name].values)
        is_date_without_dashes = len(last) == len("20240301")
        if is_whole_column or not is_date_without_dashes:
            return float(last)
    return seconds(last, "trained_until")


def seconds(value: object, name: str) -> float:
    """A time to compare: a number as it is, a date or an ISO time in seconds since 1970, UTC."""
    if isinstance(value, (int, float)):
        return float(value)
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise UserError(
            f"time: expected numbers, dates or ISO times in '{name}', found '{value}'"
        ) from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return time.timestamp()
