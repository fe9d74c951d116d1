"""Parquet -> Arrow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bench.data.readers.base import RawTable
from bench.errors import UserError
from bench.progress import Progress


def read_parquet(
    path: Path, file: str, wanted: Mapping[str, str], progress: Progress, *, keep_all: bool = False
) -> RawTable:
    """Reads the wanted columns that the file has; all columns where `keep_all` is set.

    Raises:
        UserError: not a parquet file.
    """
    try:
        with pq.ParquetFile(path) as source, progress.task(f"reading {path.name}", None, "rows") as advance:
            kept = [name for name in source.schema_arrow.names if keep_all or name in wanted]
            batches = []
            for batch in source.iter_batches(columns=kept):
                batches.append(batch)
                advance(batch.num_rows)
            schema = pa.schema([source.schema_arrow.field(name) for name in kept])
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: not a parquet file: {str(error).splitlines()[0]}") from None
    return RawTable(file, pa.Table.from_batches(batches, schema), lambda row: f"{path}, row {row + 1}")
