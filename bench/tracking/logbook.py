"""Logs a driver's records without ever waiting for MLflow: a section for each data set, sent by one thread.

The records are the truth. The thread sends those that are new; at the end it compares all records with what MLflow has.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from pathlib import Path
from time import monotonic
from typing import Any

from bench.frontier.history import History
from bench.tracking.runs import Ending, Section, each_in_turn
from bench.tracking.store import MlflowStore, TrackingError

LONGEST_PAUSE = 30.0  # seconds between tries while nothing arrives
STARTING = 120.0  # seconds for making the tables of a new store's file
GIVE_UP = 2  # failures in a row, once somebody waits


class Logbook:
    """All that is logged of one run, sent by a thread that looks for new records each second.

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
        self._finishing, self._ended = threading.Event(), threading.Event()
        self._failures = 0
        self._bug: BaseException | None = None
        self.sections: list[Section] = []
        self.trouble = ""
        threading.Thread(target=self._run, name="mlflow-sender", daemon=True).start()

    def section(self, history: History, **identity: Any) -> Section:
        """The part of one data set; `identity` as for `Section`."""
        self.sections.append(Section(self.store, history, live=self._live, **identity))
        return self.sections[-1]

    @property
    def sent(self) -> Counter[str]:
        """What was sent, by kind."""
        return sum((section.sent for section in self.sections), Counter())

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
        began = monotonic()
        while self._failures < GIVE_UP and not self._ended.wait(0.05):
            silent = monotonic() - max(began, self.store.answered)
            if silent > (STARTING if self.store.starting else patience) or monotonic() - began > most:
                break
        self.store.over = True
        if self._bug is not None:
            raise self._bug
        return self._ended.is_set()

    def _run(self) -> None:
        while not (self._ended.is_set() or self.store.over):
            last = self._finishing.is_set()
            try:
                self._send(last)
                self.trouble, self._failures = "", 0
                if last:
                    self._ended.set()
            except TrackingError as error:
                self.trouble, self._failures = str(error), self._failures + 1
            except BaseException as error:  # our own mistake: told to whoever waits at the end
                self._bug = error
                self._ended.set()
            # a server that is away is asked seldom, and at once when somebody begins to wait
            time.sleep(0.5) if last else self._finishing.wait(min(LONGEST_PAUSE, 2.0**self._failures))

    def _send(self, last: bool) -> None:
        """Sends what is new; as the last, all that is missing. Done again, it does no harm, after an error neither."""
        each_in_turn(lambda section: section.send(*(self._ending if last else ())), list(self.sections))
