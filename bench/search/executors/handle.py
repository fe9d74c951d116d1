"""The driver's end of a worker process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from multiprocessing import Pipe

import psutil

from bench.machine import WORKER
from bench.search.executors.base import Task
from bench.search.executors.worker import THREADS, serve

LONGEST = 64 << 20
"""Bytes of the longest answer that a worker may give."""


class WorkerLost(Exception):
    """The worker is of no further use; the message says why."""


class WorkerHandle:
    """A process, and the driver's end of the pipe to it.

    Args:
        function: `module:name` of what runs a job.
        number: among the driver's workers; a GPU is taken by it.
        threads: for its numeric libraries.

    Attributes:
        task: what it works on; None where it is idle.
    """

    def __init__(self, function: str, number: int, threads: int) -> None:
        self.number = number
        self.task: Task | None = None
        self.pipe, theirs = Pipe()
        self._answer = bytearray()
        self._first_mb: float | None = None
        code = f"import sys; from {serve.__module__} import serve; serve(sys.argv[1])"
        own = {"PYTHONPATH": os.pathsep.join(sys.path), WORKER: str(number)} | dict.fromkeys(THREADS, str(threads))
        with theirs:  # else the pipe would not end when the worker dies
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", code, function],
                env=os.environ | own,
                stdin=theirs.fileno(),
                stdout=2,  # what a job prints must not get between the driver's results
            )

    def lives(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def give(self, task: Task, seconds: float | None) -> None:
        """Has it work on a job, for so long at most."""
        self.task = task
        with suppress(OSError):  # it died this moment: its end of the pipe will say so
            self.pipe.send((task.job, seconds))

    def hear(self) -> bytes | None:
        """Its answer, if that is complete. Never waits.

        Raises:
            WorkerLost: it died, or says what no worker of ours says.
        """
        part = b""
        if self.pipe.poll():
            with suppress(OSError):
                part = os.read(self.pipe.fileno(), 1 << 16)
        elif self.lives():
            return None
        if not part:
            raise WorkerLost(f"its worker {self._cause_of_death()}")
        self._answer += part
        if len(self._answer) > LONGEST:
            raise WorkerLost("its worker said more than any outcome can be")
        if not part.endswith(b"\n"):
            return None
        answer, self._answer = bytes(self._answer), bytearray()
        return answer

    def leak(self, growth_mb: float) -> str | None:
        """Why it shall be replaced now that it is idle, if so; see `GROWTH_MB`."""
        try:
            memory = psutil.Process(self._process.pid).memory_info()
        except psutil.Error:
            return None  # it has just died
        now = float(memory.rss - getattr(memory, "shared", 0)) / 2**20  # without pages of files
        first = self._first_mb = self._first_mb or now
        if now - first <= growth_mb or now <= 2 * first:
            return None
        return f"a worker held {first:.0f} MB after its first job and holds {now:.0f} MB: it is replaced"

    def stop(self) -> None:
        """Ends it at once. It has nothing to put in order: what it writes is whole or absent."""
        self.pipe.close()
        self._process.kill()
        self._process.wait()

    def _cause_of_death(self) -> str:
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            return "closed its pipe and did not end"
        if code >= 0:
            return f"exited with code {code}"
        name = signal.Signals(-code).name
        return f"was killed by {name}" + (", as the system does when memory runs out" if name == "SIGKILL" else "")
