"""The worker's side of the process pool, and its answers: lines of JSON, which can neither run nor hide code."""

from __future__ import annotations

import faulthandler
import gc
import importlib
import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from bench.machine import set_waiting
from bench.records import Failure, Job, Outcome, TrialResult
from bench.search.executors.base import Run, attempt


def encode(outcome: Outcome) -> str:
    """The outcome without its job, on one line; a result that is no plain values becomes a failure."""
    when = {"started": outcome.started, "seconds": outcome.seconds}
    try:
        result = None if outcome.result is None else asdict(outcome.result)
        failure = None if outcome.failure is None else asdict(outcome.failure)
        return json.dumps({"result": result, "failure": failure, **when}, default=_plain)
    except Exception as error:
        reason = f"expected a result of plain values, found {type(error).__name__}: {error}"
        return json.dumps({"result": None, "failure": {"kind": "bug", "reason": reason}, **when})


def decode(job: Job, line: str | bytes) -> Outcome:
    """The outcome of a job.

    Raises:
        ValueError: the line was not made by `encode`.
    """
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


def _plain(value: Any) -> Any:
    """A scalar of numpy or torch as Python's own."""
    if callable(item := getattr(value, "item", None)):
        return item()
    raise TypeError(f"a value of type {type(value).__name__}")


THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Environment variables that numeric libraries read when they are imported."""
START_SECONDS = 120.0
"""What imports may take, besides a job's own limit."""


def serve(function: str) -> None:
    """Runs the jobs that come from the pipe at stdin, and answers each with a line; ends when the driver does.

    Args:
        function: `module:name` of what runs a job.
    """
    pipe = Connection(os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    set_waiting()
    # Ctrl-C reaches every process of the terminal; what becomes of running jobs is for the driver to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _offer_to_the_system()
    jobs: SimpleQueue[tuple[Job, float | None]] = SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, jobs), daemon=True).start()
    while True:
        job, seconds = jobs.get()
        outcome = attempt(partial(_run, function, seconds), job)
        gc.collect()  # so that what is left of the job is a leak, and no cycle that waits to be found
        line = encode(outcome).encode() + b"\n"
        while line:
            line = line[os.write(pipe.fileno(), line) :]


def _run(function: str, seconds: float | None, job: Job) -> TrialResult:
    with timed(function, seconds) as train:
        return train(job)


@contextmanager
def timed(function: str, seconds: float | None) -> Iterator[Run]:
    """Yields the function of a name such as `bench.training.job:run_job`. The block may take `seconds`, None for ever.

    Imports are not the block's time: they may take `START_SECONDS`, where there is a limit.
    """
    module, name = function.split(":")
    with _time_limit(None if seconds is None else START_SECONDS):
        run: Run = getattr(importlib.import_module(module), name)
    with _time_limit(seconds):
        yield run


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
    """Queues jobs. At the end of the pipe the driver is gone, and this process goes, too, in the middle of a job."""
    try:
        while True:
            jobs.put(pipe.recv())
    finally:
        os._exit(1)


def _offer_to_the_system() -> None:
    """Where memory runs out, Linux shall end a worker, which is replaced, and not the driver."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
