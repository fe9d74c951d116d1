"""Where seesaw keeps what it makes: `--home`, else `$SEESAW_HOME`, else `./.seesaw`."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from bench.core.errors import UserError
from bench.core.system.atomic import Unwritable, writable


def resolve_home(folder: Path | None = None) -> Path:
    """Returns the absolute home folder without creating it; UserError if it is a file, OSError if
    no folder can be.
    """
    home = Path(folder or os.environ.get("SEESAW_HOME") or ".seesaw").expanduser().resolve()
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        home.stat()  # from Python 3.13 on, `resolve` takes a name that is too long
    if os.path.isfile(home):
        raise UserError(f"expected a folder as home, found a file: {home}")
    return home


def writable_home(folder: Path | None = None) -> Path:
    """Returns the home folder, created if absent; raises UserError if it is a file, or cannot be
    created or written.
    """
    try:
        return writable(resolve_home(folder))
    except Unwritable as error:
        raise Unwritable(error.where, error.number, "; choose another with --home") from None


def shown(path: Path) -> str:
    """A path for people: relative if it lies below the current folder."""
    here = Path.cwd()
    if path.is_relative_to(here):
        path = path.relative_to(here)
    return str(path)
