"""What processes left half-written that were killed: found and removed when the data set is next prepared."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from bench.atomic import writer_of

DAY = 24 * 3600


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


def _changed(path: Path) -> float:
    return max(_time(each) for each in (path, *path.rglob("*")))


def _time(path: Path) -> float:
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return 0.0
