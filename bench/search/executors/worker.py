"""The worker's side of the process pool."""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import os
import signal
import threading
from contextlib import suppress
from multiprocessing.connection import Connection, wait

import psutil

from bench.machine import WORKER, set_waiting
from bench.records import Job, TrialResult
from bench.search.executors.base import Run, attempt
from bench.search.executors.message import encode

READY = "ready"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
"""What numeric libraries read when they are imported."""


def serve(connection: Connection, function: str, number: int) -> None:
    """Runs jobs from the connection until the driver closes it or dies. Says `READY`, then a line for each job.

    Args:
        function: `module:name` of what runs a job.
        number: among the driver's workers, from 0.
    """
    os.environ[WORKER] = str(number)
    set_waiting()
    # Ctrl-C reaches every process of the terminal; what becomes of running jobs is for the driver to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)  # what a job prints must not get between the driver's results
    _offer_to_the_system()
    threading.Thread(target=_die_with_driver, daemon=True).start()
    with suppress(Exception):  # the first job says what is wrong
        find(function)  # brings torch: while there is no job yet
    _say(connection, READY)
    while True:
        try:
            job = connection.recv()
        except (EOFError, OSError):
            return
        outcome = attempt(by_name(function), job)
        gc.collect()  # so that what is left of the job is a leak, and no cycle that waits to be found
        _say(connection, encode(outcome, memory_mb=private_memory_mb()))


def find(function: str) -> Run:
    """The function of a name such as `bench.training.job:run_job`."""
    module, name = function.split(":")
    found: Run = getattr(importlib.import_module(module), name)
    return found


def by_name(function: str) -> Run:
    """As the function of that name, which is looked for with the first call, so that an error is the job's failure."""

    def run(job: Job) -> TrialResult:
        return find(function)(job)

    return run


def private_memory_mb() -> float:
    """Resident memory of this process in MiB, without pages of files, which the system takes back by itself."""
    memory = psutil.Process().memory_info()
    return float(memory.rss - getattr(memory, "shared", 0)) / 2**20


def _say(connection: Connection, text: str) -> None:
    line = text.encode() + b"\n"
    while line:
        line = line[os.write(connection.fileno(), line) :]


def _offer_to_the_system() -> None:
    """Where memory runs out, Linux shall end a worker, which is replaced, and not the driver."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


def _die_with_driver() -> None:
    """A driver that was killed cannot stop its workers, and a worker in the middle of a job would not notice."""
    driver = multiprocessing.parent_process()
    assert driver is not None
    wait([driver.sentinel])
    os._exit(1)
