"""Streams Parquet to Arrow in batches."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.core.errors import UserError, repeated
from bench.core.system.object_store import opened
from bench.core.system.progress import Advance, Progress
from bench.data.readers import base
from bench.data.readers.base import RawTable, place_among
from bench.data.values import is_any, is_list

ENDINGS = (".parquet", ".pq")
"""Endings of parquet files."""
_BYTES = (
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
    pa.types.is_string_view,
)


def read_parquet(
    path: Path, file: str, wanted: Mapping[str, str], progress: Progress, *, keep_all: bool = False
) -> Generator[RawTable]:
    """Reads the wanted columns that the file has, or all if `keep_all`, part by part.

    Raises UserError for no parquet file, a broken one, a repeated column, or a type that Arrow does
    not read.
    """
    try:
        # A column is read through a small buffer instead of whole.
        with (
            pq.ParquetFile(opened(path), buffer_size=1 << 20, pre_buffer=False) as source,
            progress.task(f"reading {path.name}", path.stat().st_size, "B") as advance,
        ):
            names = source.schema_arrow.names
            twice = repeated(names)
            if twice is not None:
                raise UserError(
                    f"{path}: expected each column once, found '{twice}' {names.count(twice)} times"
                )
            columns = [name for name in names if keep_all or name in wanted]
            schema = pa.schema([source.schema_arrow.field(name) for name in columns])
            empty = _with_texts(schema.empty_table())
            yield RawTable(file, empty, lambda row: str(path), columns=tuple(names))
            yield from _batches(source, path, file, columns, advance)
    except pa.ArrowInvalid as error:
        if str(error).startswith("Expected all lists"):
            expected = (
                "expected no missing list in a column of lists of a fixed size, which "
                "Arrow cannot read"
            )
            raise UserError(f"{path}: {expected}; write it as lists of any size") from None
        raise UserError(f"{path}: not a parquet file: {str(error).splitlines()[0]}") from None
    except pa.ArrowNotImplementedError as error:  # as for lists of categories
        raise UserError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None
    except OSError as error:
        if error.errno is not None:  # of the disk, not of the content
            raise
        raise UserError(f"{path}: broken parquet file: {str(error).splitlines()[0]}") from None


def _batches(
    source: pq.ParquetFile, path: Path, file: str, columns: list[str], advance: Advance
) -> Iterator[RawTable]:
    size, n_rows = path.stat().st_size, source.metadata.num_rows
    start = 0
    for batch in source.iter_batches(base.PART, columns=columns):
        end = start + batch.num_rows
        place = place_among(partial(_place, path), range(start, end))
        yield RawTable(file, _with_texts(pa.Table.from_batches([batch])), place)
        # As if all rows had the same size.
        advance(size * end // n_rows - size * start // n_rows)
        start = end


def _place(path: Path, row: int) -> str:
    return f"{path}, row {row + 1}"


def _with_texts(table: pa.Table) -> pa.Table:
    """Casts bytes, also in lists, to text: some writers mark no column as text. Their UTF-8 is
    checked later.

    UUIDs become texts, other extension types their storage type (JSON is text).
    """
    for number, field in enumerate(table.schema):
        column = table[number]
        if isinstance(column.type, pa.BaseExtensionType):
            column = _without_extension(column.combine_chunks())
        target = _text_type(column.type)
        if target is not None:
            options = pc.CastOptions(target_type=target, allow_invalid_utf8=True)
            column = pc.cast(column, options=options)
        if column.type != field.type:
            table = table.set_column(number, field.name, column)
    return table


def _without_extension(array: pa.ExtensionArray) -> pa.Array:
    if array.type.extension_name == "arrow.uuid":
        return pa.array([uuid and str(uuid) for uuid in array.to_pylist()], pa.string())
    return array.storage


def _text_type(column_type: pa.DataType) -> pa.DataType | None:
    """The type as which a column of bytes is read, or of lists of them; None for other columns."""
    if is_any(column_type, _BYTES):
        return pa.large_string()
    if is_list(column_type) and is_any(column_type.value_type, _BYTES):
        return pa.list_(pa.large_string())
    return None
