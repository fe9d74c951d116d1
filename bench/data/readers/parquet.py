"""Streams Parquet to Arrow in batches."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.core.errors import UserError, repeated
from bench.core.system.progress import Progress
from bench.data.readers import base
from bench.data.readers.base import RawTable, kept_rows
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
    size, row = path.stat().st_size, 0

    def place(row: int) -> str:
        return f"{path}, row {row + 1}"

    try:
        # A column is read through a small buffer instead of whole.
        with (
            pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as source,
            progress.task(f"reading {path.name}", size, "B") as advance,
        ):
            names = source.schema_arrow.names
            if (twice := repeated(names)) is not None:
                raise UserError(
                    f"{path}: expected each column once, found '{twice}' {names.count(twice)} times"
                )
            kept = [name for name in names if keep_all or name in wanted]
            schema = pa.schema([source.schema_arrow.field(name) for name in kept])
            yield RawTable(
                file, _texts(schema.empty_table()), lambda row: str(path), columns=tuple(names)
            )
            rows = source.metadata.num_rows
            for batch in source.iter_batches(base.PART, columns=kept):
                yield RawTable(
                    file,
                    _texts(pa.Table.from_batches([batch])),
                    kept_rows(place, range(row, row + len(batch))),
                )
                before, row = row, row + batch.num_rows
                advance(
                    size * row // rows - size * before // rows
                )  # as if all rows had the same size
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


def _texts(table: pa.Table) -> pa.Table:
    """Casts bytes, also in lists, to text: some writers mark no column as text. Their UTF-8 is
    checked later.

    UUIDs become texts, other extension types their storage type (JSON is text).
    """
    for at, field in enumerate(table.schema):
        if isinstance(field.type, pa.BaseExtensionType):
            own = table[at].combine_chunks()
            uuid = field.type.extension_name == "arrow.uuid"
            plain = (
                pa.array([each and str(each) for each in own.to_pylist()], pa.string())
                if uuid
                else own.storage
            )
            table = table.set_column(at, field.name, plain)
            field = table.schema[at]
        lists = is_list(field.type)
        kind = field.type.value_type if lists else field.type
        if is_any(kind, _BYTES):
            target = pa.list_(pa.large_string()) if lists else pa.large_string()
            options = pc.CastOptions(target_type=target, allow_invalid_utf8=True)
            table = table.set_column(at, field.name, pc.cast(table[at], options=options))
    return table
