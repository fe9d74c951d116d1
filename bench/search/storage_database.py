"""A search's studies in a database, as Optuna keeps them there: `optuna-dashboard` and other programs can read them.

Optuna commits after each of its statements; were a driver to die between two of them, the resumed search could not go
on as if nothing had happened. Here all that one step of the driver changes is one transaction of the database. Each
counts itself: so a commit whose answer was lost is not made twice, and a second driver that got past every lock is
found out before it changes anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from bench.errors import UserError
from bench.search.samplers import quiet
from bench.search.storage import Note
from bench.search.storage_address import Address
from bench.search.storage_connection import Connection, Taken, answering, gone
from bench.search.storage_mirror import Call, Mirror, Numbers

STUDIES = ("search", "confirm")
COUNT = "transactions"
PATIENCE = 300.0
"""Seconds for which a database that was there may not answer."""
PAUSES = (0.1, 10.0)
"""Seconds between the first attempts, and at most; each is twice the one before."""

T = TypeVar("T")


class Database:
    """See `storage.Storage`.

    Args:
        write: whether this is the one writer.
        note: told when the database stops answering.

    Raises:
        UserError: it does not answer, refuses, lacks a driver, or another driver writes to these studies.
    """

    def __init__(self, address: Address, write: bool, note: Note = lambda text: None) -> None:
        self._address, self._write, self._note = address, write, note
        self._mirror = Mirror()
        self._numbers = Numbers()
        self._count = 0
        self._lost: UserError | None = None
        with answering(address.url):
            self._connection: Connection | None = Connection(address, write)

    @property
    def empty(self) -> bool:
        """Whether no search was begun under this address."""
        return not self._steadily(lambda again: self._read(self._find))

    def load(self) -> Mirror:
        """Reads both studies, at one moment."""
        if self._lost:
            raise self._lost
        return self._steadily(lambda again: self._read(self._load))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What is done to what `load` gave is in the database at its end, or nothing of it.

        Raises:
            UserError: the database did not answer for `PATIENCE`, or another driver has written to these studies.
        """
        if not self._write:
            raise RuntimeError(f"{self._address.url} was opened to be read")
        if self._lost:
            raise self._lost
        calls: list[Call] = []
        self._mirror.calls = calls
        try:
            yield
        finally:
            self._mirror.calls = None
        if calls:
            self._steadily(lambda again: self._commit(calls, again))

    def close(self) -> None:
        """Lets the next driver in."""
        if self._connection:
            self._connection.close()
            self._connection = None

    def _steadily(self, attempt: Callable[[bool], T]) -> T:
        """The result of an attempt that is made again, on a new connection, where the database went away."""
        began, pause, reason = time.monotonic(), PAUSES[0], ""
        while True:
            try:
                if self._connection is None:
                    self._connection = Connection(self._address, self._write)
                return attempt(bool(reason))
            except (SQLAlchemyError, StorageInternalError) as error:
                if (why := gone(error)) is None:
                    raise
                self._drop()
                if not reason:
                    self._note(f"{self._address.url}: {why}; trying again for {PATIENCE:.0f} s")
                reason = why
            except Taken as error:  # perhaps by our own lost connection, of which the server does not know yet
                reason = str(error)
            if time.monotonic() - began > PATIENCE:
                self._lost = UserError(
                    f"{self._address.url}: expected an answer within {PATIENCE:.0f} s, found none ({reason}); nothing "
                    "that was kept is lost, and `seesaw resume` goes on from there"
                )
                raise self._lost
            time.sleep(pause)
            pause = min(2 * pause, PAUSES[1])

    def _drop(self) -> None:
        try:
            self.close()
        except SQLAlchemyError:  # there is nothing left to close
            self._connection = None

    def _name(self, study: str) -> str:
        return f"{self._address.name}/{study}"

    def _find(self, storage: RDBStorage) -> dict[str, int]:
        """Numbers in the database of the studies that are there."""
        # Not by name: that a name is unknown would be an error to Optuna, and end the transaction.
        numbers = {study.study_name: study._study_id for study in storage.get_all_studies()}
        return {name: numbers[self._name(name)] for name in STUDIES if self._name(name) in numbers}

    def _load(self, storage: RDBStorage) -> Mirror:
        self._mirror, self._numbers, self._count = mirror, numbers, _ = Mirror(), Numbers(), 0
        mirror.calls = []
        trials = []
        for name, number in self._find(storage).items():
            here = mirror.create_new_study(storage.get_study_directions(number), name)
            numbers.studies[here] = number
            for key, value in storage.get_study_user_attrs(number).items():
                mirror.set_study_user_attr(here, key, value)
            for key, value in storage.get_study_system_attrs(number).items():
                mirror.set_study_system_attr(here, key, value)
            trials += [(trial._trial_id, here, trial) for trial in storage.get_all_trials(number, deepcopy=False)]
            self._count = max(self._count, self._count_in(storage, number))
        # In the order in which both studies' trials were made: Optuna's samplers keep numbers of trials.
        for number, here, trial in sorted(trials, key=lambda each: each[0]):
            numbers.trials[mirror.create_new_trial(here, trial)] = number
        mirror.calls = None
        return mirror

    def _commit(self, calls: list[Call], again: bool) -> None:
        assert self._connection is not None
        with quiet(), self._connection.transaction() as storage:
            found = self._numbers.studies[0] if self._count else self._find(storage).get(STUDIES[0])
            count = 0 if found is None else self._count_in(storage, found)
            if again and count == self._count + 1:
                pass  # the attempt before was kept, only the answer got lost
            elif count != self._count:
                raise UserError(
                    f"{self._address.url}: expected nobody else to write to '{self._address.name}', found "
                    f"{count - self._count} transactions of another driver"
                )
            else:
                self._mirror.apply(calls, storage, self._numbers, f"{self._address.name}/")
                storage.set_study_user_attr(self._numbers.studies[0], COUNT, count + 1)
        self._count += 1

    def _count_in(self, storage: RDBStorage, number: int) -> int:
        return int(storage.get_study_user_attrs(number).get(COUNT, 0))

    def _read(self, what: Callable[[RDBStorage], T]) -> T:
        assert self._connection is not None
        with quiet(), self._connection.transaction() as storage:
            return what(storage)
