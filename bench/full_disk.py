"""What cannot be written: a full disk, a file that may not grow, a folder without permission. The user mends it."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import UserError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_REFUSED = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG)
_SHORT = re.compile(r"\d+ requested and \d+ written")  # NumPy's words, without a number of the error
_RUST = re.compile(r"\(os error (\d+)\)")  # safetensors raises an error of its own around the system's


class Unwritable(UserError):
    """A file or folder that cannot be written; the text names it, and why."""

    def __init__(self, where: Path | str, number: int | None, help: str = "") -> None:
        self.where, self.number = where, number
        super().__init__(f"{where}: cannot be written: {os.strerror(number or errno.EIO)}{help}")


def no_room(error: BaseException, where: Path | str) -> Unwritable | None:
    """What to tell the user of an error that says there is no room; None for an error of another kind."""
    number = _number(error)
    return Unwritable(where, number) if number in _FULL else None


def refused(error: OSError) -> UserError | None:
    """What to tell the user of a file that the system does not let us use; None for an error of another kind."""
    if error.errno not in _REFUSED or error.filename is None:
        return None
    return UserError(f"{error.filename}: cannot be used: {os.strerror(error.errno)}")


@contextmanager
def room_for(target: Path) -> Iterator[None]:
    """For code that writes `target`, or below it, or beside it under another name.

    Raises:
        Unwritable: there is no room, or no permission; an error of another kind stays what it is.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, Unwritable):  # told of a part of it, perhaps under a name that is not to stay
            if _is_about(error.where, target):
                raise Unwritable(target, error.number) from None
            raise
        if (told := no_room(error, target)) is not None:
            raise told from None
        if isinstance(error, OSError) and error.errno in _REFUSED and _is_about(error.filename, target):
            raise Unwritable(target, error.errno) from None
        raise


def writable(folder: Path) -> Path:
    """A folder to write in, made if absent.

    Raises:
        UserError: it is a file, or cannot be made or written.
    """
    try:
        with room_for(folder):
            folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"expected a folder, found a file: {folder}") from None
    if not os.access(folder, os.W_OK):
        raise Unwritable(folder, errno.EACCES)
    return folder


def _number(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    if isinstance(error, OSError) and _SHORT.search(str(error)):
        return errno.ENOSPC
    return int(found[1]) if (found := _RUST.search(str(error))) else None


def _is_about(name: object, target: Path) -> bool:
    """Whether a file that an error names is the target, is below or beside it, or is a folder that holds it."""
    if not isinstance(name, str | bytes | os.PathLike):
        return False
    path = Path(os.fsdecode(name))
    return path.is_relative_to(target.parent) or target.is_relative_to(path)
