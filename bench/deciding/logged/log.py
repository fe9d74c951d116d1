"""Reads a log: its columns as arrays, the rows that all models predict, and what was left out."""

from __future__ import annotations

import csv as csv_module
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray
from pyarrow import csv

from bench.core.errors import UserError, listed, missing, shortened
from bench.core.system.progress import Progress, Work
from bench.deciding.logged.asked import Asked

FILES = re.compile(r"\.(?:(?P<table>parquet|pq)|(?P<text>csv|tsv)(?:\.gz|\.bz2|\.zst)?)$")
"""Names of files that are read."""
LARGEST = float(np.finfo(np.float32).max)


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


@dataclass
class LoggedRows:
    """N rows of a log.

    Attributes:
        numbers: by column (N,) float32, NaN where missing; today's score and what it is made of in
            double precision.
        names: by column (N,) codes from 0, -1 where missing, and the values that they stand for.
        notes: sentences on what was left out.
        origin: where the rows come from.
        rows: (N,), which rows of the origin these are; None for all of them.
    """

    numbers: dict[str, NDArray[Any]]
    names: dict[str, tuple[NDArray[np.int64], NDArray[Any]]]
    notes: list[str] = field(default_factory=list)
    origin: Origin = field(default_factory=Origin)
    rows: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.numbers.values())))

    def where(self, kept: NDArray[np.bool_]) -> LoggedRows:
        """Some of the rows."""
        if kept.all():
            return self
        numbers = {name: values[kept] for name, values in self.numbers.items()}
        names = {name: (codes[kept], values) for name, (codes, values) in self.names.items()}
        rows = np.flatnonzero(kept) if self.rows is None else self.rows[kept]
        return LoggedRows(numbers, names, self.notes, self.origin, rows)

    def place(self, row: int) -> str:
        """Where one of these rows lies, in words."""
        return self.origin.place(row if self.rows is None else int(self.rows[row]))


def read(asked: Asked, progress: Progress) -> LoggedRows:
    """The log's files, column by column; UserError for a missing file or column, or a value that
    should be a number.
    """
    files = [file for given in asked.log for file in _files(Path(given))]
    if not files:
        raise UserError("expected a log: a CSV or parquet file, or a folder of them, found none")
    parts: dict[str, list[Any]] = {name: [] for name in (*asked.numbers, *asked.names)}
    total = sum(file.stat().st_size for file in files)
    sizes = []
    with progress.show(Work("reading the log", total, "B")) as advance:
        for file in files:
            rows = 0
            for batch in _batches(file, asked):
                place = partial(_place_after, file, rows)
                for name in asked.numbers:
                    parts[name].append(_numbers(batch.column(name), str(file), name, asked, place))
                for name in asked.names:
                    parts[name].append(_plain(batch.column(name)))
                rows += len(batch)
            sizes.append((file, rows))
            advance(file.stat().st_size)
    if not sum(rows for _, rows in sizes):
        raise UserError(f"{files[0]}: expected rows, found none")
    numbers = {name: np.concatenate(parts.pop(name)) for name in asked.numbers}
    names = {name: _codes(_joined(parts.pop(name), name), name) for name in asked.names}
    return LoggedRows(numbers, names, origin=Origin(sizes))


def of_frame(frame: Any, asked: Asked) -> LoggedRows:
    """The same of a table of pandas, Arrow, or any library whose tables Arrow reads, such as
    Polars.
    """
    table = _table(frame, asked)
    if not len(table):
        raise UserError("the table: expected rows, found none")
    origin = Origin()
    numbers = {
        name: _numbers(table[name], "the table", name, asked, origin.place)
        for name in asked.numbers
    }
    return LoggedRows(
        numbers, {name: _codes(_plain(table[name]), name) for name in asked.names}, origin=origin
    )


def _table(frame: Any, asked: Asked) -> pa.Table:
    """An Arrow table of the columns that are asked for."""
    wanted = list(dict.fromkeys([*asked.numbers, *asked.names]))
    if isinstance(frame, pd.DataFrame):
        _check([*frame.columns], asked, "the table")
        columns = {name: _column(frame[name], name) for name in wanted}
        return pa.table(columns)
    if isinstance(frame, pa.Table | pa.RecordBatch) or hasattr(frame, "__arrow_c_stream__"):
        table = pa.table(frame)
    else:
        raise UserError(
            "expected a pandas or Arrow table, or paths of CSV or parquet files, found "
            f"{type(frame).__name__}"
        )
    _check(table.column_names, asked, "the table")
    return table.select(wanted)


def _column(values: pd.Series[Any], name: str) -> pa.ChunkedArray:
    """A column of a pandas table; UserError for one that holds values of several kinds, with the
    first odd one.
    """
    try:
        found = pa.array(values, from_pandas=True)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        kinds = values.map(type)
        common = kinds[values.notna()].mode().iloc[0]
        odd = np.flatnonzero((kinds != common) & values.notna())
        row = int(odd[0]) if len(odd) else 0
        raise UserError(
            f"the table: expected values of one kind in the column '{name}', found "
            f"{shortened(repr(values.iloc[row]))} in {Origin().place(row)}"
        ) from None
    return found if isinstance(found, pa.ChunkedArray) else pa.chunked_array([found])


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(
            each for each in path.rglob("*") if FILES.search(each.name) and each.is_file()
        )
        if not files:
            raise UserError(f"{path}: expected CSV or parquet files in the folder, found none")
        return files
    if not path.is_file():
        raise UserError(f"{path}: expected a CSV or parquet file, or a folder of them, found none")
    if not FILES.search(path.name):
        raise UserError(
            f"{path}: expected a name that ends with .csv, .tsv or .parquet, found '{path.suffix}'"
        )
    return [path]


def _is_text(file: Path) -> bool:
    kind = FILES.search(file.name)
    return kind is not None and kind["table"] is None


def _between(file: Path) -> str:
    """What stands between the values of a text file's line."""
    kind = FILES.search(file.name)
    return "\t" if kind is not None and kind["text"] == "tsv" else ","


def _batches(file: Path, asked: Asked) -> Iterator[pa.RecordBatch]:
    wanted = [*asked.numbers, *asked.names]
    try:
        if not _is_text(file):
            source = ds.dataset(file, format="parquet")
            _check(source.schema.names, asked, str(file))
            yield from source.to_batches(columns=wanted)
            return
        between = csv.ParseOptions(delimiter=_between(file))
        with csv.open_csv(file, parse_options=between) as opened:
            schema = opened.schema
        _check(schema.names, asked, str(file))
        whole = {name for name in asked.names if pa.types.is_integer(schema.field(name).type)}
        types = {name: pa.int64() if name in whole else pa.string() for name in asked.names}
        for name in asked.numbers:
            types[name] = (
                pa.bool_() if pa.types.is_boolean(schema.field(name).type) else pa.float64()
            )
        options = csv.ConvertOptions(
            include_columns=wanted, column_types=types, strings_can_be_null=True
        )
        with csv.open_csv(file, parse_options=between, convert_options=options) as opened:
            yield from opened
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        raise UserError(_unreadable(file, error)) from None


def _unreadable(file: Path, error: Exception) -> str:
    """What is wrong in a file that Arrow does not read."""
    what = "a CSV file" if _is_text(file) else "a parquet file"
    reason = str(error).partition("\n")[0]
    if isinstance(error, UnicodeDecodeError) or "invalid UTF8" in reason:
        return (
            f"{file}: expected text in UTF-8, found other bytes; iconv -f latin1 -t utf-8 "
            "changes Latin-1"
        )
    value = re.match(
        r"In CSV column #(\d+): .*conversion error to (\w+): invalid value '(.*)'", reason
    )
    if value is None:
        return f"{file}: expected {what}, found: {shortened(reason)}"
    column, kind, found = int(value[1]), value[2], value[3]
    wanted = {"double": "numbers", "bool": "true or false", "int64": "whole numbers"}.get(
        kind, kind
    )
    line, name = 0, str(column)
    for line, record in _records(file):
        if line == 1:
            name = record[column] if column < len(record) else name
        elif column < len(record) and record[column].strip() == found.strip():
            break
    return (
        f"{file}: expected {wanted} in the column '{name}', found '{shortened(found)}' in line "
        f"{line:,}"
    )


def _records(file: Path) -> Iterator[tuple[int, list[str]]]:
    """The records of a text file, each with the number of its last line. Empty lines are none."""
    with (
        pa.input_stream(str(file)) as stream,
        io.TextIOWrapper(stream, "utf-8-sig", errors="replace") as lines,
    ):
        reader = csv_module.reader(lines, delimiter=_between(file))
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


def _place_after(file: Path, before: int, row: int) -> str:
    return _place(file, before + row)


def _check(columns: Sequence[object], asked: Asked, where: str) -> None:
    for name in (*asked.numbers, *asked.names):
        if name not in columns:
            raise UserError(f"{where}: {missing('column', name, map(str, columns))}")
    if twice := next(
        (name for name in (*asked.numbers, *asked.names) if list(columns).count(name) > 1), None
    ):
        raise UserError(f"{where}: expected the column '{twice}' once, found it twice")


def _plain(column: Any) -> Any:
    """A column without a dictionary."""
    kind = column.type
    return column.cast(kind.value_type) if pa.types.is_dictionary(kind) else column


def _joined(parts: list[Any], name: str) -> pa.ChunkedArray:
    try:
        return pa.chunked_array(parts)
    except (pa.ArrowException, TypeError):
        kinds = list(dict.fromkeys(str(part.type) for part in parts))
        raise UserError(
            f"expected one kind of values in the column '{name}', found {listed(kinds)}"
        ) from None


def _numbers(
    column: Any, where: str, name: str, asked: Asked, place: Callable[[int], str]
) -> NDArray[Any]:
    column = _plain(column)
    kind = column.type
    numeric = (
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_boolean,
        pa.types.is_decimal,
        pa.types.is_null,
    )
    if not any(each(kind) for each in numeric):
        raise UserError(f"{where}: expected numbers in the column '{name}', found {kind}")
    exact = name == asked.score or (name in asked.weighed)
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    numbers = column.cast(pa.float64() if exact else pa.float32(), safe=False).to_numpy(
        zero_copy_only=False
    )
    if np.isinf(numbers).any():
        row = int(np.isinf(numbers).argmax())
        value = column[row].as_py()
        found = f"{float(value):g}"
        beyond = (
            "" if np.isinf(float(value)) else f", which is beyond single precision ({LARGEST:.2g})"
        )
        raise UserError(
            f"expected finite numbers in the column '{name}', found {found} in {place(row)}{beyond}"
        )
    return np.asarray(numbers)


def _codes(column: Any, name: str) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Codes and what they stand for; whole numbers from 0 on stand for themselves, so that
    resamples stay the same.
    """
    if pa.types.is_integer(column.type) and not column.null_count and len(column):
        own = column.to_numpy()
        if own.min() >= 0 and own.max() < 1 << 31:
            return own.astype(np.int64), np.empty(0)
    try:
        if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
            column = pc.divide(
                column.cast(pa.timestamp("us")).cast(pa.int64()).cast(pa.float64()), 1e6
            )
        if not pa.types.is_floating(column.type):
            column = column.cast(pa.string())
    except pa.ArrowException:
        raise UserError(
            f"expected numbers, texts or times in the column '{name}', found {column.type}"
        ) from None
    codes, of = pd.factorize(column.to_pandas().to_numpy(), sort=True)
    return codes.astype(np.int64), np.asarray(of)


def times(log: LoggedRows, name: str) -> NDArray[np.float64]:
    """(N,) seconds or numbers of a column of times, to compare; raises UserError for a row without
    a time.
    """
    codes, of = log.names[name]
    if not len(of):
        return codes.astype(np.float64)
    if (codes < 0).any():
        raise UserError(
            f"time: expected a value of '{name}' in each row, found {int((codes < 0).sum()):,} "
            "without"
        )
    return np.array([seconds(each, name) for each in of.tolist()])[codes]


def until(log: LoggedRows, name: str, given: str | float) -> float:
    """The last time of training, as `times` has them. The command line gives numbers as texts."""
    whole = not len(log.names[name][1])
    if (
        isinstance(given, str)
        and re.fullmatch(r"-?\d+(\.\d+)?", given)
        and (whole or len(given) != len("20240301"))
    ):
        return float(given)
    return seconds(given, "trained_until")


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
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
