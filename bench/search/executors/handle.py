"""The driver's end of a worker process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from bench.search.executors.base import Task
from bench.search.executors.worker import READY, THREADS, serve

LONGEST = 64 << 20
"""Bytes of the longest line that a worker may say."""
START_SECONDS = 120.0
"""What a worker's imports may take, besides a job's own limit."""


class WorkerLost(Exception):
    """The worker is of no further use; the message says why."""


class WorkerHandle:
    """One process, kept for many jobs.

    Args:
        number: among the driver's workers, from 0; a GPU is taken by it.

    Attributes:
        task: what it works on; None where it is idle.
        first_mb: its private memory after its first job.
    """

    def __init__(self, function: str, threads: int, number: int) -> None:
        # Spawned, not forked: a fork would copy the locks of torch's threads and keep the driver's files open.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.threads, self.number = threads, number
        self.process = context.Process(target=serve, args=(theirs, function, number), daemon=True)
        with _thread_limits(threads):
            self.process.start()
        theirs.close()  # else the pipe would not end when the worker dies
        self.task: Task | None = None
        self.first_mb: float | None = None
        self._ready = False
        self._heard = bytearray()

    def give(self, task: Task) -> None:
        """Has it work on a job."""
        self.task = task
        task.begin()
        with suppress(OSError):  # it died this moment: its end of the pipe will say so
            self.connection.send(task.job)

    def seconds_left(self, limit: float) -> float:
        """Until its job has taken too long; imports before its first job are not the job's."""
        assert self.task is not None
        return self.task.clock + limit + (0.0 if self._ready else START_SECONDS) - time.monotonic()

    def hear(self) -> str | None:
        """A line that it said, if one is complete. Never waits: to be called when there is something to read, or it
        died.

        Raises:
            WorkerLost: it died, or says what no worker of ours says.
        """
        try:
            part = os.read(self.connection.fileno(), 1 << 16) if self.connection.poll() else b""
        except OSError:
            part = b""
        if not part:
            raise WorkerLost(f"its worker {self._cause_of_death()}")
        self._heard += part
        while b"\n" in self._heard:
            line, _, rest = self._heard.partition(b"\n")
            self._heard = bytearray(rest)
            text = line.decode("utf-8", "replace")
            if text != READY:
                return text
            self._ready = True
            if self.task is not None:
                self.task.begin()
        if len(self._heard) > LONGEST:
            raise WorkerLost("its worker said more than any outcome can be")
        return None

    def stop(self) -> None:
        """Ends it at once. It has nothing to put in order: what it writes is whole or absent."""
        self.connection.close()
        self.process.kill()
        self.process.join()

    def _cause_of_death(self) -> str:
        self.process.join(5)
        code = self.process.exitcode
        if code is None:
            return "closed its pipe and did not end"
        if code >= 0:
            return f"exited with code {code}"
        name = signal.Signals(-code).name
        return f"was killed by {name}" + (", as the system does when memory runs out" if name == "SIGKILL" else "")


@contextmanager
def _thread_limits(threads: int) -> Iterator[None]:
    """What numeric libraries read when they are imported: a worker must find it set when it starts."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
