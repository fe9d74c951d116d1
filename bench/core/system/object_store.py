"""Files in object stores, as `s3://bucket/log/day=2026-11-03/part-0.parquet`, by `pyarrow.fs`.

A store takes credentials from where its own programs do: environment, profile, or the machine's
role. An address has scheme, host and path alone, and no more of it is shown or kept.
"""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Callable, Generator
from functools import cache
from pathlib import Path, PosixPath
from typing import Any, TypeVar

from bench.core.errors import UserError

T = TypeVar("T")
SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs")
_SCHEME = re.compile(rf"({'|'.join(SCHEMES)}):/")
_PLAIN = re.compile(r"[a-z0-9]+:/+([\w.-]+@)?[\w.-]+(:\d+)?(/[^?#;@:\\]*)?")
"""Container, host, port and path. `*` and `[` are of patterns."""
TRIES = 3
"""Of a request; a read goes on from where it broke off."""


def located(address: str | Path) -> Path:
    """The path of an address, which may be in a store.

    Raises UserError for one with credentials or options; they are not repeated.
    """
    text = str(address)
    scheme = _SCHEME.match(text)
    if isinstance(address, StorePath):
        return address
    if scheme is None:
        return Path(address)
    has_user = "@" in text and not scheme[1].startswith("abfs")
    if has_user or not _PLAIN.fullmatch(text):
        raise UserError(
            f"expected an address such as {scheme[1]}://bucket/path, found more than scheme, host "
            "and path, which might be secret; credentials are those of the store's own programs"
        )
    return StorePath(address)


class StorePath(PosixPath):
    """A path in a store: `pathlib` takes it apart, the store is asked for all else."""

    _info: Any = None
    """What a listing has said of it."""

    def __str__(self) -> str:
        path = super().__str__()
        return path.replace(":/", "://", 1) if _SCHEME.match(path) else path

    def ask(self, question: Callable[[Any, str], T]) -> T:
        """The answer of the store, of which the path there is asked; UserError where it fails
        `TRIES` times.
        """
        scheme, host, *names = self.parts
        for left in reversed(range(TRIES)):
            try:
                store, start = store_of(f"{scheme}//{host}")
                return question(store, f"{start}{'/'.join(names)}")
            except OSError as error:
                if isinstance(error, FileNotFoundError) or not left:
                    raise UserError(f"{self}: cannot be had: {_fault(error)}") from None
        raise AssertionError

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Kind, size and time of the last change."""
        info = self.ask(lambda store, path: store.get_file_info(path))
        if info.type == 0:
            raise FileNotFoundError(2, "No such file or directory", str(self))
        mode = stat.S_IFREG if info.is_file else stat.S_IFDIR
        changed = info.mtime_ns or 0
        times = (changed // 10**9,) * 3
        return os.stat_result(
            (mode, 0, 0, 1, 0, 0, info.size or 0, *times), {"st_mtime_ns": changed}
        )

    def is_dir(self, **_: bool) -> bool:
        """Whether there is anything below it."""
        return super().is_dir() if self._info is None else not self._info.is_file

    def is_file(self, **_: bool) -> bool:
        """Whether it is an object."""
        return super().is_file() if self._info is None else bool(self._info.is_file)

    def iterdir(self) -> Generator[StorePath, None, None]:
        """What lies directly below it."""
        from pyarrow.fs import FileSelector

        infos = self.ask(lambda store, path: store.get_file_info(FileSelector(path)))
        for info in infos:
            path = self / info.base_name
            path._info = info
            yield path

    def open(self, *_: Any, **__: Any) -> Any:
        """Its bytes, to read."""
        return StoreFile(self)

    def absolute(self) -> StorePath:
        """Itself."""
        return self

    def resolve(self, strict: bool = False) -> StorePath:
        """Itself."""
        return self


def _fault(error: OSError) -> str:
    """A store's code, such as ACCESS_DENIED; its sentence may hold more than an address may."""
    code = re.search(r"\b[A-Z]+(_[A-Z]+)+\b", str(error))
    return code[0] if code else type(error).__name__


@cache
def store_of(root: str) -> tuple[Any, str]:
    """The file system of a scheme and a host, and what its paths start with."""
    from pyarrow.fs import FileSystem

    store, path = FileSystem.from_uri(f"{root}/x")
    return store, path.removesuffix("x")


class StoreFile(io.RawIOBase):
    """The bytes of an object; a read that breaks off is repeated from where it stands."""

    def __init__(self, path: StorePath) -> None:
        self.name = path.name
        self._path, self._place = path, 0
        self._opened: Any = None
        self._size = path.stat().st_size

    def _read(self, store: Any, path: str, count: int) -> bytes:
        opened, self._opened = self._opened or store.open_input_file(path), None
        content: bytes = opened.read_at(count, self._place)
        self._opened = opened  # another one is opened after a fault
        return content

    def readinto(self, buffer: Any) -> int:
        """Reads as much as there is room for."""
        count = min(len(buffer), self._size - self._place)
        content = self._path.ask(lambda store, path: self._read(store, path, count))
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes to a place."""
        self._place = offset + (0, self._place, self._size)[whence]
        return self._place

    def tell(self) -> int:
        """The place."""
        return self._place

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True


def opened(path: Path) -> Any:
    """What Arrow reads: a path of a disk, or an object's bytes."""
    return StoreFile(path) if isinstance(path, StorePath) else path
