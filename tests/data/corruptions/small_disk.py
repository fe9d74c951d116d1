"""Files whose writes are watched: a disk with little room left, or a process that ends at a write."""

import errno
import io
import os
from contextlib import contextmanager
from pathlib import Path
from unittest import mock


@contextmanager
def watched(folder, write):
    """Every write to a file below `folder` that is opened by `Path.open`.

    Args:
        write: bytes that are about to go to the system -> how many of them go; may raise.
    """
    opened = io.open

    class Raw(io.FileIO):
        def write(self, data):
            return super().write(memoryview(data).cast("B")[: write(memoryview(data).nbytes)]) or 0

    def open_watched(file, mode="r", buffering=-1, *text, **others):
        if not set(mode) & set("wax+") or not Path(file).is_relative_to(folder):
            return opened(file, mode, buffering, *text, **others)
        raw = Raw(file, mode.replace("b", "").replace("t", ""), opener=others.pop("opener", None))
        binary = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return binary if "b" in mode else io.TextIOWrapper(binary, *text, **others)

    with mock.patch.object(io, "open", open_watched):
        yield


@contextmanager
def room(folder, size):
    """Lets `size` bytes be written below `folder`; then the disk is full."""
    left = size

    def write(wanted):
        nonlocal left
        if left == 0 and wanted:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = min(wanted, left)
        left -= taken
        return taken

    with watched(folder, write):
        yield
