"""The rows of a user's files that are looked at before there is a card: the head of each file, columns as they are."""

from __future__ import annotations

import io
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench.data.inspection.layout import Layout, fields
from bench.data.readers import blocks
from bench.data.readers.csv_errors import explained
from bench.data.readers.csv_lines import CleanLines
from bench.errors import UserError
from bench.progress import Progress

TEXT = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True)
class Sample:
    """Rows of all files.

    Attributes:
        table: N rows; columns of CSV are text.
        file: (N,) index of the file a row came from.
        complete: whether these are all rows there are.
    """

    layout: Layout
    table: Any
    file: NDArray[np.int16]
    complete: bool


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
    batches: list[Any] = []
    rows = 0
    source = _parquet(path, columns, progress) if layout.kind == "parquet" else _csv(path, layout, columns, progress)
    schema = next(source)
    for batch in source:
        if limit is not None and rows + batch.num_rows > limit:
            batches.append(batch.slice(0, limit - rows))
            source.close()
            return pa.Table.from_batches(batches, schema), False
        batches.append(batch)
        rows += batch.num_rows
    return pa.Table.from_batches(batches, schema), True


def _parquet(path: Path, columns: list[str], progress: Progress) -> Generator[Any]:
    """The schema, then batches."""
    with pq.ParquetFile(path) as source, progress.task(f"inspecting {path.name}", None, "rows") as advance:
        yield pa.schema([source.schema_arrow.field(name) for name in columns])
        for batch in source.iter_batches(columns=columns):
            advance(batch.num_rows)
            yield batch.select(columns)


def _csv(path: Path, layout: Layout, columns: list[str], progress: Progress) -> Generator[Any]:
    """The schema, then batches."""
    names = layout.columns if layout.named else fields(_decoded(next(blocks.lines(path))), layout.separator)
    reading = pacsv.ReadOptions(
        use_threads=False, column_names=list(names), skip_rows=0 if layout.named else 1, block_size=blocks.BLOCK
    )
    converting = pacsv.ConvertOptions(
        column_types=dict.fromkeys(columns, TEXT),
        include_columns=columns,
        null_values=["", " "],
        strings_can_be_null=True,
    )
    try:
        with (
            closing(blocks.blocks(path, progress, "inspecting")) as source,
            io.BufferedReader(CleanLines(source, layout.separator, str(path)), 1 << 20) as stream,
            pacsv.open_csv(
                stream,
                read_options=reading,
                parse_options=pacsv.ParseOptions(delimiter=layout.separator),
                convert_options=converting,
            ) as reader,
        ):
            yield reader.schema
            yield from reader
    except pa.ArrowInvalid as error:
        raise explained(error, path, names) from None


def _decoded(line: bytes) -> str:
    return line.decode().rstrip("\r\n")
