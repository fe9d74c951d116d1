"""A pool of worker processes that survives whatever a job does to any of them."""

from __future__ import annotations

import inspect
from collections import deque
from multiprocessing.connection import wait

from bench.records import Job, Outcome
from bench.search.executors.base import Options, Run, Task, judge, too_long
from bench.search.executors.handle import WorkerHandle, WorkerLost
from bench.search.executors.message import decode

GROWTH_MB = 512.0
"""A worker is replaced when, idle after a job, it holds both this much more private memory and twice as much as after
its first job. Jobs of different size leave different amounts behind; a leak grows without end."""

LOOK_EVERY = 1.0
"""Seconds between looks at whether workers live: where one dies and what it had started lives on, the pipe between it
and the driver stays open, so that no end of it tells."""


class ProcessExecutor:
    """Runs jobs in `workers` processes.

    Args:
        run: a function at the top level of a module.
        workers: the number of processes. Each is started when it is first needed, imports what jobs need before its
            first one, and is kept for the next ones.
        growth_mb: see `GROWTH_MB`.

    Raises:
        ValueError: no worker, or a function that a worker could not import.
    """

    def __init__(
        self,
        run: Run,
        workers: int,
        options: Options = Options(),  # noqa: B008 (it is frozen)
        growth_mb: float = GROWTH_MB,
    ) -> None:
        if workers < 1:
            raise ValueError(f"expected at least one worker, found {workers}")
        self.slots = workers
        self._function = importable(run)
        self._options, self._growth_mb = options, growth_mb
        self._workers: list[WorkerHandle] = []
        self._waiting: deque[Task] = deque()

    def submit(self, job: Job) -> None:
        """Gives the job to an idle worker, or queues it."""
        self._waiting.append(Task(job))
        self._dispatch()

    def next(self) -> Outcome:
        """Waits for a job to end; see `Executor` for what is tried again.

        Raises:
            RuntimeError: no job is under way.
        """
        while True:
            self._dispatch()
            busy = {worker.connection: worker for worker in self._workers if worker.task}
            if not busy:
                raise RuntimeError("next() without a submitted job")
            ready = wait(list(busy), self._patience())
            for connection, worker in busy.items():
                if (connection in ready or not worker.process.is_alive()) and (outcome := self._hear(worker)):
                    self._dispatch()  # the worker goes on while the driver digests the outcome
                    return outcome
            if outcome := self._end_the_late():
                return outcome

    def close(self) -> None:
        """Ends all workers, in the middle of their jobs if need be."""
        self._waiting.clear()
        while self._workers:
            self._workers.pop().stop()

    def _dispatch(self) -> None:
        for idle in [worker for worker in self._workers if worker.task is None]:
            if not idle.process.is_alive():
                self._remove(idle)  # died without a job: no fault of the next one's
        while self._waiting:
            worker = self._idle(self._waiting[0].job.threads)
            if worker is None:
                return
            worker.give(self._waiting.popleft())

    def _idle(self, threads: int) -> WorkerHandle | None:
        for worker in self._workers:
            if worker.task is None:
                return worker
        if len(self._workers) == self.slots:
            return None
        return self._start(threads)

    def _start(self, threads: int) -> WorkerHandle:
        number = min(set(range(self.slots)) - {worker.number for worker in self._workers})
        self._workers.append(WorkerHandle(self._function, threads, number))
        return self._workers[-1]

    def _hear(self, worker: WorkerHandle) -> Outcome | None:
        task = worker.task
        assert task is not None
        try:
            line = worker.hear()
            if line is None:
                return None
            outcome, more = decode(task.job, line)
        except WorkerLost as lost:
            return self._lose(worker, str(lost))
        except ValueError as error:
            return self._lose(worker, f"its worker's answer was garbled: {error}")
        worker.task = None
        if outcome.failure and outcome.failure.kind == "infrastructure":
            self._replace(worker)  # whatever it lacked, a new one begins with a clean slate
        elif reason := self._leak(worker, more.get("memory_mb", 0.0)):
            self._options.note(reason)
            self._replace(worker)
        return self._settle(task, outcome)

    def _leak(self, worker: WorkerHandle, now: float) -> str | None:
        if worker.first_mb is None:
            worker.first_mb = now
        if now - worker.first_mb <= self._growth_mb or now <= 2 * worker.first_mb:
            return None
        return f"a worker held {worker.first_mb:.0f} MB after its first job and holds {now:.0f} MB: it is replaced"

    def _end_the_late(self) -> Outcome | None:
        limit = self._options.job_seconds
        for worker in self._workers:
            if limit is not None and worker.task and worker.seconds_left(limit) <= 0:
                return self._lose(worker, too_long(limit))
        return None

    def _lose(self, worker: WorkerHandle, reason: str) -> Outcome | None:
        task = worker.task
        assert task is not None
        self._replace(worker)
        return self._settle(task, task.lost(reason))

    def _settle(self, task: Task, outcome: Outcome) -> Outcome | None:
        judged = judge(task, outcome, self._options)
        if judged is None:
            self._waiting.appendleft(task)
        return judged

    def _replace(self, worker: WorkerHandle) -> None:
        self._remove(worker)
        self._start(worker.threads)  # at once, so that it is warm by its first job

    def _remove(self, worker: WorkerHandle) -> None:
        self._workers.remove(worker)
        worker.stop()

    def _patience(self) -> float:
        limit = self._options.job_seconds
        if limit is None:
            return LOOK_EVERY
        left = min(worker.seconds_left(limit) for worker in self._workers if worker.task)
        return min(max(0.0, left), LOOK_EVERY)


def importable(run: Run) -> str:
    """The name by which a worker finds a function: `module:name`.

    Raises:
        ValueError: it is not at the top level of a module.
    """
    if not inspect.isfunction(run) or "<" in run.__qualname__ or "." in run.__qualname__:
        raise ValueError(f"expected a function at the top level of a module, found {run!r}")
    return f"{run.__module__}:{run.__qualname__}"
