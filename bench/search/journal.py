"""An Optuna journal file with transactions: after a crash it holds all of an operation or nothing of it.

Optuna writes a line for each parameter of a trial. Were a driver to die between two of them, the resumed search could
not go on as if nothing had happened. Here a transaction's lines are written at once and the last one says `commit`;
what follows the last commit is cut off when a driver opens the file. To any other reader it is a plain Optuna journal.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from bench.atomic import write_text
from bench.errors import UserError
from bench.full_disk import room_for
from bench.search.shown import PartlyShown


class Journal(JournalFileBackend):
    """For one writer at a time, which must hold the folder's lock; any number of readers.

    Args:
        path: of the file; created, with its first transaction, where it is missing.
        write: whether this is the writer; repairs the file if so.

    Raises:
        UserError: the file is damaged elsewhere than at its end, or was not written by a `Journal`.
    """

    def __init__(self, path: Path, write: bool) -> None:
        self._path = path
        self._write = write
        self._pending: list[dict[str, Any]] | None = None
        # Number of lines in the file, which is the number of the first held-back line. Only the writer needs it.
        self._committed = _cut_uncommitted(path) if write and path.exists() else 0
        super().__init__(str(path))

    @property
    def empty(self) -> bool:
        """Whether nothing was ever committed."""
        return not self._path.is_file() or self._path.stat().st_size == 0

    def load(self) -> PartlyShown:
        """An Optuna storage of what the file holds."""
        return _Studies(self)

    def close(self) -> None:
        """Nothing to let go: who may write is a matter of the folder's lock."""

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Holds back what is appended, and writes it at the end; on an exception, writes nothing of it.

        Storages that have read held-back lines are ahead of the file after an exception and must be made anew.
        """
        self._pending = []
        try:
            yield
            self._commit(self._pending)
        finally:
            self._pending = None

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Appends to the open transaction, or as a transaction of its own."""
        if not self._write:
            raise RuntimeError(f"{self._path} was opened to be read")
        # Through JSON, so that a storage sees now what it would see when it reads the file.
        plain = json.loads(json.dumps(logs))
        if self._pending is None:
            self._commit(plain)
        else:
            self._pending += plain

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Lines from a number on, those of the open transaction included."""
        # Optuna knows where a line starts only if it has read the one before. The writer's own lines it has not, and
        # would look for the end of the file from its beginning, each time; but nobody else writes to it.
        if not self._write or log_number_from < self._committed:
            yield from super().read_logs(log_number_from)
        if self._pending is not None:
            yield from self._pending[max(0, log_number_from - self._committed) :]

    def _commit(self, logs: list[dict[str, Any]]) -> None:
        if not logs:
            return
        logs[-1]["commit"] = True
        self._committed += len(logs)
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        if self._path.stat().st_size == 0:
            write_text(self._path, text)  # so that a file with a line in it always has a commit
            return
        with room_for(self._path), self._path.open("ab") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())


class _Studies(PartlyShown, JournalStorage):
    """What a journal holds."""


def _cut_uncommitted(path: Path) -> int:
    """Shortens the file to its last commit; gives the number of lines that are left."""
    at = end = lines = 0
    broken: int | None = None
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            at += len(line)
            try:
                log = json.loads(line)
            except ValueError:
                broken = broken or number
                continue
            if broken is not None:
                raise UserError(f"{path}: line {broken} is damaged; expected one JSON object of an Optuna journal")
            if line.endswith(b"\n") and isinstance(log, dict) and log.get("commit"):
                end, lines = at, number
    if at and not end:
        raise UserError(f"{path}: expected the journal of a search, found a file without any committed line")
    if end < at:
        os.truncate(path, end)
    return lines
