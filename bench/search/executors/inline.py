"""Jobs in this very process, one after the other: repeats bit for bit, and is the easiest to debug."""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from bench.errors import UserError
from bench.records import Job, Outcome
from bench.search.executors.attempts import Task, judge, too_long
from bench.search.executors.base import Options, Run, attempt


class InlineExecutor:
    """Runs the oldest waiting job when asked for an outcome. Always one slot, whatever `workers` says.

    A limit of time ends a job by an alarm, as soon as the job comes back from compiled code to Python and is not just
    entering or leaving a context. What kills a worker elsewhere (a crash, the system's want of memory) kills the run
    here; it can be resumed.

    Raises:
        UserError: a limit of time outside of the main thread, which alone is told of alarms.
    """

    def __init__(self, run: Run, workers: int = 1, options: Options = Options()) -> None:  # noqa: B008 (it is frozen)
        if options.job_seconds is not None and threading.current_thread() is not threading.main_thread():
            raise UserError("expected the main thread where inline jobs have a limit of time, found another one")
        self.slots = 1
        self._run, self._options = run, options
        self._waiting: deque[Task] = deque()

    def submit(self, job: Job) -> None:
        """Puts the job last in the queue."""
        self._waiting.append(Task(job))

    def next(self) -> Outcome:
        """Runs the first job in the queue. Raises RuntimeError where there is none."""
        if not self._waiting:
            raise RuntimeError("next() without a submitted job")
        task = self._waiting.popleft()
        while True:
            task.begin()
            if outcome := judge(task, self._attempt(task), self._options):
                return outcome

    def close(self) -> None:
        """Forgets waiting jobs."""
        self._waiting.clear()

    def _attempt(self, task: Task) -> Outcome:
        seconds, began = self._options.job_seconds, time.monotonic()
        try:
            with _alarm(seconds):
                outcome = attempt(self._run, task.job)
        except _TimeIsUp:
            return task.lost(too_long(seconds))
        if seconds is not None and time.monotonic() - began > seconds:  # the alarm rang where Python drops it
            return task.lost(too_long(seconds))
        return outcome


AGAIN = 1.0
"""Seconds from one alarm to the next: Python drops what is raised in a callback, as of its garbage collector. Longer
than it takes to report what was dropped, which happens in a callback, too."""


SOON, PATIENCE = 0.01, 10.0
"""An alarm that comes while a context is entered or left rings again after so many seconds; and for how many it does so
before it ends the job all the same."""


class _TimeIsUp(BaseException):
    """No `Exception`, so that no job takes it for an error of its own."""


def _entering_or_leaving(frame: FrameType | None) -> bool:
    """Whether a job is within an `__enter__` or `__exit__`. Ended there, it leaves what it set for the whole process.

    With `torch.no_grad` no later job of this process has gradients.
    """
    while frame is not None and frame.f_code is not InlineExecutor._attempt.__code__:
        if frame.f_code.co_name in ("__enter__", "__exit__"):
            return True
        frame = frame.f_back
    return False


@contextmanager
def _alarm(seconds: float | None) -> Iterator[None]:
    """Raises `_TimeIsUp` in here after so many seconds."""
    if seconds is None:
        yield
        return
    over, latest = False, time.monotonic() + seconds + PATIENCE

    def ring(number: int, frame: FrameType | None) -> None:
        if over:
            return
        if _entering_or_leaving(frame) and time.monotonic() < latest:
            signal.setitimer(signal.ITIMER_REAL, SOON, AGAIN)
            return
        raise _TimeIsUp

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
        yield
    finally:
        over = True  # a late ring must not wind up the clock again
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
