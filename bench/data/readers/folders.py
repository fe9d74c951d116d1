"""Files as parts of one table: with the columns that the names of their folders hold."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from bench.core.errors import UserError
from bench.core.system.data_files import Key, unchanged
from bench.core.system.progress import Progress
from bench.data.readers.base import RawTable
from bench.data.readers.csv import read_csv
from bench.data.readers.parquet import ENDINGS, read_parquet


def read_file(
    file: Path,
    partition: Mapping[str, Key],
    wanted: Mapping[str, str],
    progress: Progress,
    is_parquet: bool | None = None,
    **of_csv: Any,
) -> Generator[RawTable]:
    """The wanted columns of a file and of its folders, part by part; errors as of the readers.

    Args:
        is_parquet: None goes by the file's name.
        of_csv: further options of `read_csv`.
    """
    if is_parquet is None:
        is_parquet = file.suffix in ENDINGS
    if is_parquet:
        parts = read_parquet(file, file.name, wanted, progress)
    else:
        parts = read_csv(file, file.name, wanted, progress, **of_csv)
    return with_folders(file, partition, parts)


def with_folders(
    file: Path, partition: Mapping[str, Key], parts: Iterable[RawTable]
) -> Generator[RawTable]:
    """The parts of a file with the columns that its folders' names hold; a column of the file
    itself counts before them.

    Raises UserError if the file changes meanwhile.
    """
    with unchanged(file):
        for part in parts:
            columns, table = part.columns, part.table
            for name, key in partition.items():
                if name in (columns or table.column_names):
                    continue
                table = table.append_column(name, pa.repeat(pa.scalar(key), table.num_rows))
                if columns:
                    columns = (*columns, name)
            yield replace(part, table=table, columns=columns)


def as_one_table(tables: Sequence[pa.Table], files: Sequence[Path]) -> pa.Table:
    """The rows of all files' tables; UserError for a column whose types do not fit together, with
    the first file of another.
    """
    schema = tables[0].schema
    for file, table in zip(files, tables, strict=True):
        try:
            schema = pa.unify_schemas([schema, table.schema], promote_options="permissive")
        except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"{file}: expected columns of types as in {files[0]}, found others: {reason}"
            ) from None
    return pa.concat_tables(tables, promote_options="permissive")
