"""A pool of worker processes that survives any failure of a worker. Workers answer in JSON, which
can neither run nor hide code.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from typing import Any

from bench.core import plugins
from bench.core.records import Failure, Job, Outcome, TrialResult
from bench.core.system.machine import WORKER, set_waiting
from bench.search.executors.base import Executor, Options, QueuedJob, RunJob, attempt


def encode(outcome: Outcome) -> str:
    """The outcome without its job, on one line; a result of other than plain values becomes a
    failure.
    """
    times = {"started": outcome.started, "seconds": outcome.seconds}
    try:
        result = None if outcome.result is None else asdict(outcome.result)
        failure = None if outcome.failure is None else asdict(outcome.failure)
        return json.dumps({"result": result, "failure": failure, **times}, default=_plain)
    except Exception as error:
        reason = f"expected a result of plain values, found {type(error).__name__}: {error}"
        return json.dumps({"result": None, "failure": {"kind": "bug", "reason": reason}, **times})


def decode(job: Job, line: str | bytes) -> Outcome:
    """The outcome of a job; raises ValueError if the line was not made by `encode`."""
    try:
        fields: dict[str, Any] = json.loads(line)
        result = None if fields["result"] is None else TrialResult(**fields["result"])
        failure = None if fields["failure"] is None else Failure(**fields["failure"])
        outcome = Outcome(job, result, failure, float(fields["started"]), float(fields["seconds"]))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"expected an outcome, found {line[:80]!r}") from error
    if (result is None) == (failure is None):
        raise ValueError(f"expected either a result or a failure, found {line[:80]!r}")
    return outcome


def _plain(value: object) -> object:
    """Converts a scalar of numpy or torch to Python's own type."""
    to_python = getattr(value, "item", None)
    if callable(to_python):
        return to_python()
    raise TypeError(f"a value of type {type(value).__name__}")


THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Environment variables that numeric libraries read when they are imported."""
START_SECONDS = 120.0
"""Limit for imports, besides a job's own limit."""


def serve(function: str) -> None:
    """Runs the jobs that come from the pipe at stdin, and answers each; ends when the driver does.

    Args:
        function: `module:name` of what runs a job.
    """
    pipe = Connection(os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    set_waiting()
    # Ctrl-C reaches every process of the terminal; the driver decides about running jobs.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _offer_to_the_system()
    jobs: SimpleQueue[tuple[Job, float | None]] = SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, jobs), daemon=True).start()
    while True:
        job, seconds = jobs.get()
        outcome = attempt(partial(run_by_name, function, seconds), job)
        pipe.send_bytes(encode(outcome).encode())


def run_by_name(function: str, seconds: float | None, job: Job) -> TrialResult:
    """Runs a job by the function of a name such as `bench.models.training.job:run_job`.

    It may take `seconds`; None means no limit. Imports do not count: with a limit, they may take
    `START_SECONDS`.
    """
    module, name = function.split(":")
    with _time_limit(None if seconds is None else START_SECONDS):
        plugins.carried(*job.plugins)
        run: RunJob = getattr(importlib.import_module(module), name)
    with _time_limit(seconds):
        return run(job)


@contextmanager
def _time_limit(seconds: float | None) -> Iterator[None]:
    """Ends this process with code 1 when the block takes longer."""
    with open(os.devnull, "w") as nowhere:
        if seconds is not None:  # a thread of C: it ends jobs that let no thread of Python run
            faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


def _listen(pipe: Connection, jobs: SimpleQueue[tuple[Job, float | None]]) -> None:
    """Queues jobs. At the end of the pipe the driver is gone, and this process goes, too, in the
    middle of a job.
    """
    try:
        while True:
            jobs.put(pipe.recv())
    finally:
        os._exit(1)


def _offer_to_the_system() -> None:
    """Asks Linux to end workers, which are replaced, before the driver when memory runs out."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


MAX_ANSWER_BYTES = 64 << 20


class WorkerLost(Exception):
    """The worker cannot be used any more; the message says why."""


class WorkerHandle:
    """A process, and the driver's end of the pipe to it.

    Args:
        function: `module:name` of what runs a job.
        number: among the driver's workers; it selects the GPU.
        threads: for its numeric libraries.

    Attributes:
        task: the job that it runs; None if it is idle.
        jobs: number of jobs that it was sent.
    """

    def __init__(self, function: str, number: int, threads: int) -> None:
        self.number = number
        self.task: QueuedJob | None = None
        self.jobs = 0
        self.pipe, worker_end = Pipe()
        code = f"import sys; from {serve.__module__} import serve; serve(sys.argv[1])"
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            WORKER: str(number),
            **dict.fromkeys(THREADS, str(threads)),
        }
        with worker_end:  # else the pipe would not end when the worker dies
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", code, function],
                env=environment,
                stdin=worker_end.fileno(),
                stdout=2,  # what a job prints must not get between the driver's results
            )

    def is_alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def send(self, task: QueuedJob, seconds: float | None) -> None:
        """Sends a job, with the seconds that it may take."""
        self.task = task
        self.jobs += 1
        with suppress(OSError):  # it has just died: the end of the pipe will tell
            self.pipe.send((task.job, seconds))

    def receive(self) -> bytes | None:
        """Its answer, None while there is none. Raises WorkerLost if it died, or sent an answer
        that no worker sends.
        """
        try:
            if self.pipe.poll():
                return self.pipe.recv_bytes(MAX_ANSWER_BYTES)
            if self.is_alive():
                return None
        except (EOFError, ConnectionError):
            pass  # its end is closed
        except OSError as error:
            raise WorkerLost(f"its worker's answer was garbled: {error}") from None
        raise WorkerLost(f"its worker {self._cause_of_death()}")

    def stop(self) -> None:
        """Ends it at once. It needs no cleanup: files that it writes are whole or absent."""
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
        hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
        return f"was killed by {name}{hint}"


JOBS_A_WORKER = 100
"""Jobs after which a worker is replaced, so that a leak cannot grow without end."""
LOOK_EVERY = 1.0
"""Seconds between checks that workers are alive. If a worker dies and a process that it started
lives on, the pipe to the driver stays open, and its end does not tell."""


class ProcessExecutor(Executor):
    """Runs jobs in `workers` processes.

    Args:
        run: a function at the top level of a module.
        workers: the number of processes. Each is started when it is first needed, and is kept for
            the next jobs.
    """

    def __init__(self, run: RunJob, workers: int, options: Options = Options()) -> None:  # noqa: B008 (it is frozen)
        super().__init__(workers, options)
        self._function = f"{run.__module__}:{run.__qualname__}"
        self._workers: list[WorkerHandle] = []

    def close(self) -> None:
        """Ends all workers, in the middle of their jobs if need be."""
        super().close()
        while self._workers:
            self._workers.pop().stop()

    def _begin(self, task: QueuedJob) -> None:
        for worker in self._idle():
            if not worker.is_alive():
                self._end(worker)  # died without a job: no fault of the next one's
        idle = self._idle()
        worker = idle[0] if idle else self._start(task.job.threads)
        worker.send(task, self._options.job_seconds)

    def _idle(self) -> list[WorkerHandle]:
        return [worker for worker in self._workers if worker.task is None]

    def _ended(self) -> tuple[QueuedJob, Outcome]:
        busy = {worker: worker.task for worker in self._workers if worker.task}
        while True:
            wait([worker.pipe for worker in busy], LOOK_EVERY)
            for worker, task in busy.items():
                if outcome := self._outcome(worker, task):
                    return task, outcome

    def _outcome(self, worker: WorkerHandle, task: QueuedJob) -> Outcome | None:
        try:
            answer = worker.receive()
            if answer is None:
                return None
            outcome = decode(task.job, answer)
        except WorkerLost as lost:
            outcome = task.lost(str(lost), self._options.job_seconds)
        except ValueError as error:
            outcome = task.lost(f"its worker's answer was garbled: {error}")
        worker.task = None
        failure = outcome.failure
        if failure and failure.kind == "infrastructure":
            self._end(worker)  # a new one does not inherit its troubles
        elif worker.jobs == JOBS_A_WORKER:
            self._end(worker)
        return outcome

    def _start(self, threads: int) -> WorkerHandle:
        taken = {worker.number for worker in self._workers}
        number = min(set(range(self.slots)) - taken)
        worker = WorkerHandle(self._function, number, threads)
        self._workers.append(worker)
        return worker

    def _end(self, worker: WorkerHandle) -> None:
        self._workers.remove(worker)
        worker.stop()
