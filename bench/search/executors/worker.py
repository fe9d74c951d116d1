"""The worker's side of the process pool."""

from __future__ import annotations

import faulthandler
import gc
import importlib
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from queue import SimpleQueue

from bench.machine import set_waiting
from bench.records import Job, TrialResult
from bench.search.executors.attempt import Run, attempt
from bench.search.executors.message import encode

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
"""What numeric libraries read when they are imported."""
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
