"""One connection to a database, with the lock of the one who writes: the server gives it back when it ends."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import scoped_session, sessionmaker
from sqlalchemy.pool import NullPool

from bench.errors import UserError
from bench.extras import adding
from bench.search.samplers import quiet
from bench.search.storage_address import Address

CONNECT_SECONDS = 10


class Taken(UserError):
    """Another driver writes to these studies."""


class Connection:
    """Open from construction to `close`, which gives the lock back.

    Args:
        write: takes the lock, and makes Optuna's tables where they are missing.

    Raises:
        Taken: another driver has the lock.
    """

    def __init__(self, address: Address, write: bool) -> None:
        options: dict[str, Any] = {"poolclass": NullPool}
        if address.postgresql:
            options |= {"connect_args": {"connect_timeout": CONNECT_SECONDS}, "isolation_level": "REPEATABLE READ"}
        engine = sqlalchemy.create_engine(address.url, **options)
        if not address.postgresql:
            _begin_at_once(engine, "BEGIN IMMEDIATE" if write else "BEGIN")
        self._connection = engine.connect()
        try:
            if write and address.postgresql:
                self._lock(address)
            with quiet():
                self._storage = RDBStorage(address.url, {"poolclass": NullPool}, skip_table_creation=not write)
            if write and address.postgresql:
                self._scalar("SELECT pg_advisory_unlock(:key)", _key("tables"))
        except BaseException:
            self._connection.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[RDBStorage]:
        """Optuna's storage, whose commits do not count: what is done within is kept at its end or not at all."""
        with self._connection.begin():
            session = sessionmaker(bind=self._connection, join_transaction_mode="rollback_only")
            self._storage.scoped_session = scoped_session(session)
            yield self._storage

    def close(self) -> None:
        """Ends it."""
        self._connection.close()

    def _lock(self, address: Address) -> None:
        if not self._scalar("SELECT pg_try_advisory_lock(:key)", _key(address.name)):
            raise Taken(
                f"{address.url}: expected no other driver, found one at work on '{address.name}'; "
                "wait for it or stop it"
            )
        self._scalar("SELECT pg_advisory_lock(:key)", _key("tables"))  # two that make the tables at once would fail

    def _scalar(self, statement: str, key: int) -> Any:
        with self._connection.begin():
            return self._connection.execute(sqlalchemy.text(statement), {"key": key}).scalar()


def gone(error: BaseException) -> str | None:
    """Why a database does not answer, in a line; None where an error says something else."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    if isinstance(cause, OperationalError | InterfaceError) or (
        isinstance(cause, DBAPIError) and cause.connection_invalidated
    ):
        return " ".join(str(cause.orig).split())
    return None


@contextmanager
def answering(url: str) -> Iterator[None]:
    """For code that opens a database.

    Raises:
        UserError: it does not answer or refuses, has tables of another version, or its driver is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise UserError(f"{url}: expected {error.name}, found none installed; {adding('postgresql')}") from None
    except (SQLAlchemyError, StorageInternalError) as error:
        why = gone(error) or " ".join(str(getattr(error, "orig", error)).split())
        raise UserError(f"{url}: expected a database that can be used, found: {why}") from None
    except RuntimeError as error:  # what Optuna says of tables of another version
        raise UserError(f"{url}: expected tables of this Optuna, found others: {error}") from None


def _begin_at_once(engine: sqlalchemy.Engine, statement: str) -> None:
    """Without it Python's sqlite3 begins at the first change, and what is read before is of another moment."""

    @sqlalchemy.event.listens_for(engine, "connect")
    def connected(connection: Any, record: Any) -> None:
        connection.isolation_level = None

    @sqlalchemy.event.listens_for(engine, "begin")
    def begun(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql(statement)


def _key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"seesaw {name}".encode(), digest_size=8).digest(), "big", signed=True)
