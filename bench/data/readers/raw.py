"""Raw files as bytes: gzip and zstd are recognised by content; a card's name need not say how a file is packed."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from bench.errors import UserError
from bench.progress import Advance

PACKED = (".gz", ".zst")
"""What is put behind a file's name when it is packed."""
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def is_gzip(path: Path) -> bool:
    """Whether the file's first bytes say gzip."""
    with path.open("rb") as file:
        return file.read(2) == _GZIP


def unpacked_name(name: str) -> str:
    """A file's name without what says that it is packed."""
    return next((name.removesuffix(end) for end in PACKED if name.endswith(end)), name)


@contextmanager
def open_raw(path: Path, advance: Advance = lambda amount: None) -> Iterator[IO[bytes]]:
    """The unpacked bytes of a file; `advance` is told of the bytes taken from disk.

    Raises:
        UserError: the file is packed and broken.
    """
    with path.open("rb") as file:
        counted = io.BufferedReader(_Counted(file, advance), buffer_size=1 << 20)
        start = counted.peek(4)[:4]
        if start.startswith(_GZIP):
            try:
                yield io.BufferedReader(gzip.GzipFile(fileobj=counted), 1 << 20)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise UserError(f"{path}: broken gzip file: {error}") from None
        elif start == _ZSTD:
            try:
                yield io.BufferedReader(_Zstd(counted), 1 << 20)
            except _BrokenError as error:
                raise UserError(f"{path}: broken zstd file: {error}") from None
        else:
            yield counted


class _Counted(io.RawIOBase):
    def __init__(self, file: IO[bytes], advance: Advance) -> None:
        self.file, self.advance = file, advance

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        count: int = self.file.readinto(buffer)  # type: ignore[attr-defined]
        self.advance(count)
        return count


class _BrokenError(Exception):
    pass


class _Zstd(io.RawIOBase):
    def __init__(self, packed: IO[bytes]) -> None:
        self.stream = pa.CompressedInputStream(pa.PythonFile(packed, mode="r"), "zstd")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            count: int = self.stream.readinto(buffer)
        except OSError as error:
            if error.errno is not None:  # of the disk, not of the content
                raise
            raise _BrokenError(str(error)) from None
        return count
