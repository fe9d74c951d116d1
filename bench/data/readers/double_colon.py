"""MovieLens's text: fields between `::`, no header, Latin-1."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import pyarrow as pa

from bench.data.readers.base import RawTable
from bench.data.readers.raw import open_raw
from bench.errors import UserError
from bench.progress import Progress


def read_double_colon(
    path: Path, file: str, wanted: Collection[str], names: Sequence[str], progress: Progress
) -> RawTable:
    """The wanted columns as text.

    Raises:
        UserError: an empty file, or a line with another number of fields, with its number.
    """
    columns: list[list[str]] = [[] for _ in names]
    lines: list[int] = []
    with progress.task(f"reading {path.name}", path.stat().st_size, "B") as advance, open_raw(path, advance) as stream:
        for number, line in enumerate(stream, 1):
            fields = line.decode("latin-1").rstrip("\r\n").split("::")
            if fields == [""]:
                continue
            if len(fields) != len(names):
                raise UserError(f"{path}, line {number}: expected {len(names)} columns, found {len(fields)}")
            lines.append(number)
            for column, value in zip(columns, fields, strict=True):
                column.append(value)
    if not lines:
        raise UserError(f"{path}: expected rows, found an empty file")
    text = {name: pa.array(column) for name, column in zip(names, columns, strict=True) if name in wanted}
    return RawTable(file, pa.table(text), lambda row: f"{path}, line {lines[row]}")
