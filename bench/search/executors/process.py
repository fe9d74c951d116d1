"""A pool of worker processes that survives the death of any of them."""

from __future__ import annotations

import inspect
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait

from bench.records import Failure, Job, Outcome
from bench.search.executors.base import Run
from bench.search.executors.worker import serve

RETRIES = 2
"""How often a job is tried again after its worker died."""

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass
class _Task:
    job: Job
    deaths: int = 0
    started: float = 0.0
    clock: float = 0.0


class _Worker:
    """One process and the driver's end of its pipe; started for a task, kept for the next ones."""

    def __init__(self, function: str, threads: int) -> None:
        # Spawned, not forked: a fork would copy the locks of torch's threads and keep the driver's files open.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, function), daemon=True)
        with _thread_limits(threads):
            self.process.start()
        theirs.close()  # else the pipe would not end when the worker dies
        self.task: _Task | None = None

    def stop(self) -> None:
        self.connection.close()
        self.process.terminate()
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()

    def cause_of_death(self) -> str:
        """Waits for the process to end and tells how it did."""
        self.process.join(5)
        code = self.process.exitcode
        self.stop()
        if code is None:
            return "closed its pipe and did not end"
        if code >= 0:
            return f"exited with code {code}"
        name = signal.Signals(-code).name
        return f"was killed by {name}" + (", as the system does when memory runs out" if name == "SIGKILL" else "")


class ProcessExecutor:
    """Runs jobs in `workers` processes.

    Args:
        run: a function at the top level of a module.
        workers: the number of processes; each is started when it is first needed.

    Raises:
        ValueError: no worker, or a function that a worker could not import.
    """

    def __init__(self, run: Run, workers: int) -> None:
        if workers < 1:
            raise ValueError(f"expected at least one worker, found {workers}")
        if not inspect.isfunction(run) or "<" in run.__qualname__ or "." in run.__qualname__:
            raise ValueError(f"expected a function at the top level of a module, found {run!r}")
        self.slots = workers
        self._function = f"{run.__module__}:{run.__qualname__}"
        self._workers: list[_Worker] = []
        self._waiting: deque[_Task] = deque()

    def submit(self, job: Job) -> None:
        """Gives the job to an idle worker, or queues it."""
        self._waiting.append(_Task(job))
        self._dispatch()

    def next(self) -> Outcome:
        """Waits for a job to end. A job whose worker died is tried again on a new one, at most `RETRIES` times.

        Raises:
            RuntimeError: no job is under way.
        """
        while True:
            self._dispatch()
            busy = {worker.connection: worker for worker in self._workers if worker.task}
            if not busy:
                raise RuntimeError("next() without a submitted job")
            connection = wait(list(busy))[0]
            assert isinstance(connection, Connection)
            if outcome := self._receive(busy[connection]):
                self._dispatch()  # the worker goes on while the driver digests the outcome
                return outcome

    def close(self) -> None:
        """Ends all workers, in the middle of their jobs if need be."""
        self._waiting.clear()
        while self._workers:
            self._workers.pop().stop()

    def _dispatch(self) -> None:
        for idle in [worker for worker in self._workers if worker.task is None]:
            if not idle.process.is_alive():
                self._remove(idle)  # died without a job: no fault of the next one's
        while self._waiting:
            worker = self._idle(self._waiting[0].job.threads)
            if worker is None:
                return
            task = worker.task = self._waiting.popleft()
            task.started, task.clock = time.time(), time.monotonic()
            with suppress(OSError):  # it died this moment: its end of the pipe will say so
                worker.connection.send(task.job)

    def _idle(self, threads: int) -> _Worker | None:
        for worker in self._workers:
            if worker.task is None:
                return worker
        if len(self._workers) == self.slots:
            return None
        self._workers.append(_Worker(self._function, threads))
        return self._workers[-1]

    def _receive(self, worker: _Worker) -> Outcome | None:
        task = worker.task
        assert task is not None
        try:
            outcome = worker.connection.recv()
        except (EOFError, OSError):
            cause = self._remove(worker)
            task.deaths += 1
            if task.deaths <= RETRIES:
                self._waiting.appendleft(task)
                return None
            failure = Failure("infrastructure", f"its worker died {task.deaths} times; the last {cause}")
            return Outcome(task.job, None, failure, task.started, time.monotonic() - task.clock)
        assert isinstance(outcome, Outcome)
        worker.task = None
        return outcome

    def _remove(self, worker: _Worker) -> str:
        self._workers.remove(worker)
        return worker.cause_of_death()


@contextmanager
def _thread_limits(threads: int) -> Iterator[None]:
    """What numeric libraries read when they are imported: a worker must find it set when it starts."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
