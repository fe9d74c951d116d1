"""A disk that is full, or a file that may not grow: for the user to mend."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import UserError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def no_room(error: OSError, where: Path | str) -> UserError | None:
    """What to tell the user of an error that says there is no room; None for an error of another kind."""
    if error.errno not in _FULL:
        return None
    return UserError(f"{where}: cannot be written: {os.strerror(error.errno)}")


@contextmanager
def room_for(target: Path) -> Iterator[None]:
    """For code that writes below `target`.

    Raises:
        UserError: there is no room; an `OSError` of another kind stays what it is.
    """
    try:
        yield
    except OSError as error:
        if (told := no_room(error, target)) is None:
            raise
        raise told from None
