"""A thread that does pieces of work one after the other, each until it succeeds, while nobody waits for it."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Hashable
from time import monotonic

from bench.tracking.store import Pulse, TrackingError

MOST = 1000  # pieces that wait; the last one must make up for those beyond
LONGEST_PAUSE = 30.0  # seconds between tries while nothing arrives
STARTING = 120.0  # seconds for making the tables of a new store's file
GIVE_UP = 2  # failures in a row, once somebody waits


class Sender:
    """Work by key. What waits under a key is replaced by what is newer; what fails goes to the end and is tried again.

    Every piece of work must be such that it can be done again, after an error, too.
    """

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse
        self._changed = threading.Condition()
        self._waiting: dict[Hashable, Callable[[], object]] = {}
        self._busy = self._finishing = False
        self._failures = 0
        self._bug: BaseException | None = None
        self.trouble = ""
        """Why the last try failed; empty after one that did not."""
        self._thread = threading.Thread(target=self._run, name="mlflow-sender", daemon=True)
        self._thread.start()

    def put(self, key: Hashable, work: Callable[[], object]) -> None:
        """Hands over a piece of work and does not wait. Where too many wait already, it is left to the last one."""
        with self._changed:
            if key in self._waiting or len(self._waiting) < MOST:
                self._waiting[key] = work
                self._changed.notify_all()

    @property
    def idle(self) -> bool:
        """Whether nothing waits or is being done."""
        with self._changed:
            return not self._waiting and not self._busy

    def finish(self, last: Callable[[], object], patience: float, most: float = math.inf) -> bool:
        """Does the last piece of work, which makes up for all that was left out; whether everything was done.

        Waits while requests are answered; not after `patience` seconds without an answer, `most` seconds in all, or
        two failures in a row. Nothing is sent after that.

        Raises:
            Whatever a piece of work raised that is no `TrackingError`.
        """
        with self._changed:
            self._waiting.clear()  # the last piece holds all of it
            self._waiting["last"] = last
            self._finishing, self._failures = True, 0
            self._changed.notify_all()
            began = heard = monotonic()
            answers = self._pulse.answers
            while (self._waiting or self._busy) and self._bug is None and self._failures < GIVE_UP:
                self._changed.wait(0.05)
                now = monotonic()
                if self._pulse.answers != answers:
                    answers, heard = self._pulse.answers, now
                if now - heard > (STARTING if self._pulse.starting else patience) or now - began > most:
                    break
            done = not self._waiting and not self._busy
            self._pulse.over = True
            self._waiting.clear()
            self._changed.notify_all()
        if self._bug is not None:
            raise self._bug
        return done

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._failures:  # a server that is away is asked seldom, and at once when somebody waits
                    pause = 0.5 if self._finishing else min(LONGEST_PAUSE, 2.0**self._failures)
                    hurry = self._pulse_over if self._finishing else self._is_awaited
                    self._changed.wait_for(hurry, pause)
                self._changed.wait_for(lambda: self._waiting or self._pulse.over)
                if self._pulse.over:
                    return
                key = next(iter(self._waiting))
                work = self._waiting.pop(key)
                self._busy = True
            self._try(key, work)

    def _pulse_over(self) -> bool:
        return self._pulse.over

    def _is_awaited(self) -> bool:
        return self._finishing or self._pulse.over

    def _try(self, key: Hashable, work: Callable[[], object]) -> None:
        failed = ""
        bug: BaseException | None = None
        try:
            work()
        except TrackingError as error:
            failed = str(error)
        except BaseException as error:  # our own mistake: told to whoever waits at the end
            bug = error
        with self._changed:
            self._busy = False
            if failed:
                self.trouble = failed
                self._failures += 1
                if not self._finishing or key == "last":
                    self._waiting.setdefault(key, work)
            elif bug is None:
                self.trouble, self._failures = "", 0
            self._bug = self._bug or bug
            self._changed.notify_all()
