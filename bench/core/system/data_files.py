"""Files of rows where they lie: one file, a folder of them, or a pattern; and the columns that the
names of their folders hold, as in `day=2026-11-03/part-0.parquet`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from bench.core.errors import UserError
from bench.core.system.object_store import StorePath, located

NAMES = re.compile(r"\.(?:(?P<table>parquet|pq)|(?P<text>csv|tsv)(?:\.gz|\.bz2|\.zst)?)$")
"""Names of files that are read in folders."""
_NULL = "__HIVE_DEFAULT_PARTITION__"
"""Of the folder of rows whose key is missing."""
Key = int | date | str | None
_TYPES: Sequence[tuple[re.Pattern[str], Callable[[str], Key]]] = (
    (re.compile(r"-?\d{1,18}", re.ASCII), int),
    (re.compile(r"\d{4}-\d\d-\d\d", re.ASCII), date.fromisoformat),
)


def is_pattern(name: str) -> bool:
    """Whether a name stands for all files that match it, as in `day=*/part-*.parquet`."""
    return any(mark in name for mark in "*?[")


def files_at(address: Path) -> list[Path]:
    """The files of an address, sorted: one, all in a folder, or all that match a pattern.

    Raises UserError if there is none, a folder cannot be read, or a partition's has no files.
    """
    address = located(address)
    if address.exists():
        files = _files_of([address])
    elif is_pattern(str(address)):
        folder = _above(address)
        files = matches(folder, str(address.relative_to(folder)))
    else:
        raise UserError(f"file not found: {address}")
    if not files:
        raise UserError(f"{address}: expected CSV or parquet files there, found none")
    return files


def matches(folder: Path, pattern: str) -> list[Path]:
    """The files below a folder that match a pattern, and those in folders that do, sorted; errors
    of folders as of `files_at`.
    """
    matching = [folder]
    for name_pattern in PurePosixPath(pattern).parts:
        entries: list[Path] = []
        for path in matching:
            if path.is_dir():
                entries += _entries(path)
        matching = [entry for entry in entries if fnmatchcase(entry.name, name_pattern)]
    return _files_of(matching)


def _files_of(paths: Sequence[Path]) -> list[Path]:
    """The files among some paths, and those of rows in folders among them, at any depth; sorted."""
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files += [path] if path.is_file() else []
            continue
        # What starts with _ is a writer's, such as _temporary.
        entries = [entry for entry in _entries(path) if not entry.name.startswith("_")]
        files_inside = _files_of(
            [entry for entry in entries if entry.is_dir() or NAMES.search(entry.name)]
        )
        if not files_inside and "=" in path.name:
            raise UserError(f"{path}: expected CSV or parquet files in the folder, found none")
        files += files_inside
    return sorted(files)


def _entries(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise UserError(f"{folder}: cannot be read: {error.strerror}") from None


def _above(address: Path) -> Path:
    """The folder above an address, its patterns and its partitions."""
    folder = address.parent
    while "=" in folder.name or (is_pattern(str(folder)) and not folder.is_dir()):
        folder = folder.parent
    return folder


def names_below(addresses: Sequence[Path]) -> tuple[Path, list[str]]:
    """The folder above some addresses and their partitions, and each as it is called there."""
    paths = [_absolute(address) for address in addresses]
    above = [str(_above(path)) for path in paths]
    if len({"://" in folder for folder in above}) > 1:
        raise UserError(f"expected addresses of one place, found {addresses[0]} and others")
    folder = located(os.path.commonpath(above))
    return folder, [path.relative_to(folder).as_posix() for path in paths]


def _absolute(address: Path) -> Path:
    path = located(address)
    return path if isinstance(path, StorePath) else Path(os.path.abspath(path))


def folder_of_card(folder: Path, card: Path) -> str:
    """A folder as it is seen from that of a card; a store's as it is."""
    if isinstance(folder, StorePath):
        return str(folder)
    return Path(os.path.relpath(folder.resolve(), card.resolve().parent)).as_posix()


def partition_path(file: Path) -> Path:
    """A file's name below the folders of its partition."""
    return file.relative_to(_above(file))


def partitions(files: Sequence[Path]) -> dict[Path, dict[str, Key]]:
    """By file, in their order, the columns that its folders' names hold: key -> value.

    The values of a key are whole numbers or dates if they are so in all files, else texts. Raises
    UserError if files have different keys.
    """
    texts_by_file = [_texts(file) for file in files]
    first_keys = [*texts_by_file[0]] if files else []
    for file, texts in zip(files, texts_by_file, strict=True):
        if [*texts] != first_keys:
            raise UserError(
                "expected folders of the same keys for all files, found "
                f"{', '.join(first_keys) or 'none'} of {files[0]} and "
                f"{', '.join(texts) or 'none'} of {file}"
            )
    columns: dict[Path, dict[str, Key]] = {file: {} for file in files}
    for key in first_keys:
        values = _values([texts[key] for texts in texts_by_file])
        for file, value in zip(files, values, strict=True):
            columns[file][key] = value
    return columns


def _texts(file: Path) -> dict[str, str | None]:
    texts = {}
    for folder in partition_path(file).parent.parts:
        key, _, text = folder.partition("=")
        texts[key] = None if text == _NULL else unquote(text)
    return texts


def _values(texts: Sequence[str | None]) -> list[Key]:
    present = [text for text in texts if text is not None]
    for pattern, value_of in _TYPES:
        if present and all(map(pattern.fullmatch, present)):
            with suppress(ValueError):  # such as the 31st of April
                return [None if text is None else value_of(text) for text in texts]
    return [*texts]


def state_of(file: Path) -> list[int]:
    """Size in bytes and time of the last change: what changes with a file."""
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]


@contextmanager
def unchanged(file: Path) -> Iterator[None]:
    """Raises UserError in the end if a file has changed since the start."""
    before = state_of(file)
    yield
    if not file.is_file() or state_of(file) != before:
        raise UserError(f"{file}: changed while it was read; repeat this when nobody writes there")
