"""Half-written stores of processes that were killed: found and removed when the data set is next prepared."""

from __future__ import annotations

import json
import os
import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

OWNER = "owner.json"
DAY = 24 * 3600


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Says in a half-written folder which process writes it, until it is whole."""
    process = psutil.Process()
    facts = {"host": platform.node(), "pid": process.pid, "started": process.create_time()}
    (folder / OWNER).write_text(json.dumps(facts), encoding="utf-8")
    yield
    (folder / OWNER).unlink()


def remove_abandoned(shelf: Path) -> None:
    """Removes half-written folders of processes of this machine that are gone.

    Where the owner is unknown or on another machine, a folder goes when nothing in it has changed for a day.
    """
    for folder in shelf.glob(".*.part"):
        if folder.is_dir() and _abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _abandoned(folder: Path) -> bool:
    try:
        facts = json.loads((folder / OWNER).read_text(encoding="utf-8"))
        if facts["host"] == platform.node():
            return not _alive(facts["pid"], facts["started"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # killed before it said who it is, or in the middle of a word: age decides
    return time.time() - max(_changed(path) for path in (folder, *folder.rglob("*"))) > DAY


def _alive(pid: int, started: float) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - started) < 1  # a number is given again after a while
    except psutil.NoSuchProcess:
        return False


def _changed(path: Path) -> float:
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return 0.0
