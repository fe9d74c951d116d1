"""Reads a log: its columns as arrays, the rows that all models predict, and what was left out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray
from pyarrow import csv

from bench.core.errors import UserError, missing
from bench.core.formula import columns_of
from bench.deciding.asked import Asked
from bench.system.progress import Progress, Work

FILES = re.compile(r"\.(?:(?P<table>parquet|pq)|(?P<text>csv|tsv)(?:\.gz|\.bz2|\.zst)?)$")
"""Names of files that are read."""


@dataclass
class LoggedRows:
    """N rows of a log.

    Attributes:
        numbers: by column (N,) float32, NaN where missing; today's score and what it is made of in double precision.
        names: by column (N,) codes from 0, -1 where missing, and the values that they stand for.
        notes: sentences on what was left out.
    """

    numbers: dict[str, NDArray[Any]]
    names: dict[str, tuple[NDArray[np.int64], NDArray[Any]]]
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(next(iter(self.numbers.values())))

    def where(self, kept: NDArray[np.bool_]) -> LoggedRows:
        """Some of the rows."""
        if kept.all():
            return self
        numbers = {name: each[kept] for name, each in self.numbers.items()}
        return LoggedRows(numbers, {name: (codes[kept], of) for name, (codes, of) in self.names.items()}, self.notes)


def read(asked: Asked, progress: Progress) -> LoggedRows:
    """The log's files, column by column; UserError for a missing file or column, or a value that should be a number."""
    files = [file for given in asked.log for file in _files(Path(given))]
    if not files:
        raise UserError("expected a log: a CSV or parquet file, or a folder of them, found none")
    parts: dict[str, list[Any]] = {name: [] for name in (*asked.numbers, *asked.names)}
    total = sum(file.stat().st_size for file in files)
    with progress.show(Work("reading the log", total, "B")) as advance:
        for file in files:
            for batch in _batches(file, asked):
                for name in asked.numbers:
                    parts[name].append(_numbers(batch.column(name), file, name, asked))
                for name in asked.names:
                    parts[name].append(batch.column(name))
            advance(file.stat().st_size)
    if not sum(map(len, parts[asked.labels[0]])):
        raise UserError(f"{files[0]}: expected rows, found none")
    numbers = {name: np.concatenate(parts.pop(name)) for name in asked.numbers}
    return LoggedRows(numbers, {name: _codes(pa.chunked_array(parts.pop(name)), name) for name in asked.names})


def of_frame(frame: Any, asked: Asked) -> LoggedRows:
    """The same of a pandas or Arrow table."""
    table = frame if isinstance(frame, pa.Table) else pa.Table.from_pandas(frame, preserve_index=False)
    _check(table.column_names, asked, "the table")
    numbers = {name: _numbers(table[name], "the table", name, asked) for name in asked.numbers}
    return LoggedRows(numbers, {name: _codes(table[name], name) for name in asked.names})


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if FILES.search(each.name) and each.is_file())
        if not files:
            raise UserError(f"{path}: expected CSV or parquet files in the folder, found none")
        return files
    if not path.is_file():
        raise UserError(f"{path}: expected a CSV or parquet file, or a folder of them, found none")
    if not FILES.search(path.name):
        raise UserError(f"{path}: expected a name that ends with .csv, .tsv or .parquet, found '{path.suffix}'")
    return [path]


def _batches(file: Path, asked: Asked) -> Iterator[pa.RecordBatch]:
    wanted = [*asked.numbers, *asked.names]
    try:
        kind = FILES.search(file.name)
        if kind is None or kind["table"]:
            source = ds.dataset(file, format="parquet")
            _check(source.schema.names, asked, str(file))
            yield from source.to_batches(columns=wanted)
            return
        between = csv.ParseOptions(delimiter="\t" if kind["text"] == "tsv" else ",")
        with csv.open_csv(file, parse_options=between) as opened:
            _check(opened.schema.names, asked, str(file))
            whole = {name for name in asked.names if pa.types.is_integer(opened.schema.field(name).type)}
        types = dict.fromkeys(asked.numbers, pa.float64())
        types |= {name: pa.int64() if name in whole else pa.string() for name in asked.names}
        options = csv.ConvertOptions(include_columns=wanted, column_types=types, strings_can_be_null=True)
        with csv.open_csv(file, parse_options=between, convert_options=options) as opened:
            yield from opened
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        told = str(error).partition("\n")[0]
        raise UserError(f"{file}: expected numbers in {', '.join(asked.numbers)}, found: {told}") from None


def _check(columns: Sequence[str], asked: Asked, where: str) -> None:
    for name in (*asked.numbers, *asked.names):
        if name not in columns:
            raise UserError(f"{where}: {missing('column', name, columns)}")
    if twice := next((name for name in (*asked.numbers, *asked.names) if list(columns).count(name) > 1), None):
        raise UserError(f"{where}: expected the column '{twice}' once, found it twice")


def _numbers(column: Any, where: object, name: str, asked: Asked) -> NDArray[Any]:
    kind = column.type
    numeric = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal, pa.types.is_null)
    if not any(each(kind) for each in numeric):
        raise UserError(f"{where}: expected numbers in the column '{name}', found {kind}")
    exact = name == asked.score or (asked.formula and name in columns_of(asked.formula))
    numbers = column.cast(pa.float64() if exact else pa.float32(), safe=False).to_numpy(zero_copy_only=False)
    if np.isinf(numbers).any():
        raise UserError(f"{where}: expected finite numbers in the column '{name}', found infinity")
    return np.asarray(numbers)


def _codes(column: Any, name: str) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Codes and what they stand for; whole numbers from 0 on stand for themselves, so that resamples stay the same."""
    if pa.types.is_integer(column.type) and not column.null_count and len(column):
        own = column.to_numpy().astype(np.int64)
        if own.min() >= 0 and own.max() < 1 << 31:
            return own, np.empty(0)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        column = pc.divide(column.cast(pa.timestamp("us")).cast(pa.int64()).cast(pa.float64()), 1e6)
    if pa.types.is_floating(column.type):
        values = column.to_pandas().to_numpy()
    else:
        values = column.cast(pa.string()).to_pandas().to_numpy()
    codes, of = pd.factorize(values, sort=True)
    return codes.astype(np.int64), np.asarray(of)


def times(log: LoggedRows, name: str) -> NDArray[np.float64]:
    """(N,) seconds or numbers of a column of times, to compare; raises UserError for a row without a time."""
    codes, of = log.names[name]
    if not len(of):
        return codes.astype(np.float64)
    if (codes < 0).any():
        raise UserError(f"time: expected a value of '{name}' in each row, found {int((codes < 0).sum()):,} without")
    return np.array([seconds(each, name) for each in of.tolist()])[codes]


def until(log: LoggedRows, name: str, given: str | float) -> float:
    """The last time of training, as `times` has them. The command line gives numbers as texts."""
    whole = not len(log.names[name][1])
    if isinstance(given, str) and re.fullmatch(r"-?\d+(\.\d+)?", given) and (whole or len(given) != len("20240301")):
        return float(given)
    return seconds(given, "trained_until")


def seconds(value: object, name: str) -> float:
    """A time to compare: a number as it is, a date or an ISO time in seconds since 1970, UTC."""
    if isinstance(value, (int, float)):
        return float(value)
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise UserError(f"time: expected numbers, dates or ISO times in '{name}', found '{value}'") from None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
