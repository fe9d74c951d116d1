"""What a driver logs to without ever waiting for MLflow: a section for each data set, written by one thread.

The records are the truth. What waits is bounded, and the last piece of work compares all records with what MLflow has.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench.frontier.history import History
from bench.records import TrialRecord
from bench.tracking.address import plain_address
from bench.tracking.front import Found, log_front
from bench.tracking.loading import load
from bench.tracking.parent import Ending, Parent
from bench.tracking.sender import Sender
from bench.tracking.store import Pulse
from bench.tracking.tracker import Tracker
from bench.tracking.volumes import volumes

EVERY = 10.0  # seconds, at least, between two writings of the hypervolume


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
        self.sender = Sender(self._pulse)
        self.sections: list[Section] = []

    def section(self, history: History, **identity: Any) -> Section:
        """The part of one data set; `identity` as for `Tracker.open_parent`."""
        made = Section(self, history, identity)
        self.sections.append(made)
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

        def last() -> None:
            for section in self.sections:
                section.conclude(ended)
            for section in self.sections:
                section.parent().close(ending, ended)

        return self.sender.finish(last, patience, most)

    @property
    def sent(self) -> Counter[str]:
        """What was sent, by kind."""
        return sum((section.sent for section in self.sections), Counter())


class Section:
    """One data set's part of a run. What is public and not said to run in the thread returns at once.

    Attributes:
        records: the newest of each trial, by number.
        front: what came of a search that came to its end.
    """

    def __init__(self, logbook: Logbook, history: History, identity: dict[str, Any]) -> None:
        self._logbook = logbook
        self._history = history
        self._identity = identity
        self._parent: Parent | None = None
        self._shown = -math.inf
        self.records: dict[int, TrialRecord] = {}
        self.front: Found | None = None
        self._put("open", self.parent)

    def log(self, records: Sequence[TrialRecord], told: int) -> None:
        """Logs trials as they are now. `told` is how many jobs are told; see `History.add`."""
        self._history.add(records, told)
        for record in records:
            self.records[record.number] = record
            self._put(record.number, partial(self._log_trial, record))
        if time.monotonic() - self._shown >= EVERY:
            self._shown = time.monotonic()
            self._put("volumes", partial(self._log_volumes, len(self._history.rows)))

    def parent(self) -> Parent:
        """In the thread: the parent run."""
        if self._parent is None:
            self._parent = self._logbook.open(self._identity)
        return self._parent

    def conclude(self, ended: float) -> None:
        """In the thread: all that is missing."""
        parent = self.parent()
        parent.log_all(list(self.records.values()))
        self._log_volumes(len(self._history.rows))
        if self.front:
            log_front(parent, self.front, when=ended)

    @property
    def place(self) -> tuple[str, str] | None:
        """Ids of the experiment and of the parent run, once it is open."""
        return (self._parent.experiment, self._parent.run_id) if self._parent else None

    @property
    def there(self) -> int:
        """Of how many trials all is there, as far as it is known here."""
        return sum(self._parent.has(record) for record in self.records.values()) if self._parent else 0

    @property
    def sent(self) -> Counter[str]:
        """What was sent, by kind."""
        return self._parent.sent if self._parent else Counter()

    def _log_trial(self, record: TrialRecord) -> None:
        self.parent().log_trial(record)

    def _log_volumes(self, count: int) -> None:
        self.parent().log_volumes(volumes(self._history)[:count])

    def _put(self, key: object, work: Callable[[], object]) -> None:
        self._logbook.sender.put((id(self), key), work)
