"""Logs a driver's records without ever waiting for MLflow: a section for each data set, sent by one thread.

The records are the truth. The thread sends those that are new; at the end it compares all records with what MLflow has.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from bench.frontier.history import History
from bench.records import TrialRecord
from bench.tracking.front import Found, log_front
from bench.tracking.runs import Ending, Parent, Tracker
from bench.tracking.store import Pulse, TrackingError, load, plain_address
from bench.tracking.values import volumes

EVERY = 10.0  # seconds, at least, between two writings of the hypervolume
LONGEST_PAUSE = 30.0  # seconds between tries while nothing arrives
STARTING = 120.0  # seconds for making the tables of a new store's file
GIVE_UP = 2  # failures in a row, once somebody waits
HOPELESS = 3  # trials that the store refuses, in a row


class Logbook:
    """All that is logged of one run.

    Args:
        uri, home: as for `Tracker`.
        live: whether the parents are marked as going on.

    Raises:
        UserError: no store can have that address.
    """

    def __init__(self, uri: str | None, home: Path, live: bool = True) -> None:
        uri = uri if uri is None else plain_address(uri)
        load(uri or "sqlite://")  # here, in the thread of who asks: see there
        self._uri, self._home, self._live = uri, home, live
        self._pulse = Pulse()
        self._tracker: Tracker | None = None
        self._ending: tuple[Ending, float] = ("FINISHED", 0.0)
        self.sections: list[Section] = []
        self.sender = Sender(self._pulse, self._send)

    def section(self, history: History, **identity: Any) -> Section:
        """The part of one data set; `identity` as for `Tracker.open_parent`."""
        made = Section(self, history, identity)
        self.sections.append(made)
        self.sender.wake()
        return made

    def open(self, identity: dict[str, Any]) -> Parent:
        """In the thread: a parent run, MLflow being reached where it was not."""
        if self._tracker is None:
            self._tracker = Tracker(self._uri, self._home, self._pulse)
        return self._tracker.open_parent(**identity, live=self._live)

    def finish(self, ending: Ending, ended: float, patience: float, most: float = math.inf) -> bool:
        """Sends what is missing of all sections and closes them; whether all of it is there. Waits as a `Sender` does.

        Args:
            ended: in seconds since 1970.
        """
        self._ending = ending, ended
        return self.sender.finish(patience, most)

    @property
    def sent(self) -> Counter[str]:
        """What was sent, by kind."""
        return sum((section.sent for section in self.sections), Counter())

    def _send(self, last: bool) -> None:
        ending, ended = self._ending
        troubles = []
        for section in self.sections:  # one that fails keeps no other from being sent
            try:
                section.send(last, ended)
            except TrackingError as error:
                troubles.append(error)
        if troubles:
            raise troubles[0]
        for section in self.sections if last else ():
            section.open().node.set_status(ending, ended)


class Section:
    """One data set's part of a run.

    Attributes:
        records: the newest of each trial, by number.
        front: what came of a search that came to its end.
        place: ids of the experiment and of the parent run, once it is open.
        sent: what was sent, by kind.
    """

    def __init__(self, logbook: Logbook, history: History, identity: dict[str, Any]) -> None:
        self._logbook, self._history, self._identity = logbook, history, identity
        self._parent: Parent | None = None
        self._new, self._arrived = set[int](), set[int]()
        self._failed = False
        self._shown = -math.inf
        self.records: dict[int, TrialRecord] = {}
        self.front: Found | None = None
        self.place: tuple[str, str] | None = None
        self.sent: Counter[str] = Counter()

    def log(self, records: Sequence[TrialRecord], told: int) -> None:
        """Takes trials as they are now and returns at once. `told` is how many jobs are told; see `History.add`."""
        self._history.add(records, told)
        for record in records:
            self.records[record.number] = record
            self._new.add(record.number)
        self._logbook.sender.wake()

    @property
    def there(self) -> int:
        """Of how many trials all was sent."""
        return len(self._arrived - self._new)

    def open(self) -> Parent:
        """In the thread: the parent run."""
        if self._parent is None:
            self._parent = self._logbook.open(self._identity)
            self._parent.sent = self.sent
            self.place = self._parent.experiment, self._parent.node.run_id
        return self._parent

    def send(self, last: bool, ended: float) -> None:
        """In the thread: sends the trials that are new; as the last, all that is missing."""
        if last and self._failed:  # a server may have done late what we asked for again: read what is there anew
            self._parent, self._failed = None, False
        try:
            parent = self.open()
            self._send_trials(parent, list(self.records) if last else sorted(self._new))
            if last or monotonic() - self._shown >= EVERY:
                self._shown = monotonic()
                self.sent["hypervolumes"] += parent.node.send(volumes(self._history))
            if last and self.front:
                log_front(parent, self.front, when=ended)
        except TrackingError:
            self._parent, self._failed = None, True
            raise

    def _send_trials(self, parent: Parent, numbers: Sequence[int]) -> None:
        """Sends trials. One that the store refuses keeps no other from it; the first error is raised at the end."""
        errors: list[TrackingError] = []
        in_a_row = 0
        for number in numbers:
            self._new.discard(number)  # before it is read: what comes meanwhile is new again
            try:
                parent.log_trial(self.records[number])
                self._arrived.add(number)
                in_a_row = 0
            except TrackingError as error:
                self._new.add(number)
                errors.append(error)
                in_a_row += 1
                if in_a_row == HOPELESS:
                    break
        if errors:
            raise errors[0]


class Sender:
    """A thread that works whenever it is woken, and again after a failure, while nobody waits for it.

    Args:
        work: is told whether it is the last piece, which must make up for all that is missing. It must be such that it
            can be done again, after an error, too.

    Attributes:
        trouble: why the last try failed; empty after one that did not.
    """

    def __init__(self, pulse: Pulse, work: Callable[[bool], object]) -> None:
        self._pulse, self._work = pulse, work
        self._wanted, self._finishing, self._ended = threading.Event(), threading.Event(), threading.Event()
        self._failures = 0
        self._bug: BaseException | None = None
        self.trouble = ""
        threading.Thread(target=self._run, name="mlflow-sender", daemon=True).start()

    def wake(self) -> None:
        """Says that there is work."""
        self._wanted.set()

    def finish(self, patience: float, most: float = math.inf) -> bool:
        """Has the last piece of work done; whether it was.

        Waits while requests are answered; not after `patience` seconds without an answer, `most` seconds in all, or
        two failures in a row. Nothing is sent after that.

        Raises:
            Whatever the work raised that is no `TrackingError`.
        """
        self._failures = 0
        self._finishing.set()
        self._wanted.set()
        began = heard = monotonic()
        answers = self._pulse.answers
        while self._failures < GIVE_UP and not self._ended.wait(0.05):
            now = monotonic()
            if self._pulse.answers != answers:
                answers, heard = self._pulse.answers, now
            if now - heard > (STARTING if self._pulse.starting else patience) or now - began > most:
                break
        self._pulse.over = True
        self._wanted.set()
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
            if self._pulse.over:
                return
            last = self._finishing.is_set()
            try:
                self._work(last)
            except TrackingError as error:
                self.trouble = str(error)
                self._failures += 1
                self._wanted.set()
            except BaseException as error:  # our own mistake: told to whoever waits at the end
                self._bug = error
                self._ended.set()
            else:
                self.trouble, self._failures = "", 0
                if last:
                    self._ended.set()
