"""Where seesaw keeps what it makes: `--home`, else `$SEESAW_HOME`, else `./.seesaw`."""

from __future__ import annotations

import os
from pathlib import Path

from bench.errors import UserError


def resolve_home(given: Path | None = None) -> Path:
    """The home folder, made if absent.

    Raises:
        UserError: it cannot be made or written.
    """
    home = Path(given or os.environ.get("SEESAW_HOME") or ".seesaw").expanduser().resolve()
    try:
        home.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"expected a folder as home, found a file: {home}") from None
    except OSError as error:
        raise UserError(f"cannot make the home folder {home}: {error.strerror}") from None
    if not os.access(home, os.W_OK):
        raise UserError(f"the home folder {home} cannot be written; choose another with --home")
    return home
