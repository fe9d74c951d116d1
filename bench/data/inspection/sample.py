"""How a user's files are read, and the rows of them that are looked at before there is a card."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from glob import escape
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench.core.errors import UserError, repeated
from bench.data.readers.blocks import lines
from bench.data.readers.csv import header_of, read_csv
from bench.data.readers.parquet import ENDINGS, read_parquet
from bench.system.progress import Progress

SEPARATORS = (",", "\t", ";", "|")
Kind = Literal["csv", "parquet"]


@dataclass(frozen=True)
class Layout:
    """How files are read: the same for all of them."""

    paths: tuple[Path, ...]
    kind: Kind
    separator: str
    named: bool
    """Whether the names of the columns were given, because the files have no header."""
    columns: tuple[str, ...]
    """Names, in the order of the first file."""

    @property
    def files(self) -> tuple[str, ...]:
        """As a card names them, where `*`, `?` and `[` would stand for several files."""
        return tuple(escape(path.name) for path in self.paths)


def layout_of(paths: Sequence[Path], separator: str | None = None, names: Sequence[str] = ()) -> Layout:
    """Looks at the first bytes and lines of each file.

    Raises:
        UserError: a file is missing or empty, kinds are mixed, columns differ, a name is there twice.
    """
    first = Path(paths[0])
    kinds: dict[Path, Kind] = {path: _kind(path) for path in paths}
    if other := next((path for path in paths if kinds[path] != kinds[first]), None):
        raise UserError(f"expected files of one kind, found {kinds[first]} in {first} and {kinds[other]} in {other}")
    if kinds[first] == "parquet":
        if separator is not None or names:
            raise UserError(f"{first}: a parquet file names its columns and has no separator")
        headers = {path: _parquet_names(path) for path in paths}
    else:
        separator = separator or _guess(first)
        headers = {path: tuple(names) or header_of(path, separator) for path in paths}
        for path in paths if names else ():
            if len(found := _cut(path, separator, 1)[0]) != len(names):
                raise UserError(f"{path}, line 1: expected {len(names)} columns, found {len(found)}")
    for path, header in headers.items():
        if (twice := repeated(header)) is not None:
            raise UserError(f"{path}: column '{twice}' is named twice")
        if differing := sorted(set(headers[first]) ^ set(header)):
            where, lacking = (first, path) if differing[0] in headers[first] else (path, first)
            raise UserError(
                f"expected files with the same columns, but '{differing[0]}' is in {where} and not in {lacking}"
            )
    return Layout(tuple(paths), kinds[first], separator or ",", bool(names), headers[first])


def _kind(path: Path) -> Kind:
    if path.is_dir():
        raise UserError(f"expected a file, found a folder: {path}")
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except FileNotFoundError:
        raise UserError(f"file not found: {path}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    if not start:
        raise UserError(f"{path}: expected rows, found an empty file")
    if start != b"PAR1" and path.name.endswith(ENDINGS):
        raise UserError(f"{path}: expected a parquet file, by its name, found one that does not begin as such")
    return "parquet" if start == b"PAR1" else "csv"


def _parquet_names(path: Path) -> tuple[str, ...]:
    try:
        return tuple(pq.read_schema(path).names)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path}: not a parquet file: {str(error).splitlines()[0]}") from None


def _guess(path: Path) -> str:
    """The separator that cuts the first line into most fields, and the second, where one does, into as many."""
    counts = {mark: [*map(len, _cut(path, mark, 2))] for mark in SEPARATORS}
    fitting = [mark for mark in SEPARATORS if counts[mark][0] > 1 and len(set(counts[mark])) == 1]
    return max(fitting or SEPARATORS, key=lambda mark: counts[mark][0])


def _cut(path: Path, separator: str, most: int) -> list[list[str]]:
    """The fields of a file's first lines that are not empty; raises UserError where there are none."""
    head = [line.decode(errors="replace").rstrip("\r\n") for line in islice(filter(bytes.strip, lines(path)), most)]
    if not head:
        raise UserError(f"{path}: expected rows, found an empty file")
    if any("\r" in line for line in head):
        raise UserError(f"{path}: expected lines that end with a newline, found a carriage return inside")
    try:
        return list(csv.reader(head, delimiter=separator))
    except csv.Error as error:
        raise UserError(f"{path}: expected lines of fields, found {error}") from None


@dataclass(frozen=True)
class Sample:
    """N rows of all files; columns of CSV are text."""

    layout: Layout
    table: Any
    file: NDArray[np.int16]
    """(N,) index of the file a row came from."""
    complete: bool
    """Whether these are all rows there are."""


def read_sample(
    layout: Layout, progress: Progress, limit: int | None = None, only: Sequence[str] | None = None
) -> Sample:
    """Reads the head of each file, or all of it.

    Args:
        limit: rows of all files together, each file giving an equal share; None for all.
        only: columns to read; None for all.

    Raises:
        UserError: a line with another number of columns, bytes that are not UTF-8, no rows at all.
    """
    share = None if limit is None else max(limit // len(layout.paths), 1)
    columns = list(layout.columns if only is None else only)
    tables, complete = [], True
    for path in layout.paths:
        table, whole = _head(path, layout, columns, share, progress)
        tables.append(table)
        complete &= whole
    file = np.repeat(np.arange(len(tables), dtype=np.int16), [table.num_rows for table in tables])
    try:
        table = pa.concat_tables(tables, promote_options="permissive").unify_dictionaries()
    except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
        raise UserError(
            f"the files' columns have types that do not fit together: {str(error).splitlines()[0]}"
        ) from None
    if table.num_rows == 0:
        raise UserError(f"{layout.paths[0]}: expected rows below the header, found none")
    return Sample(layout, table, file, complete)


def _head(path: Path, layout: Layout, columns: list[str], limit: int | None, progress: Progress) -> tuple[Any, bool]:
    """(rows, whether they are all)."""
    wanted, tables, rows = dict.fromkeys(columns, "text"), list[Any](), 0
    if layout.kind == "parquet":
        parts = read_parquet(path, path.name, wanted, progress)
    else:
        names = layout.columns if layout.named else ()
        parts = read_csv(path, path.name, wanted, progress, names=names, separator=layout.separator)
    with closing(parts):
        for part in parts:
            table = part.table.select(columns)
            tables.append(table if limit is None else table.slice(0, limit - rows))
            rows += table.num_rows
            if limit is not None and rows > limit:
                return pa.concat_tables(tables), False
    return pa.concat_tables(tables), True
