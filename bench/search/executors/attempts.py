"""A job on its way through an executor, and whether it is tried once more."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

from bench.records import Failure, Job, Outcome
from bench.search.executors.base import Options


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

    def lost(self, reason: str) -> Outcome:
        """The outcome of an attempt that can no longer say so itself."""
        return Outcome(
            self.job, None, Failure("infrastructure", reason), self.began, max(0.0, time.monotonic() - self.clock)
        )


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
