"""A pool of worker processes that survives whatever a job does to any of them."""

from __future__ import annotations

import inspect
from multiprocessing.connection import wait

from bench.records import Outcome
from bench.search.executors.attempt import Run
from bench.search.executors.base import Executor, Options, Task
from bench.search.executors.handle import WorkerHandle, WorkerLost
from bench.search.executors.message import decode

GROWTH_MB = 512.0
"""A worker is replaced when, idle after a job, it holds both this much more private memory and twice as much as after
its first job. Jobs of different size leave different amounts behind; a leak grows without end."""

LOOK_EVERY = 1.0
"""Seconds between looks at whether workers live: where one dies and what it had started lives on, the pipe between it
and the driver stays open, so that no end of it tells."""


class ProcessExecutor(Executor):
    """Runs jobs in `workers` processes.

    Args:
        run: a function at the top level of a module.
        workers: the number of processes. Each is started when it is first needed, and is kept for the next jobs.
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
        super().__init__(workers, options)
        self._function, self._growth_mb = importable(run), growth_mb
        self._workers: list[WorkerHandle] = []

    def close(self) -> None:
        """Ends all workers, in the middle of their jobs if need be."""
        super().close()
        while self._workers:
            self._workers.pop().stop()

    def _begin(self, task: Task) -> None:
        for worker in [worker for worker in self._workers if worker.task is None and not worker.lives()]:
            self._end(worker)  # died without a job: no fault of the next one's
        idle = next((worker for worker in self._workers if worker.task is None), None)
        (idle or self._start(task.job.threads)).give(task, self._options.job_seconds)

    def _ended(self) -> tuple[Task, Outcome]:
        busy = {worker: worker.task for worker in self._workers if worker.task}
        while True:
            wait([worker.pipe for worker in busy], LOOK_EVERY)
            for worker, task in busy.items():
                if outcome := self._hear(worker, task):
                    return task, outcome

    def _hear(self, worker: WorkerHandle, task: Task) -> Outcome | None:
        try:
            answer = worker.hear()
            if answer is None:
                return None
            outcome = decode(task.job, answer)
        except WorkerLost as lost:
            outcome = task.lost(str(lost), self._options.job_seconds)
        except ValueError as error:
            outcome = task.lost(f"its worker's answer was garbled: {error}")
        worker.task = None
        if outcome.failure and outcome.failure.kind == "infrastructure":
            self._end(worker)  # whatever it lacked, a new one begins with a clean slate
        elif reason := worker.leak(self._growth_mb):
            self._options.note(reason)
            self._end(worker)
        return outcome

    def _start(self, threads: int) -> WorkerHandle:
        number = min(set(range(self.slots)) - {worker.number for worker in self._workers})
        self._workers.append(WorkerHandle(self._function, number, threads))
        return self._workers[-1]

    def _end(self, worker: WorkerHandle) -> None:
        self._workers.remove(worker)
        worker.stop()


def importable(run: Run) -> str:
    """The name by which a worker finds a function: `module:name`.

    Raises:
        ValueError: it is not at the top level of a module that a worker can import.
    """
    if not inspect.isfunction(run) or not run.__qualname__.isidentifier() or run.__module__ == "__main__":
        raise ValueError(f"expected a function at the top level of a module, found {run!r}")
    return f"{run.__module__}:{run.__qualname__}"
