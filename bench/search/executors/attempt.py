"""One attempt at a job in this process, whose exceptions become failures."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from pathlib import Path

from bench.errors import UserError
from bench.full_disk import Unwritable
from bench.records import Failure, Job, Outcome, TrialResult

Run = Callable[[Job], TrialResult]
"""Trains a job. A function at the top level of a module, so that a worker process can import it by name."""


def attempt(run: Run, job: Job) -> Outcome:
    """Runs a job here; an exception becomes the outcome's failure. Interrupts are not caught."""
    started, clock = time.time(), time.monotonic()
    result: TrialResult | None = None
    failure: Failure | None = None
    try:
        result = run(job)
        if not isinstance(result, TrialResult):
            found, result = type(result).__name__, None
            failure = Failure("bug", f"expected a TrialResult of the job, found a value of type {found}")
    except Exception as error:
        failure = failure_of(error)
    return Outcome(job, result, failure, started, time.monotonic() - clock)


def failure_of(error: Exception) -> Failure:
    """Sorts an exception: the user's mistake, numbers that left their range, the machine's limits, or a bug."""
    text, name = " ".join(str(error).split()), type(error).__name__
    named = f"{name}: {text}" if text else name
    if isinstance(error, Unwritable):
        return Failure("infrastructure", text)
    if isinstance(error, UserError):
        return Failure("configuration", text)
    if isinstance(error, FloatingPointError):
        return Failure("diverged", text or "a number left its range")
    if _lacks_memory(error, text):
        return Failure("infrastructure", f"out of memory: {text}" if text else "out of memory")
    if isinstance(error, OSError) or name == "AcceleratorError" or "can't start new thread" in text:
        return Failure("infrastructure", named)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name})" if frames else ""
    return Failure("bug", f"{named}{where}")


def _lacks_memory(error: Exception, text: str) -> bool:
    # torch raises its own OutOfMemoryError on a GPU, which is known by name here to spare importing torch, and a plain
    # RuntimeError on the CPU.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    says = ("can't allocate memory", "not enough memory", "out of memory", "Cannot allocate memory")
    return isinstance(error, RuntimeError | OSError) and any(part in text for part in says)
