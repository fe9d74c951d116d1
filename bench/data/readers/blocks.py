"""A text file as blocks of whole lines, worked on side by side and handed back in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from bench.data.readers.raw import open_raw
from bench.machine import cores
from bench.progress import Progress

T = TypeVar("T")
BLOCK = 8 << 20


def blocks(path: Path, progress: Progress, size: int = 0) -> Iterator[bytes]:
    """Blocks of about `size` bytes (0: `BLOCK`) that end where a line ends; progress hears of bytes taken from disk.

    Raises:
        UserError: the file is gzip and broken.
    """
    with (
        progress.task(f"reading {path.name}", path.stat().st_size, "B") as advance,
        open_raw(path, advance) as stream,
    ):
        rest = b""
        while block := stream.read(size or BLOCK):
            end = block.rfind(b"\n") + 1
            if end:
                yield rest + block[:end]
                rest = block[end:]
            else:
                rest += block
        if rest:
            yield rest


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
