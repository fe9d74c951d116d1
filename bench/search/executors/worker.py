"""The worker's side of the process pool. Imports nothing heavy: torch comes with the first job."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import Connection, wait

from bench.records import Job, TrialResult
from bench.search.executors.base import attempt


def serve(connection: Connection, function: str) -> None:
    """Runs jobs from the connection until the driver closes it or dies.

    Args:
        function: `module:name` of what runs a job.
    """
    # Ctrl-C reaches every process of the terminal; what becomes of running jobs is for the driver to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_driver, daemon=True).start()
    module, name = function.split(":")

    def run(job: Job) -> TrialResult:
        result: TrialResult = getattr(importlib.import_module(module), name)(job)
        return result

    while True:
        try:
            job = connection.recv()
        except (EOFError, OSError):
            return
        connection.send(attempt(run, job))


def _die_with_driver() -> None:
    """A driver that was killed cannot stop its workers, and a worker in the middle of a job would not notice."""
    driver = multiprocessing.parent_process()
    assert driver is not None
    wait([driver.sentinel])
    os._exit(1)
