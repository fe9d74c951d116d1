"""Makes `search_toys` importable here and in the workers that tests start."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from postgres import PASSWORD, Server, binaries  # noqa: E402  beside this file


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of writes to the very disk would take most of the time; no test here cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A running server; what needs it is skipped where it cannot be had."""
    pytest.importorskip("psycopg", reason="no psycopg: the extra `postgresql`")
    if (programs := binaries()) is None:
        pytest.skip("no PostgreSQL server is installed")
    if os.geteuid() == 0 and (shutil.which("runuser") is None or not _known("postgres")):
        pytest.skip("a PostgreSQL server cannot be run by root, and there is no user postgres")
    server = Server(programs)
    yield server
    server.remove()


def _known(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    """libpq's variable, as it is before and after a test."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
