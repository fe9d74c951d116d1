"""Numbers of the formats that every later version reads, in one place. docs/storage.md lists
them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.core.errors import UserError

RUN, LEDGER, PACKAGE, TABLE = "run's folder", "ledger", "package", "table of a reference"
FORMATS = {RUN: 1, LEDGER: 1, PACKAGE: 1, TABLE: 1}
"""What this version writes. Of a number that rises, `tests/golden/formats/` keeps files of the
earlier one.
"""
KEY = "format"
_PARQUET = b"seesaw.format"


def checked_format(kind: str, values: Any, where: Path) -> Any:
    """A document's values; a `UserError` where its number, 1 without, is newer than this version's,
    or none.
    """
    number = values.get(KEY, 1) if isinstance(values, dict) else 1
    newest = FORMATS[kind]
    is_number = type(number) is int
    if not is_number or not 1 <= number <= newest:
        message = f"{where}: expected a {kind} of format {newest} or older, found format {number}"
        if is_number and number > newest:
            message += "; a later version of Seesaw wrote it, and reads it"
        raise UserError(message)
    return values


def write_table(kind: str, table: pa.Table, file: Path, **options: Any) -> None:
    """Writes a parquet file with its format's number; `options` are pyarrow's."""
    numbered = {**(table.schema.metadata or {}), _PARQUET: str(FORMATS[kind]).encode()}
    pq.write_table(table.replace_schema_metadata(numbered), file, **options)


def read_table(kind: str, file: Path) -> pa.Table:
    """Reads a parquet file of `write_table`; raises UserError if it is none, or as
    `checked_format`.
    """
    try:
        number = (pq.read_schema(file).metadata or {}).get(_PARQUET, b"1").decode()
        checked_format(kind, {KEY: int(number) if number.isdecimal() else number}, file)
        return pq.read_table(file)
    except FileNotFoundError:
        raise UserError(f"{file}: expected a {kind}, found no file") from None
    except pa.ArrowInvalid as error:
        raise UserError(f"{file}: expected a {kind}, found {error}") from None
