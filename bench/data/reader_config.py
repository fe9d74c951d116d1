"""The `[reader]` table of a card."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, field_validator

from bench.registry import Config


class Join(Config):
    """A side table, looked up by a key for each row; rows without a partner get missing values."""

    file: str
    on: str
    """Key column, in both; the side table holds each key once."""
    columns: tuple[str, ...] = ()
    """Names, where the file has no header."""


class CsvReader(Config):
    """Delimited text, gzipped or not."""

    kind: Literal["csv"] = "csv"
    columns: tuple[str, ...] = ()
    """Names, where the files have no header."""
    separator: str = Field(",", min_length=1, max_length=1)
    """Blanks around it do not matter."""
    missing: tuple[str, ...] = ()
    """Texts that mean missing, besides the empty one."""
    drop_duplicates: bool = False
    """Keep only the first of rows that are equal in every column of the file."""
    joins: tuple[Join, ...] = ()

    @field_validator("columns")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError(f"column '{next(name for name in names if names.count(name) > 1)}' is named twice")
        return names


class ParquetReader(Config):
    """Parquet files."""

    kind: Literal["parquet"] = "parquet"
    missing: tuple[str, ...] = ()
    drop_duplicates: bool = False
    joins: tuple[Join, ...] = ()


class SyntheticReader(Config):
    """No files: rows come from a generator of `bench.data.synthetic`."""

    kind: Literal["synthetic"] = "synthetic"
    generator: str
    parameters: dict[str, Any] = Field(default_factory=dict)


ReaderConfig = Annotated[CsvReader | ParquetReader | SyntheticReader, Discriminator("kind")]
