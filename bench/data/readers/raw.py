"""Raw files as bytes: gzip is recognised by content, so the card's name need not say whether a file is packed."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bench.errors import UserError
from bench.progress import Advance

_GZIP = b"\x1f\x8b"


def is_gzip(path: Path) -> bool:
    """Whether the file's first bytes say gzip."""
    with path.open("rb") as file:
        return file.read(2) == _GZIP


@contextmanager
def open_raw(path: Path, advance: Advance = lambda amount: None) -> Iterator[IO[bytes]]:
    """The unpacked bytes of a file; `advance` is told of the bytes taken from disk.

    Raises:
        UserError: the file is gzip and broken.
    """
    with path.open("rb") as file:
        counted = io.BufferedReader(_Counted(file, advance), buffer_size=1 << 20)
        packed = counted.peek(2)[:2] == _GZIP
        if not packed:
            yield counted
            return
        try:
            yield io.BufferedReader(gzip.GzipFile(fileobj=counted), 1 << 20)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UserError(f"{path}: broken gzip file: {error}") from None


class _Counted(io.RawIOBase):
    def __init__(self, file: IO[bytes], advance: Advance) -> None:
        self.file, self.advance = file, advance

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        count: int = self.file.readinto(buffer)  # type: ignore[attr-defined]
        self.advance(count)
        return count
