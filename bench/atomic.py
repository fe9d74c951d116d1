"""Files and folders that are whole or absent: written under a temporary name, then renamed.

The temporary name holds the id of the process that writes. So files that a killed process left can be told from those
that a living one is about to finish.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench.full_disk import room_for

DAY = 24 * 3600
_PROCESS = re.compile(r"([0-9a-f]{8})-(\d+)-(\d+)")
_WRITER = re.compile(r"\.([0-9a-f]{8}-\d+-\d+)\.[^.]*\.part")


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yields a temporary path beside `target`; on success it becomes `target`, on any failure it is removed.

    Raises:
        Unwritable: there is no room, or no permission.
    """
    with room_for(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        fd, name = tempfile.mkstemp(prefix=_prefix(target), suffix=".part", dir=target.parent)
        os.close(fd)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o666 & ~_umask())  # a temporary file is private; what it becomes is as any other file
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yields an empty folder beside `target`; on success it replaces `target`, on any failure it is removed.

    Raises:
        Unwritable: there is no room, or no permission.
    """
    with room_for(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=_prefix(target), suffix=".part", dir=target.parent))
        try:
            yield temporary
            temporary.chmod(0o777 & ~_umask())
            if target.exists():
                retired = Path(tempfile.mkdtemp(prefix=_prefix(target), suffix=".part", dir=target.parent))
                os.replace(target, retired / "was")
                os.replace(temporary, target)
                shutil.rmtree(retired)
            else:
                os.replace(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def scratch_folder(beside: Path) -> Iterator[Path]:
    """Yields an empty folder beside a file or folder, and removes it; named as what is half-written is."""
    beside.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=_prefix(beside), suffix=".part", dir=beside.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_text(target: Path, text: str) -> None:
    """Writes a text file whole or not at all."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def writer_of(temporary: Path) -> bool | None:
    """Whether the process that writes under this temporary name lives; None where that cannot be known."""
    match = _WRITER.search(temporary.name)
    return None if match is None else lives(match[1])


def remove_abandoned(shelf: Path) -> None:
    """Removes half-written files and folders of processes of this machine that are gone.

    Where the writer is unknown or on another machine, they go when nothing in them has changed for a day.
    """
    for path in shelf.glob(".*.part"):
        alive = writer_of(path)
        if alive or (alive is None and time.time() - _changed(path) <= DAY):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def this_process() -> str:
    """Names this process among all of all machines, see `lives`."""
    return f"{_host()}-{os.getpid()}-{int(psutil.Process().create_time())}"


def lives(process: str) -> bool | None:
    """Whether the process of that name (see `this_process`) lives; None where that cannot be known."""
    match = _PROCESS.fullmatch(process)
    if match is None or match[1] != _host():
        return None
    try:
        started = psutil.Process(int(match[2])).create_time()
    except psutil.NoSuchProcess:
        return False
    return abs(started - int(match[3])) < 2  # a number is given again after a while


def _prefix(target: Path) -> str:
    return f".{target.name}.{this_process()}."


def _host() -> str:
    return f"{zlib.crc32(platform.node().encode()):08x}"


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    current = os.umask(0o022)
    os.umask(current)
    return current


def _changed(path: Path) -> float:
    return max(_time(each) for each in (path, *path.rglob("*")))


def _time(path: Path) -> float:
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return 0.0
