"""A text file as blocks of whole lines, worked on side by side and handed back in order."""

from __future__ import annotations

import codecs
import io
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from bench.data.readers.raw import open_raw
from bench.errors import UserError
from bench.machine import cores
from bench.progress import Progress, Silent

T = TypeVar("T")
BLOCK = 4 << 20
"""Bytes that are read at a time, and the longest line there may be: what is held does not depend on the file."""


def blocks(path: Path, progress: Progress, doing: str = "reading") -> Generator[bytes]:
    """Blocks of at most twice `BLOCK` bytes that end where a line ends; progress hears of bytes taken from disk.

    Raises:
        UserError: the file is packed and broken, or has a line longer than `BLOCK`.
    """
    with (
        progress.task(f"{doing} {path.name}", path.stat().st_size, "B") as advance,
        open_raw(path, advance) as stream,
    ):
        rest, done = b"", 0
        while block := stream.read(BLOCK):
            first, end = block.find(b"\n"), block.rfind(b"\n") + 1
            if len(rest) + (first if end else len(block)) > BLOCK:
                expected = f"expected lines of at most {BLOCK:,} bytes, found a longer one"
                raise UserError(f"{path}, line {_ends(path, done) + 1}: {expected}")
            if end:
                done += len(rest) + end
                yield b"".join((rest, memoryview(block)[:end]))
                rest = block[end:]
            else:
                rest += block
        if rest:
            yield rest


def _ends(path: Path, size: int) -> int:
    """Of lines, in so many bytes from the beginning."""
    found = 0
    with open_raw(path) as stream:
        while size and (block := stream.read(min(size, BLOCK))):
            found, size = found + block.count(b"\n"), size - len(block)
    return found


def lines(path: Path, progress: Progress | None = None) -> Iterator[bytes]:
    """The lines of a file, each with its end but without a byte-order mark.

    Raises:
        UserError: as `blocks`.
    """
    mark = codecs.BOM_UTF8
    for block in blocks(path, progress or Silent()):
        yield from io.BytesIO(block.removeprefix(mark))
        mark = b""


def side_by_side(items: Iterator[bytes], work: Callable[[bytes], T], workers: int = 0) -> Iterator[tuple[bytes, T]]:
    """(item, work(item)) in order; at most two items more than workers are held at a time.

    Args:
        work: releases the interpreter's lock, or it gains nothing.
        workers: threads; 0 means all cores, at most 8.
    """
    workers = workers or min(cores(), 8)
    with ThreadPoolExecutor(workers) as pool:
        under_way: deque[tuple[bytes, Future[T]]] = deque()
        try:
            for item in items:
                under_way.append((item, pool.submit(work, item)))
                if len(under_way) > workers + 1:
                    first, future = under_way.popleft()
                    yield first, future.result()
            while under_way:
                first, future = under_way.popleft()
                yield first, future.result()
        finally:
            for _, future in under_way:
                future.cancel()
