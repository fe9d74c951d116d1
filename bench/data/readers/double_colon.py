"""MovieLens's text: fields between `::` or another separator, no header, Latin-1."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa

from bench.data.checks import BadRow
from bench.data.readers import base
from bench.data.readers.base import RawTable
from bench.data.readers.blocks import lines
from bench.errors import UserError
from bench.progress import Progress


def read_double_colon(
    path: Path,
    file: str,
    wanted: Collection[str],
    names: Sequence[str],
    progress: Progress,
    drop: bool = False,
    separator: str = "::",
) -> Iterator[RawTable]:
    """The wanted columns as text, part by part.

    Raises:
        UserError: an empty file, a line that is too long, or one with another number of fields, with its number.
    """
    rows: list[list[str]] = []
    numbers: list[int] = []
    bad: list[BadRow] = []
    empty = True
    for number, line in enumerate(lines(path, progress), 1):
        fields = line.decode("latin-1").rstrip("\r\n").split(separator)
        if fields == [""]:
            continue
        empty = False
        if len(fields) != len(names):
            sentence = f"{path}, line {number}: expected {len(names)} columns, found {len(fields)}"
            if not drop:
                raise UserError(sentence)
            bad.append(("columns", partial(str, sentence)))
            continue
        rows.append(fields)
        numbers.append(number)
        if len(rows) == base.PART:
            yield _table(path, file, wanted, names, rows, numbers, bad)
            rows, numbers, bad = [], [], []
    if empty:
        raise UserError(f"{path}: expected rows, found an empty file")
    yield _table(path, file, wanted, names, rows, numbers, bad)


def _table(
    path: Path,
    file: str,
    wanted: Collection[str],
    names: Sequence[str],
    rows: list[list[str]],
    numbers: list[int],
    bad: list[BadRow],
) -> RawTable:
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    text = {name: pa.array(column, pa.string()) for name, column in zip(names, columns, strict=True) if name in wanted}
    return RawTable(file, pa.table(text), lambda row: f"{path}, line {numbers[row]}", tuple(bad))
