"""The contract of an executor, and how an exception becomes a failure."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from bench.errors import UserError
from bench.records import Failure, Job, Outcome, TrialResult

Run = Callable[[Job], TrialResult]
"""Trains a job. A function at the top level of a module, so that a worker process can import it by name."""


class Executor(Protocol):
    """Runs jobs, several at a time.

    Attributes:
        slots: how many jobs run at once. More may be submitted; they wait their turn.
    """

    slots: int

    def submit(self, job: Job) -> None:
        """Hands over a job."""
        ...

    def next(self) -> Outcome:
        """Waits for any submitted job to end. Every job ends once, as a result or as a failure."""
        ...

    def close(self) -> None:
        """Stops at once, jobs that still run included. Closing twice is harmless."""
        ...


def attempt(run: Run, job: Job) -> Outcome:
    """Runs a job here; an exception becomes the outcome's failure. Interrupts are not caught."""
    started, clock = time.time(), time.monotonic()
    result: TrialResult | None = None
    failure: Failure | None = None
    try:
        result = run(job)
    except Exception as error:
        failure = failure_of(error)
    return Outcome(job, result, failure, started, time.monotonic() - clock)


def failure_of(error: Exception) -> Failure:
    """Sorts an exception: the user's mistake, numbers that left their range, the machine's limits, or a bug."""
    text = " ".join(str(error).split())
    if isinstance(error, UserError):
        return Failure("configuration", text)
    if isinstance(error, FloatingPointError):
        return Failure("diverged", text or "a number left its range")
    # torch's own OutOfMemoryError is a RuntimeError; to know it by name spares importing torch.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return Failure("infrastructure", f"out of memory: {text}" if text else "out of memory")
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name})" if frames else ""
    return Failure("bug", f"{type(error).__name__}{': ' + text if text else ''}{where}")
