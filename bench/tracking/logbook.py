"""Logs a driver's records without ever waiting for MLflow: a section for each data set, sent by one thread.

The records are the truth. The thread sends those that are new; at the end it compares all records with what MLflow has.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from bench.frontier.history import History
from bench.records import TrialRecord
from bench.tracking.front import Found, log_front
from bench.tracking.parent import Ending, Parent, Tracker
from bench.tracking.store import Pulse, TrackingError, load, plain_address
from bench.tracking.values import volumes

EVERY = 10.0  # seconds, at least, between two writings of the hypervolume
LONGEST_PAUSE = 30.0  # seconds between tries while nothing arrives
STARTING = 120.0  # seconds for making the tables of a new store's file
GIVE_UP = 2  # failures in a row, once somebody waits


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
        if last:
            for section in self.sections:
                section.close(ending, ended)


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
        self._new: set[int] = set()
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

    def send(self, last: bool, ended: float) -> None:
        """In the thread: sends the trials that are new; as the last, all that is missing."""
        if last and self._failed:  # a server may have done late what we asked for again: read what is there anew
            self._parent, self._failed = None, False
        new = list(self.records) if last else sorted(self._new)
        try:
            self._send(new, last, ended)
        except TrackingError:
            self._parent, self._failed = None, True
            self._new.update(new)
            raise

    def close(self, ending: Ending, ended: float) -> None:
        """In the thread: ends the parent run."""
        self._open().close(ending, ended)

    @property
    def there(self) -> int:
        """Of how many trials all is there, as far as it is known here."""
        return sum(self._parent.has(record) for record in self.records.values()) if self._parent else 0

    def _open(self) -> Parent:
        if self._parent is None:
            parent = self._logbook.open(self._identity)
            parent.sent = self.sent
            self._parent, self.place = parent, (parent.experiment, parent.node.run_id)
        return self._parent

    def _send(self, numbers: list[int], last: bool, ended: float) -> None:
        parent = self._open()
        self._new.difference_update(numbers)  # before they are read: what comes meanwhile is new again
        parent.log_all([self.records[number] for number in numbers])
        if last or monotonic() - self._shown >= EVERY:
            self._shown = monotonic()
            parent.log_volumes(volumes(self._history))
        if last and self.front:
            log_front(parent, self.front, when=ended)


class Sender:
    """A thread that works whenever it is woken, and again after a failure, while nobody waits for it.

    Args:
        work: is told whether it is the last piece, which must make up for all that is missing. It must be such that it
            can be done again, after an error, too.
    """

    def __init__(self, pulse: Pulse, work: Callable[[bool], object]) -> None:
        self._pulse, self._work = pulse, work
        self._changed = threading.Condition()
        self._wanted = self._busy = self._finishing = self._done = False
        self._failures = 0
        self._bug: BaseException | None = None
        self.trouble = ""
        """Why the last try failed; empty after one that did not."""
        self._thread = threading.Thread(target=self._run, name="mlflow-sender", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Says that there is work."""
        with self._changed:
            self._wanted = True
            self._changed.notify_all()

    @property
    def idle(self) -> bool:
        """Whether there is nothing to be done."""
        with self._changed:
            return not self._wanted and not self._busy

    def finish(self, patience: float, most: float = math.inf) -> bool:
        """Has the last piece of work done; whether it was.

        Waits while requests are answered; not after `patience` seconds without an answer, `most` seconds in all, or
        two failures in a row. Nothing is sent after that.

        Raises:
            Whatever the work raised that is no `TrackingError`.
        """
        with self._changed:
            self._finishing, self._failures = True, 0
            self._changed.notify_all()
            began = heard = monotonic()
            answers = self._pulse.answers
            while not self._done and self._bug is None and self._failures < GIVE_UP:
                self._changed.wait(0.05)
                now = monotonic()
                if self._pulse.answers != answers:
                    answers, heard = self._pulse.answers, now
                if now - heard > (STARTING if self._pulse.starting else patience) or now - began > most:
                    break
            self._pulse.over = True
            self._changed.notify_all()
        if self._bug is not None:
            raise self._bug
        return self._done

    def _run(self) -> None:
        while not self._done and self._bug is None:
            with self._changed:
                if self._failures:  # a server that is away is asked seldom, and at once when somebody waits
                    was = self._finishing
                    pause = 0.5 if was else min(LONGEST_PAUSE, 2.0**self._failures)
                    self._changed.wait_for(partial(self._is_hurried, was), pause)
                self._changed.wait_for(lambda: self._wanted or self._finishing or self._pulse.over)
                if self._pulse.over:
                    return
                self._wanted, self._busy = False, True
            self._try(self._finishing)

    def _is_hurried(self, was_finishing: bool) -> bool:
        return self._pulse.over or self._finishing != was_finishing

    def _try(self, last: bool) -> None:
        trouble = ""
        bug: BaseException | None = None
        try:
            self._work(last)
        except TrackingError as error:
            trouble = str(error)
        except BaseException as error:  # our own mistake: told to whoever waits at the end
            bug = error
        with self._changed:
            self.trouble = trouble
            self._failures = self._failures + 1 if trouble else 0
            self._busy, self._wanted = False, self._wanted or bool(trouble)
            self._done, self._bug = last and not trouble and bug is None, bug
            self._changed.notify_all()
