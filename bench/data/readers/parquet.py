"""Parquet -> Arrow, streamed in batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.data.readers import base
from bench.data.readers.base import RawTable
from bench.data.rejects import Place
from bench.errors import UserError
from bench.progress import Progress


def read_parquet(
    path: Path, file: str, wanted: Mapping[str, str], progress: Progress, *, keep_all: bool = False
) -> Iterator[RawTable]:
    """Reads the wanted columns that the file has, part by part; all columns where `keep_all` is set.

    Raises:
        UserError: not a parquet file, or a broken one.
    """
    size, row, told = path.stat().st_size, 0, 0
    try:
        # A column is read through a small buffer instead of whole.
        with (
            pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as source,
            progress.task(f"reading {path.name}", size, "B") as advance,
        ):
            kept = [name for name in source.schema_arrow.names if keep_all or name in wanted]
            schema = pa.schema([source.schema_arrow.field(name) for name in kept])
            yield RawTable(file, schema.empty_table(), lambda row: str(path))
            groups = [source.metadata.row_group(i) for i in range(source.num_row_groups)]
            rows_until = np.cumsum([0, *(group.num_rows for group in groups)])
            bytes_until = np.cumsum([0, *(_packed_size(group) for group in groups)])
            for batch in source.iter_batches(base.PART, columns=kept):
                yield RawTable(file, pa.Table.from_batches([batch]), _place(path, row))
                row += batch.num_rows
                reached = int(np.interp(row, rows_until, bytes_until))
                advance(reached - told)
                told = reached
            advance(size - told)
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: not a parquet file: {str(error).splitlines()[0]}") from None
    except OSError as error:
        if error.errno is not None:  # of the disk, not of the content
            raise
        raise UserError(f"{path}: broken parquet file: {str(error).splitlines()[0]}") from None


def _packed_size(group: Any) -> int:
    return sum(group.column(i).total_compressed_size for i in range(group.num_columns))


def _place(path: Path, first: int) -> Place:
    return lambda row: f"{path}, row {first + row + 1}"
