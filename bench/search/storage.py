"""Where a search's studies are kept: the journal in its folder, or a database that the folder names."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from bench.search.journal import Journal
from bench.search.shown import PartlyShown
from bench.search.storage_address import Address

JOURNAL = "study.log"

Note = Callable[[str], None]
"""Says something that the user should know while it lasts."""


class Storage(Protocol):
    """For one writer at a time; any number of readers. What a transaction writes is there whole or not at all."""

    @property
    def empty(self) -> bool:
        """Whether no search was begun in it."""

    def load(self) -> PartlyShown:
        """What it holds, as Optuna sees it; for a writer, what is done to it inside transactions is kept.

        After an exception in a transaction it must be called again: what it gave before is ahead of what is kept.
        """

    def transaction(self) -> AbstractContextManager[None]:
        """What is done within is kept at its end; on an exception, nothing of it."""

    def close(self) -> None:
        """Lets others write."""


def open_storage(folder: Path, write: bool, note: Note = lambda text: None) -> Storage:
    """That of a search's folder.

    Args:
        write: whether to write, for which the folder's lock must be held.
        note: told when a database does not answer.

    Raises:
        UserError: a journal is damaged; a database cannot be had, or another driver writes to it.
    """
    if address := Address.read(folder):
        from bench.search.storage_database import Database  # only where it is used: it loads SQLAlchemy

        return Database(address, write, note)
    return Journal(folder / JOURNAL, write)


def check_database(url: str) -> None:
    """Makes Optuna's tables in a database, where they are missing.

    Raises:
        UserError: it cannot be used.
    """
    from bench.search.storage_database import Database

    Database(Address(url, f"check-{secrets.token_hex(4)}"), write=True).close()
