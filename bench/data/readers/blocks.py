"""Reads raw files as blocks of whole lines, decompressed; compression is recognised by content."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any, TypeVar

import pyarrow as pa

from bench.core.errors import UserError
from bench.core.system.machine import cores
from bench.core.system.progress import Advance, Progress, Silent
from bench.data.prefetch import workers

PACKED = (".gz", ".zst")
"""Endings of compressed files."""
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def is_gzip(path: Path) -> bool:
    """Whether the file starts like gzip."""
    with path.open("rb") as file:
        return file.read(2) == _GZIP


def unpacked_name(name: str) -> str:
    """A file's name without the ending of a compressed file."""
    for ending in PACKED:
        if name.endswith(ending):
            return name.removesuffix(ending)
    return name


@contextmanager
def open_raw(path: Path, advance: Advance = lambda amount: None) -> Iterator[IO[bytes]]:
    """Opens the decompressed bytes of a file; `advance` gets the bytes read from disk; UserError if
    it is broken.
    """
    with io.BufferedReader(_Counted(path, advance), 1 << 20) as counted:
        start = counted.peek(4)[:4]
        if start.startswith(_GZIP):
            codec = "gzip"
        elif start == _ZSTD:
            codec = "zstd"
        else:
            yield counted
            return
        try:
            if codec == "gzip":  # Arrow refuses a file padded with zeros
                yield io.BufferedReader(gzip.GzipFile(fileobj=counted), 1 << 20)
            else:
                packed = pa.CompressedInputStream(pa.PythonFile(counted, mode="r"), codec)
                yield io.BufferedReader(packed, 1 << 20)
        except (EOFError, zlib.error, OSError) as error:
            if getattr(error, "errno", None) is not None:  # of the disk, not of the content
                raise
            raise UserError(f"{path}: broken {codec} file: {error}") from None


class _Counted(io.RawIOBase):
    def __init__(self, path: Path, advance: Advance) -> None:
        self._file = path.open("rb", buffering=0)
        self.advance = advance

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(buffer)
        self.advance(count)
        return count


T = TypeVar("T")
BLOCK = 4 << 20
"""Bytes read at a time, and the longest possible line: memory does not depend on the file."""


def blocks(path: Path, progress: Progress) -> Generator[bytes]:
    """Yields blocks of at most twice `BLOCK` bytes that end where a line ends; progress counts
    bytes read from disk.

    Raises UserError if the file is compressed and broken, or has a line longer than `BLOCK`.
    """
    with (
        progress.task(f"reading {path.name}", path.stat().st_size, "B") as advance,
        open_raw(path, advance) as stream,
    ):
        rest = b""
        yielded = 0
        while block := stream.read(BLOCK):
            end = block.rfind(b"\n") + 1
            first_line_end = block.find(b"\n") if end else len(block)
            if len(rest) + first_line_end > BLOCK:
                raise UserError(
                    f"{path}, line {_line_ends(path, yielded) + 1}: expected lines of at most "
                    f"{BLOCK:,} bytes, found a longer one"
                )
            if end:
                yielded += len(rest) + end
                yield b"".join((rest, memoryview(block)[:end]))
                rest = block[end:]
            else:
                rest += block
        if rest:
            yield rest


def _line_ends(path: Path, size: int) -> int:
    """How many lines end in the first bytes of a file."""
    count = 0
    with open_raw(path) as stream:
        while size:
            block = stream.read(min(size, BLOCK))
            if not block:
                break
            count += block.count(b"\n")
            size -= len(block)
    return count


def lines(path: Path) -> Iterator[bytes]:
    """Yields the lines of a file with their ends, without a byte-order mark; errors as of
    `blocks`.
    """
    mark = codecs.BOM_UTF8
    for block in blocks(path, Silent()):
        yield from io.BytesIO(block.removeprefix(mark))
        mark = b""


def work_in_threads(
    blocks: Iterator[bytes], work: Callable[[bytes], T]
) -> Iterator[tuple[bytes, T]]:
    """Yields (block, work(block)) in order, by one thread a core; useful if `work` releases the
    interpreter's lock.
    """
    threads = min(cores(), 8)  # at most two more blocks are in memory at a time
    with workers(threads) as pool:
        submitted = ((block, pool.submit(work, block)) for block in blocks)
        under_way = deque(islice(submitted, threads + 1))
        while under_way:
            block, future = under_way.popleft()
            under_way.extend(islice(submitted, 1))
            yield block, future.result()
