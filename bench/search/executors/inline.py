"""Jobs in this very process, one after the other: repeats bit for bit, and is the easiest to debug."""

from __future__ import annotations

from collections import deque

from bench.records import Job, Outcome
from bench.search.executors.base import Run, attempt


class InlineExecutor:
    """Runs the oldest waiting job when asked for an outcome. Always one slot, whatever `workers` says."""

    def __init__(self, run: Run, workers: int = 1) -> None:
        self.slots = 1
        self._run = run
        self._waiting: deque[Job] = deque()

    def submit(self, job: Job) -> None:
        """Puts the job last in the queue."""
        self._waiting.append(job)

    def next(self) -> Outcome:
        """Runs the first job in the queue. Raises RuntimeError where there is none."""
        if not self._waiting:
            raise RuntimeError("next() without a submitted job")
        return attempt(self._run, self._waiting.popleft())

    def close(self) -> None:
        """Forgets waiting jobs."""
        self._waiting.clear()
