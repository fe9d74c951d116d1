"""The contract of an executor, with the parts that all share: the queue of jobs, attempts and
retries. `InlineExecutor` is the simplest: jobs in this process, one after the other.
"""

from __future__ import annotations

import re
import time
import traceback
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from bench.core.errors import TrainerError, UserError
from bench.core.records import Failure, Job, Outcome, TrialResult
from bench.core.registry import Config
from bench.core.system.atomic import Unwritable, says_no_room
from bench.core.system.credentials import shown
from bench.core.system.machine import check_device_name

RunJob = Callable[[Job], TrialResult]
"""Trains a job. A function at the top level of a module, so that a worker process can import it by
name.
"""


def attempt(run: RunJob, job: Job) -> Outcome:
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
    """Sorts an exception: the user's mistake, numbers that left their range, the machine's limits,
    or a bug.
    """
    text = " ".join(str(error).split())
    name = type(error).__name__
    named = f"{name}: {text}" if text else name
    if isinstance(error, Unwritable):
        return Failure("infrastructure", text)
    if isinstance(error, UserError):
        return Failure("configuration", text)
    if isinstance(error, TrainerError):
        return Failure("trainer", text)
    if isinstance(error, FloatingPointError):
        return Failure("diverged", text or "a number left its range")
    if _lacks_memory(error, text):
        return Failure("infrastructure", f"out of memory: {text}" if text else "out of memory")
    if isinstance(error, OSError) or name == "AcceleratorError" or "can't start new thread" in text:
        return Failure("infrastructure", named)
    return Failure("bug", f"{named}{_where(error)}")


def _where(error: Exception) -> str:
    """The line that raised it, as ` (file:line in function)`."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    frame = frames[-1]
    return f" ({Path(frame.filename).name}:{frame.lineno} in {frame.name})"


def _lacks_memory(error: Exception, text: str) -> bool:
    # torch raises its own OutOfMemoryError on a GPU, which is known by name here to spare importing
    # torch, and a plain RuntimeError on the CPU.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if not isinstance(error, RuntimeError | OSError):
        return False
    phrases = (
        "can't allocate memory",
        "not enough memory",
        "out of memory",
        "Cannot allocate memory",
    )
    return any(phrase in text for phrase in phrases)


RAY = "ray"


def _check_address(address: str | None) -> str | None:
    if address is not None and not re.fullmatch(r"[\w.:\[\]-]+", address):
        raise UserError(
            "--address: expected HOST:PORT of a cluster that this machine belongs to, found "
            f"'{shown(address)}'"
        )
    return address


RAY_RESOURCES = ("address", "gpus", "memory")
"""Resources that only a Ray cluster has. Every other executor refuses them."""


class Resources(Config):
    """What a user asks of an executor, the same for every job. Each executor reads the fields that
    it needs.
    """

    executor: str = "process"
    """inline, process or ray."""
    workers: int = Field(0, ge=0)
    """Jobs at once; 0 means one a core, or all that a cluster holds."""
    threads: int = Field(0, ge=0)
    """Threads of each job, for which Ray sets processors aside; 0 shares the cores."""
    device: Annotated[str, AfterValidator(check_device_name)] = "auto"
    """auto, cpu or cuda; auto takes CUDA where it is available."""
    address: Annotated[str | None, AfterValidator(_check_address)] = None
    """A Ray cluster's HOST:PORT; default: the one that this machine belongs to."""
    gpus: float = Field(0.0, ge=0)
    """GPUs of each job on a Ray cluster; in 0.5 of one, two jobs share it."""
    memory: int = Field(0, ge=0)
    """MB of memory of each job on a Ray cluster; 0 leaves it out of account."""

    def check(self) -> None:
        """Refuses what the executor does not have, and a device that its jobs would not find.

        Raises:
            UserError: an option of Ray for another executor, CUDA that is not here, or that Ray is
                not asked to set aside.
        """
        for name in RAY_RESOURCES:
            if getattr(self, name) and self.executor != RAY:
                raise UserError(
                    f"--{name}: expected --executor {RAY}, found the executor {self.executor}"
                )
        if self.device != "cuda" or self.executor != RAY:
            # imports torch, which most commands on a run do without
            from bench.models.training.device import choose_device

            choose_device(self.device)
        elif not self.gpus:
            raise UserError(
                "--device: expected --gpus above 0 beside cuda on a Ray cluster, found 0"
            )


class Options(Resources):
    """Resources, and what a run adds to them.

    Attributes:
        job_seconds: a job that takes longer is ended, an infrastructure fault; None for no limit.
        retries: how often a job is tried again after an infrastructure fault.
        note: called with a sentence for every retry and for every worker that is replaced.
        store: path of the store that the jobs will name, to be looked for on every machine before
            the first of them.
        needs: of plug-ins, as `bench.core.plugins.check` takes it, to be looked for on every
            machine of a Ray cluster.
    """

    threads: int = 1
    job_seconds: float | None = None
    retries: int = 2
    note: Callable[[str], None] = Field(default=lambda text: None)
    store: str | None = None
    needs: dict[str, str] = Field(default_factory=dict)

    @classmethod
    def of(cls, resources: Resources, **options: Any) -> Options:
        """With the resources that a user asked for, and options of the run."""
        return cls(**resources.model_dump(include=set(Resources.model_fields)) | options)


@dataclass
class QueuedJob:
    """A job and its attempts.

    Attributes:
        faults: number of attempts that ended in an infrastructure fault.
        began: start of the present attempt, in seconds since 1970.
        clock: the same by the monotonic clock.
    """

    job: Job
    faults: int = 0
    began: float = 0.0
    clock: float = 0.0

    def lost(self, reason: str, limit: float | None = None) -> Outcome:
        """The outcome of an attempt whose process did not report one.

        Args:
            limit: seconds after which the job's process ends itself. If they have passed, that is
                the reason.
        """
        seconds = time.monotonic() - self.clock
        if limit is not None and seconds > limit:
            reason = f"it took longer than {limit:g} s"
        return Outcome(self.job, None, Failure("infrastructure", reason), self.began, seconds)


class Executor(ABC):
    """Runs jobs, several at a time. A subclass begins one attempt at a job, and waits for its end.

    A job that ends in an infrastructure fault (a worker that died, memory, time, a lost machine) is
    tried again, from the last rung's checkpoint if there is one. After `Options.retries` times the
    fault is its outcome. All other failures are outcomes at once.

    Attributes:
        slots: number of jobs that run at once. More may be submitted; they wait their turn.
    """

    def __init__(self, slots: int, options: Options) -> None:
        self.slots, self._options = slots, options
        self._waiting: deque[QueuedJob] = deque()
        self._running = 0

    def submit(self, job: Job) -> None:
        """Begins the job, or queues it."""
        self._waiting.append(QueuedJob(job))
        self._dispatch()

    def next(self) -> Outcome:
        """Waits for any submitted job to end. Every job ends once, as a result or as a failure.

        Raises:
            RuntimeError: no job is under way.
            UserError: a job failed and its store is gone from this machine, or the disk stays full:
                no other job could do better.
        """
        while True:
            self._dispatch()
            if not self._running:
                raise RuntimeError("next() without a submitted job")
            task, outcome = self._ended()
            self._running -= 1
            if final := self._final(task, outcome):
                self._dispatch()  # workers go on while the driver digests the outcome
                return final
            self._waiting.appendleft(task)

    def close(self) -> None:
        """Stops at once, jobs that still run included. Closing twice is harmless."""
        self._waiting.clear()
        self._running = 0

    @abstractmethod
    def _begin(self, task: QueuedJob) -> None:
        """Begins an attempt in a slot that is free."""

    @abstractmethod
    def _ended(self) -> tuple[QueuedJob, Outcome]:
        """Waits for one of the attempts under way to end."""

    def _dispatch(self) -> None:
        while self._waiting and self._running < self.slots:
            task = self._waiting.popleft()
            task.began, task.clock = time.time(), time.monotonic()
            self._running += 1
            self._begin(task)

    def _final(self, task: QueuedJob, outcome: Outcome) -> Outcome | None:
        """The outcome of the job; None if the job will be tried again."""
        failure = outcome.failure
        if failure is None:
            return outcome
        store = self._options.store
        if store and not Path(store).is_dir():
            raise UserError(
                f"expected the prepared data at {store}, found none: they were removed while jobs "
                "used them"
            )
        if failure.kind != "infrastructure":
            return outcome
        task.faults += 1
        retries = self._options.retries
        if task.faults <= retries:
            self._options.note(
                f"{task.job.name}: {failure.reason}; tried again ({task.faults} of {retries})"
            )
            return None
        reason = failure.reason
        if task.faults > 1:
            reason = f"tried {task.faults} times; at last {reason}"
        if says_no_room(reason):  # no fault of the job: once there is room, it is run
            raise UserError(f"{task.job.name}: {reason}; make room, then `seesaw run RUN` goes on")
        return replace(outcome, failure=Failure("infrastructure", reason))


MakeExecutor = Callable[[RunJob, int, Options], Executor]
"""How every executor is built: what a job runs, the number of slots, where it can have several, and
options.
"""


class InlineExecutor(Executor):
    """Runs the oldest waiting job when asked for an outcome. It has one slot; `workers` is ignored.

    What kills a worker elsewhere (a crash, the system's want of memory) kills the run here; it can
    be resumed. A limit of time, which only another process can enforce, is refused where a run is
    created.
    """

    def __init__(self, run: RunJob, workers: int = 1, options: Options = Options()) -> None:  # noqa: B008 (it is frozen)
        super().__init__(1, options)
        self._run = run
        self._task: QueuedJob

    def _begin(self, task: QueuedJob) -> None:
        self._task = task

    def _ended(self) -> tuple[QueuedJob, Outcome]:
        return self._task, attempt(self._run, self._task.job)
