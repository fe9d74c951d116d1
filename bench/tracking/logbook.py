"""Logs a driver's records without ever waiting for MLflow: a section for each data set, sent by one thread.

The records are the truth. The thread sends those that are new; at the end it compares all records with what MLflow has.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from bench.frontier.history import History
from bench.records import TrialRecord
from bench.tracking.front import Found, log_front
from bench.tracking.runs import Ending, Parent
from bench.tracking.store import MlflowStore, TrackingError
from bench.tracking.values import volumes

T = TypeVar("T")

EVERY = 10.0  # seconds, at least, between two writings of the hypervolume
LONGEST_PAUSE = 30.0  # seconds between tries while nothing arrives
STARTING = 120.0  # seconds for making the tables of a new store's file
GIVE_UP = 2  # failures in a row, once somebody waits
HOPELESS = 3  # trials that the store refuses, in a row


class Section:
    """One data set's part of a run.

    Args:
        identity: as for `Parent`.

    Attributes:
        records: the newest of each trial, by number.
        front: what came of a search that came to its end.
        place: ids of the experiment and of the parent run, once it is open.
        sent: what was sent, by kind.
    """

    def __init__(self, logbook: Logbook, history: History, identity: dict[str, Any]) -> None:
        self._logbook, self._history, self._identity = logbook, history, identity
        self._parent: Parent | None = None
        self._sent: dict[int, TrialRecord] = {}
        self._failed = False
        self._shown = -math.inf
        self.records: dict[int, TrialRecord] = {}
        self.front: Found | None = None
        self.place: tuple[str, str] | None = None
        self.sent: Counter[str] = Counter()

    def log(self, records: Sequence[TrialRecord], told: int) -> None:
        """Takes trials as they are now and returns at once. `told` is how many jobs are told; see `History.add`."""
        self._history.add(records, told)
        self.records |= {record.number: record for record in records}
        self._logbook.wake()

    @property
    def there(self) -> int:
        """Of how many trials all was sent."""
        return sum(map(self._is_sent, list(self.records.values())))

    def open(self) -> Parent:
        """In the thread: the parent run."""
        if self._parent is None:
            self._parent = Parent(self._logbook.store, sent=self.sent, **self._identity)
            self.place = self._parent.experiment, self._parent.node.run_id
        return self._parent

    def send(self, last: bool, ended: float) -> None:
        """In the thread: sends the trials that are new; as the last, all that is missing."""
        if last and self._failed:  # a server may have done late what we asked for again: read what is there anew
            self._parent, self._failed = None, False
        try:
            parent = self.open()
            _each(self._send_trial, [each for each in list(self.records.values()) if last or not self._is_sent(each)])
            if last or monotonic() - self._shown >= EVERY:
                self._shown = monotonic()
                self.sent["hypervolumes"] += parent.node.send(volumes(self._history))
            if last and self.front:
                log_front(parent, self.front, when=ended)
        except TrackingError:
            self._parent, self._failed = None, True
            raise

    def _is_sent(self, record: TrialRecord) -> bool:
        return self._sent.get(record.number) is record

    def _send_trial(self, record: TrialRecord) -> None:
        self.open().log_trial(record)
        self._sent[record.number] = record


class Logbook:
    """All that is logged of one run, sent by a thread that works whenever it is woken, and again after a failure.

    Args:
        uri, home: as for `MlflowStore`.
        live: whether the parents are marked as going on.

    Attributes:
        trouble: why the last try failed; empty after one that did not.

    Raises:
        UserError: no store can have that address.
    """

    def __init__(self, uri: str | None, home: Path, live: bool = True) -> None:
        self.store, self._live = MlflowStore(uri, home), live
        self._ending: tuple[Ending, float] = ("FINISHED", 0.0)
        self._wanted, self._finishing, self._ended = threading.Event(), threading.Event(), threading.Event()
        self._failures = 0
        self._bug: BaseException | None = None
        self.sections: list[Section] = []
        self.trouble = ""
        threading.Thread(target=self._run, name="mlflow-sender", daemon=True).start()

    def section(self, history: History, **identity: Any) -> Section:
        """The part of one data set; `identity` as for `Parent`."""
        self.sections.append(Section(self, history, {"live": self._live, **identity}))
        self.wake()
        return self.sections[-1]

    @property
    def sent(self) -> Counter[str]:
        """What was sent, by kind."""
        return sum((section.sent for section in self.sections), Counter())

    def wake(self) -> None:
        """Says that there is work."""
        self._wanted.set()

    def finish(self, ending: Ending, ended: float, patience: float, most: float = math.inf) -> bool:
        """Sends what is missing of all sections and closes them; whether all of it is there.

        Waits while requests are answered; not after `patience` seconds without an answer, `most` seconds in all, or
        two failures in a row. Nothing is sent after that.

        Args:
            ended: in seconds since 1970.

        Raises:
            Whatever the thread raised that is no `TrackingError`.
        """
        self._ending, self._failures = (ending, ended), 0
        self._finishing.set()
        self.wake()
        began = monotonic()
        while self._failures < GIVE_UP and not self._ended.wait(0.05):
            silent = monotonic() - max(began, self.store.answered)
            if silent > (STARTING if self.store.starting else patience) or monotonic() - began > most:
                break
        self.store.over = True
        self.wake()
        if self._bug is not None:
            raise self._bug
        return self._ended.is_set()

    def _run(self) -> None:
        while not self._ended.is_set():
            if self.trouble:  # a server that is away is asked seldom, and at once when somebody begins to wait
                waited = self._finishing.is_set()
                time.sleep(0.5) if waited else self._finishing.wait(min(LONGEST_PAUSE, 2.0**self._failures))
            self._wanted.wait()
            self._wanted.clear()
            if self.store.over:
                return
            last = self._finishing.is_set()
            try:
                self._send(last)
            except TrackingError as error:
                self.trouble = str(error)
                self._failures += 1
                self.wake()
            except BaseException as error:  # our own mistake: told to whoever waits at the end
                self._bug = error
                self._ended.set()
            else:
                self.trouble, self._failures = "", 0
                if last:
                    self._ended.set()

    def _send(self, last: bool) -> None:
        """Sends what is new; as the last, all that is missing. Done again, it does no harm, after an error neither."""
        ending, ended = self._ending
        _each(lambda section: section.send(last, ended), self.sections)
        for section in self.sections if last else ():
            section.open().node.set_status(ending, ended)


def _each(do: Callable[[T], object], items: Iterable[T]) -> None:
    """Does something with each item. One that the store refuses keeps no other from it, and the first error is raised
    at the end; but `HOPELESS` in a row end it.
    """
    errors: list[TrackingError] = []
    in_a_row = 0
    for item in items:
        try:
            do(item)
            in_a_row = 0
        except TrackingError as error:
            errors.append(error)
            in_a_row += 1
            if in_a_row == HOPELESS:
                break
    if errors:
        raise errors[0]
