"""The address of a database that holds searches: checked, and without a password from the first moment on.

No password is kept or printed by anything here. One that stands in an address is taken out and becomes `PGPASSWORD` of
this process and its workers, where libpq looks for it before it looks into `~/.pgpass`. See `bench.credentials`.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.credentials import separated
from bench.errors import UserError

FILE = "storage.json"
DRIVERS = {"postgresql": "postgresql+psycopg", "postgresql+psycopg": "postgresql+psycopg", "sqlite": "sqlite"}
"""Databases that are tested, with the name of the driver. psycopg is built on libpq, hence the ways of passwords."""


@dataclass(frozen=True)
class Address:
    """Where the studies of one search are, if not in a journal.

    Attributes:
        url: as Optuna and SQLAlchemy take it, without a password.
        name: in front of the studies' names, which a database of many searches holds but once.
    """

    url: str
    name: str

    @classmethod
    def read(cls, folder: Path) -> Address | None:
        """That of a data set's folder; None where its studies are in a journal."""
        file = folder / FILE
        return cls(**json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None

    def write(self, folder: Path) -> None:
        """Makes it the folder's; for a folder that nobody reads yet."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=2), encoding="utf-8")

    @property
    def postgresql(self) -> bool:
        """Whether it is a PostgreSQL server's, else a file's."""
        return self.url.startswith("postgresql")


def without_password(url: str) -> str:
    """The address as it is kept; a password in it becomes `PGPASSWORD`. A file's path is made whole.

    Raises:
        UserError: it is no address of a database that can be used. The sentence has no password either.
    """
    import sqlalchemy

    expected = "--storage: expected postgresql://user@host/database or sqlite:///path"
    found = separated(url, "--storage")
    try:
        parsed = sqlalchemy.make_url(found.address)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise UserError(f"{expected}, found something else") from None
    if parsed.drivername not in DRIVERS:
        raise UserError(f"{expected}, found {parsed.drivername}://")
    if parsed.drivername == "sqlite":
        if parsed.database in (None, "", ":memory:") or parsed.host:
            raise UserError(f"{expected}, found sqlite without a path")
        parsed = parsed.set(database=str(Path(str(parsed.database)).expanduser().resolve()))
    if found.password is not None:
        os.environ["PGPASSWORD"] = found.password
    return parsed.set(drivername=DRIVERS[parsed.drivername]).render_as_string(hide_password=False)
