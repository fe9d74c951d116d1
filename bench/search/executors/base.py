"""The contract of an executor, how an exception becomes a failure, and when a job is tried once more."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from bench.errors import UserError
from bench.full_disk import Unwritable
from bench.records import Failure, Job, Outcome, TrialResult

Run = Callable[[Job], TrialResult]
"""Trains a job. A function at the top level of a module, so that a worker process can import it by name."""

RETRIES = 2
"""How often a job is tried again after an infrastructure fault."""


def _unheard(text: str) -> None:
    """Where nobody listens."""


@dataclass(frozen=True)
class Options:
    """What a job may take, the same for every job. An executor reads what concerns it.

    Attributes:
        job_seconds: a job that takes longer is ended, an infrastructure fault; None for no limit.
        retries: how often a job is tried again after an infrastructure fault.
        note: is told of every retry and of every worker that is replaced, a sentence each.
        store: path of the store that the jobs will name, to be looked for on every machine before the first of them.
        address: of a Ray cluster; None takes the one that this machine belongs to.
        threads: processors that Ray sets aside for a job.
        gpus: GPUs that Ray sets aside for a job; a fraction lets jobs share one.
        memory_mb: memory in MiB that Ray sets aside for a job; 0 leaves it out of account.
    """

    job_seconds: float | None = None
    retries: int = RETRIES
    note: Callable[[str], None] = _unheard
    store: str | None = None
    address: str | None = None
    threads: int = 1
    gpus: float = 0.0
    memory_mb: int = 0


class Executor(Protocol):
    """Runs jobs, several at a time.

    A job whose outcome is an infrastructure fault (a worker that died, memory, time, a lost machine) is tried again,
    from its checkpoint if it has one, which is the last rung's; after `Options.retries` times the fault is its outcome.
    All other failures are outcomes at once.

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


class MakeExecutor(Protocol):
    """How every executor is built."""

    def __call__(self, run: Run, workers: int, options: Options = ...) -> Executor:
        """An executor with `workers` slots, where it can have several."""
        ...


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
    text = " ".join(str(error).split())
    if isinstance(error, UserError) and not isinstance(error, Unwritable):
        return Failure("configuration", text)
    if isinstance(error, FloatingPointError):
        return Failure("diverged", text or "a number left its range")
    if _lacks_memory(error, text):
        return Failure("infrastructure", f"out of memory: {text}" if text else "out of memory")
    name = type(error).__name__
    if isinstance(error, Unwritable):
        return Failure("infrastructure", text)
    if isinstance(error, OSError) or name == "AcceleratorError" or "can't start new thread" in text:
        return Failure("infrastructure", f"{name}{': ' + text if text else ''}")
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name})" if frames else ""
    return Failure("bug", f"{name}{': ' + text if text else ''}{where}")


def _lacks_memory(error: Exception, text: str) -> bool:
    # torch raises its own OutOfMemoryError on a GPU, which is known by name here to spare importing torch, and a plain
    # RuntimeError on the CPU.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    says = ("can't allocate memory", "not enough memory", "out of memory", "Cannot allocate memory")
    return isinstance(error, RuntimeError | OSError) and any(part in text for part in says)


@dataclass
class Task:
    """A job with what became of its attempts.

    Attributes:
        faults: attempts that ended in an infrastructure fault.
        began: when the present one was begun, in seconds since 1970, and `clock` by the monotonic clock.
    """

    job: Job
    faults: int = 0
    began: float = field(default_factory=time.time)
    clock: float = field(default_factory=time.monotonic)

    def begin(self) -> None:
        """A new attempt."""
        self.began, self.clock = time.time(), time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the present attempt was begun."""
        return max(0.0, time.monotonic() - self.clock)

    def lost(self, reason: str) -> Outcome:
        """The outcome of an attempt that can no longer say so itself."""
        return Outcome(self.job, None, Failure("infrastructure", reason), self.began, self.seconds)


def judge(task: Task, outcome: Outcome, options: Options) -> Outcome | None:
    """The outcome of the job; None where it is to be tried again."""
    failure = outcome.failure
    if failure is None or failure.kind != "infrastructure":
        return outcome
    task.faults += 1
    if task.faults <= options.retries:
        options.note(f"{task.job.name}: {failure.reason}; tried again ({task.faults} of {options.retries})")
        return None
    reason = f"tried {task.faults} times; at last {failure.reason}" if task.faults > 1 else failure.reason
    return replace(outcome, failure=Failure("infrastructure", reason))


def too_long(seconds: float | None) -> str:
    """The reason of a job that ran into its limit."""
    return f"it took longer than {seconds:g} s"
