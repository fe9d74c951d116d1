"""Files whose writes are watched: a disk with little room left, or a process that ends at a write."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock


@contextmanager
def watched(folder: Path, write: Callable[[int], int]) -> Iterator[None]:
    """Every write to a file below `folder` that is opened by `Path.open`.

    Args:
        write: bytes that are about to go to the system -> how many of them go; may raise.
    """
    opened = io.open

    class Raw(io.FileIO):
        def write(self, data: Any) -> int:
            return super().write(memoryview(data).cast("B")[: write(memoryview(data).nbytes)]) or 0

    def open_watched(file: Any, mode: str = "r", buffering: int = -1, *text: Any, **others: Any) -> Any:
        if not set(mode) & set("wax+") or not Path(file).is_relative_to(folder):
            return opened(file, mode, buffering, *text, **others)
        raw = Raw(file, mode.replace("b", "").replace("t", ""), opener=others.pop("opener", None))
        binary = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return binary if "b" in mode else io.TextIOWrapper(binary, *text, **others)

    with mock.patch.object(io, "open", open_watched):
        yield


@contextmanager
def room(folder: Path, size: int) -> Iterator[None]:
    """Lets `size` bytes be written below `folder`; then the disk is full."""
    left = size

    def write(wanted: int) -> int:
        nonlocal left
        if left == 0 and wanted:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = min(wanted, left)
        left -= taken
        return taken

    with watched(folder, write):
        yield
