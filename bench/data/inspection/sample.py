"""The rows of a user's files that are looked at before there is a card, and how the files are
read.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from glob import escape
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.core.errors import UserError, repeated
from bench.core.system.data_files import Key, files_at, names_below, partitions
from bench.core.system.progress import Progress, Silent
from bench.data.inspection.column import Counted, count_column
from bench.data.readers.base import RawTable
from bench.data.readers.blocks import lines
from bench.data.readers.folders import as_one_table, read_file
from bench.data.readers.parquet import ENDINGS
from bench.data.values import Text, as_text

SEPARATORS = (",", "\t", ";", "|")
FileKind = Literal["csv", "parquet"]


@dataclass(frozen=True)
class InspectedRows:
    """N rows of all files."""

    files: Sequence[str]
    file: NDArray[np.int16]
    """(N,) index of the file a row came from."""
    table: pa.Table
    """Columns of CSV are text."""
    complete: bool = True
    """Whether there are no other rows."""
    missing: Collection[str] = ()
    """Texts that mean missing."""

    def column(self, name: str) -> Counted:
        """A column, counted each time that it is asked for: all may not fit into memory."""
        return count_column(name, self.table[name], self.missing)

    def optional_column(self, name: str | None) -> Counted | None:
        """A column, or None where no column is named."""
        return None if name is None else self.column(name)

    def text(self, name: str | None) -> Text | None:
        """A column as preparing has it for splits, or None where no column is named."""
        return None if name is None else as_text(self.table[name], self.missing)


@dataclass(frozen=True)
class FileLayout:
    """How all files are read."""

    files: tuple[str, ...]
    """Files, folders or patterns as a card names them."""
    paths: tuple[Path, ...]
    partitions: Mapping[Path, Mapping[str, Key]]
    """By path the columns that the names of its folders hold."""
    file_of_path: tuple[int, ...]
    """The index of its name in `files`."""
    kind: FileKind
    separator: str
    names: tuple[str, ...]
    """Of the columns, where files have no header."""
    columns: tuple[str, ...] = ()
    """Names, in the order of the first file."""

    @property
    def named_columns(self) -> list[str]:
        """Those that have a name."""
        return [name for name in self.columns if name]

    def parts(self, path: Path, wanted: Sequence[str], progress: Progress) -> Generator[RawTable]:
        """The wanted columns of a file, part by part; the first part has no rows, and names all
        columns.
        """
        texts = dict.fromkeys(wanted, "text")
        return read_file(
            path,
            self.partitions[path],
            texts,
            progress,
            self.kind == "parquet",
            names=self.names,
            separator=self.separator,
        )

    def read(
        self, progress: Progress, limit: int = sys.maxsize, only: Sequence[str] | None = None
    ) -> InspectedRows:
        """Reads the head of each file, or all of it.

        Raises UserError for a line with another number of columns, bytes that are not UTF-8, or no
        rows at all.

        Args:
            limit: rows of all files together, each file giving an equal share.
            only: columns to read; None for all.
        """
        columns = self.columns if only is None else only
        share = max(limit // len(self.paths), 1)
        heads = []
        for path in self.paths:
            with closing(self.parts(path, columns, progress)) as parts:
                heads.append(_head(parts, columns, share))
        complete = all(head.num_rows <= share for head in heads)
        heads = [head.slice(0, share) for head in heads]
        table = as_one_table(heads, self.paths).unify_dictionaries()
        if table.num_rows == 0:
            raise UserError(f"{self.paths[0]}: expected rows below the header, found none")
        file = np.repeat(np.array(self.file_of_path, np.int16), [head.num_rows for head in heads])
        return InspectedRows(self.files, file, table, complete)


def _head(parts: Iterable[RawTable], columns: Sequence[str], share: int) -> pa.Table:
    """The first parts of a file that have more than a share of rows, or all; of the columns those
    that the file has.
    """
    tables = []
    rows = 0
    for part in parts:
        names = part.table.column_names
        tables.append(part.table.select([name for name in columns if name in names]))
        rows += part.table.num_rows
        if rows > share:
            break
    return pa.concat_tables(tables)


def layout_of(
    addresses: Sequence[Path], separator: str | None = None, names: Sequence[str] = ()
) -> FileLayout:
    """Looks at the first bytes and lines of each file.

    Raises UserError if a file is missing or empty, kinds are mixed, columns differ, or a name is
    there twice. Files of one folder or pattern may have other columns.
    """
    paths: list[Path] = []
    file_of_path: list[int] = []
    columns_of_folders: dict[Path, Mapping[str, Key]] = {}
    for number, address in enumerate(addresses):
        files = files_at(address)
        paths += files
        file_of_path += [number] * len(files)
        columns_of_folders |= partitions(files)
    first = paths[0]
    kinds = {path: _kind(path) for path in paths}
    for path, kind in kinds.items():
        if kind != kinds[first]:
            raise UserError(
                f"expected files of one kind, found {kinds[first]} in {first} and {kind} in {path}"
            )
    if kinds[first] == "parquet" and (separator is not None or names):
        raise UserError(f"{first}: a parquet file names its columns and has no separator")
    repeated_name = repeated(names)
    if repeated_name is not None:
        raise UserError(f"--columns: column '{repeated_name}' is named twice")

    if separator is None:
        separator = _guess_separator(first) if kinds[first] == "csv" else ","
    layout = FileLayout(
        tuple(map(_card_name, addresses, names_below(addresses)[1])),
        tuple(paths),
        columns_of_folders,
        tuple(file_of_path),
        kinds[first],
        separator,
        tuple(names),
    )
    columns_of_file: list[dict[str, None]] = [{} for _ in addresses]
    for path, number in zip(paths, file_of_path, strict=True):
        with closing(layout.parts(path, (), Silent())) as parts:
            columns_of_file[number] |= dict.fromkeys(next(parts).columns)
    for address, columns in zip(addresses, columns_of_file, strict=True):
        differing = sorted(columns_of_file[0].keys() ^ columns.keys())
        if differing:
            raise UserError(
                f"expected the same columns in {addresses[0]} and {address}, but '{differing[0]}' "
                "is in one of them alone"
            )
    return replace(layout, columns=tuple(columns_of_file[0]))


def _card_name(address: Path, name: str) -> str:
    return escape(name) if address.exists() else name


def _kind(path: Path) -> FileKind:
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    return "parquet" if start == b"PAR1" or path.name.endswith(ENDINGS) else "csv"


def _guess_separator(path: Path) -> str:
    """The separator that cuts the first line into most fields, and the second, where one does, into
    as many.
    """
    first_lines = islice(filter(bytes.strip, lines(path)), 2)
    head = [line.decode(errors="replace").rstrip("\r\n") for line in first_lines]
    fields_in_lines = {}
    for separator in SEPARATORS:
        try:
            rows = list(csv.reader(head, delimiter=separator))
        except csv.Error:  # reading says what is wrong
            return ","
        fields_in_lines[separator] = [len(row) for row in rows]

    fitting = [
        separator
        for separator, counts in fields_in_lines.items()
        if max(counts, default=0) > 1 and len(set(counts)) == 1
    ]
    return max(fitting or SEPARATORS, key=lambda separator: fields_in_lines[separator][:1])
