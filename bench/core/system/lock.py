"""One driver per folder: a lock that the operating system frees when its holder ends, even by a
crash.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TextIO

from bench.core.errors import UserError
from bench.core.system.atomic import room_for, writable

FILE = "driver.lock"
MOMENT = 0.05
"""Seconds to wait before the second try, many times the duration of `is_held`."""


def is_held(folder: Path) -> bool:
    """Whether a driver works on a folder now."""
    try:
        with (folder / FILE).open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _opened(file: Path) -> TextIO:
    """The file of a lock, made where it is absent.

    Opening must not truncate what the holder wrote, and not follow a link: in somebody else's
    folder it may lead to any file. Workers do not inherit it (PEP 446).
    """
    try:
        number = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise UserError(f"{file}: expected a file of its own, found a link; remove it") from None
    return os.fdopen(number, "a+", encoding="utf-8")


@contextmanager
def in_turn(file: Path) -> Iterator[None]:
    """Waits until no other process holds this file's lock, then holds it; the file remains.

    Raises:
        UserError: it is a link.
    """
    with room_for(file):
        stream = _opened(file)
    with stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


class FolderLock(AbstractContextManager["FolderLock"]):
    """Holds the lock from construction to `release`. The file remains: otherwise two drivers could
    lock two files.

    Args:
        file: in the folder; each is a separate lock.
        holder: name of the holder, for messages.

    Raises:
        UserError: another driver holds it.
    """

    def __init__(self, folder: Path, file: str = FILE, holder: str = "driver") -> None:
        writable(folder)
        self._file = _opened(folder / file)
        try:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(MOMENT)  # it may have been `is_held` of another process
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            process = self._file.read().strip() or "unknown"
            self._file.close()
            raise UserError(
                f"{folder}: expected no other {holder}, found one at work (process {process}); "
                "wait for it or stop it"
            ) from None
        with room_for(folder / file):
            self._file.truncate(0)
            self._file.write(f"{os.getpid()}\n")
            self._file.flush()

    def release(self) -> None:
        """Releases the lock; releasing twice is harmless."""
        self._file.close()

    def __exit__(self, *error: object) -> None:
        self.release()
