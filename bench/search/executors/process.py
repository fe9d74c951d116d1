"""A pool of worker processes that survives any failure of a worker."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import wait

import psutil

from bench.machine import WORKER
from bench.records import Outcome
from bench.search.executors.base import Executor, Options, QueuedJob, Run
from bench.search.executors.worker import THREADS, decode, serve

LONGEST = 64 << 20
"""Bytes of the longest answer that a worker may give."""


class WorkerLost(Exception):
    """The worker cannot be used any more; the message says why."""


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
        self.task: QueuedJob | None = None
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

    def give(self, task: QueuedJob, seconds: float | None) -> None:
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


GROWTH_MB = 512.0
"""A worker is replaced when, idle after a job, it holds both this much more private memory and twice as much as after
its first job. Jobs of different size leave different amounts behind; a leak grows without end."""

LOOK_EVERY = 1.0
"""Seconds between looks at whether workers live: where one dies and what it had started lives on, the pipe between it
and the driver stays open, so that no end of it tells."""


class ProcessExecutor(Executor):
    """Runs jobs in `workers` processes.

    Args:
        run: a function at the top level of a module.
        workers: the number of processes. Each is started when it is first needed, and is kept for the next jobs.
        growth_mb: see `GROWTH_MB`.

    Raises:
        ValueError: no worker, or a function that a worker could not import.
    """

    def __init__(
        self,
        run: Run,
        workers: int,
        options: Options = Options(),  # noqa: B008 (it is frozen)
        growth_mb: float = GROWTH_MB,
    ) -> None:
        super().__init__(workers, options)
        self._function, self._growth_mb = importable(run), growth_mb
        self._workers: list[WorkerHandle] = []

    def close(self) -> None:
        """Ends all workers, in the middle of their jobs if need be."""
        super().close()
        while self._workers:
            self._workers.pop().stop()

    def _begin(self, task: QueuedJob) -> None:
        for worker in [worker for worker in self._workers if worker.task is None and not worker.lives()]:
            self._end(worker)  # died without a job: no fault of the next one's
        idle = next((worker for worker in self._workers if worker.task is None), None)
        (idle or self._start(task.job.threads)).give(task, self._options.job_seconds)

    def _ended(self) -> tuple[QueuedJob, Outcome]:
        busy = {worker: worker.task for worker in self._workers if worker.task}
        while True:
            wait([worker.pipe for worker in busy], LOOK_EVERY)
            for worker, task in busy.items():
                if outcome := self._hear(worker, task):
                    return task, outcome

    def _hear(self, worker: WorkerHandle, task: QueuedJob) -> Outcome | None:
        try:
            answer = worker.hear()
            if answer is None:
                return None
            outcome = decode(task.job, answer)
        except WorkerLost as lost:
            outcome = task.lost(str(lost), self._options.job_seconds)
        except ValueError as error:
            outcome = task.lost(f"its worker's answer was garbled: {error}")
        worker.task = None
        if outcome.failure and outcome.failure.kind == "infrastructure":
            self._end(worker)  # whatever it lacked, a new one begins with a clean slate
        elif reason := worker.leak(self._growth_mb):
            self._options.note(reason)
            self._end(worker)
        return outcome

    def _start(self, threads: int) -> WorkerHandle:
        number = min(set(range(self.slots)) - {worker.number for worker in self._workers})
        self._workers.append(WorkerHandle(self._function, number, threads))
        return self._workers[-1]

    def _end(self, worker: WorkerHandle) -> None:
        self._workers.remove(worker)
        worker.stop()


def importable(run: Run) -> str:
    """The name by which a worker finds a function: `module:name`.

    Raises:
        ValueError: it is not at the top level of a module that a worker can import.
    """
    if not inspect.isfunction(run) or not run.__qualname__.isidentifier() or run.__module__ == "__main__":
        raise ValueError(f"expected a function at the top level of a module, found {run!r}")
    return f"{run.__module__}:{run.__qualname__}"
