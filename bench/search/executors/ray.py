"""Jobs on the machines of a Ray cluster, or on this one alone where it belongs to none."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import RayError, WorkerCrashedError

from bench.records import Job, Outcome
from bench.search.executors.base import Options, Run, Task, judge, too_long
from bench.search.executors.cluster import Desk, check_machines, connect, loss, pinned
from bench.search.executors.message import decode
from bench.search.executors.process import importable
from bench.search.executors.remote import work

JOBS_A_WORKER = 100
"""After so many jobs Ray replaces a worker process, so that a leak cannot grow without end."""


class RayExecutor:
    """Runs at most `workers` jobs at once, each as a Ray task with what `options` sets aside for it.

    Ray itself tries nothing again: a lost machine is an infrastructure fault like any other, see `Executor`. How a
    machine comes by the store and by checkpoints is told in `remote`.

    Raises:
        UserError: no cluster, or a machine of it that could not run the jobs.
        ValueError: no worker, or a function that a worker could not import.
    """

    def __init__(self, run: Run, workers: int, options: Options = Options()) -> None:  # noqa: B008 (it is frozen)
        if workers < 1:
            raise ValueError(f"expected at least one worker, found {workers}")
        self.slots = workers
        self._options, self._function = options, importable(run)
        self._waiting: deque[Task] = deque()
        self._running: dict[Any, Task] = {}  # by what Ray will give
        self._joined = connect(options)
        self._here = ray.get_runtime_context().get_node_id()
        self._desk: Any = ray.remote(Desk).options(num_cpus=0, scheduling_strategy=pinned(self._here)).remote()
        resources = {"num_cpus": options.threads, "num_gpus": options.gpus, "memory": options.memory_mb << 20 or None}
        self._work: Any = ray.remote(max_retries=0, max_calls=JOBS_A_WORKER, **resources)(work)
        try:
            check_machines(options, self._desk, self._here)
        except BaseException:
            self.close()
            raise

    def submit(self, job: Job) -> None:
        """Gives the job to the cluster, or queues it."""
        self._waiting.append(Task(job))
        self._dispatch()

    def next(self) -> Outcome:
        """Waits for a job to end; see `Executor` for what is tried again. Where no machine is left it waits for one.

        Raises:
            RuntimeError: no job is under way.
        """
        while True:
            self._dispatch()
            if not self._running:
                raise RuntimeError("next() without a submitted job")
            for reference in ray.wait(list(self._running))[0]:
                if outcome := self._hear(reference):
                    self._dispatch()
                    return outcome

    def close(self) -> None:
        """Ends all jobs, in their middle if need be."""
        self._waiting.clear()
        running, self._running = self._running, {}
        if ray.is_initialized():
            for reference in running:
                with suppress(RayError):  # it has just ended by itself
                    ray.cancel(reference, force=True)
            if self._desk is not None:
                ray.kill(self._desk)
            if self._joined:
                ray.shutdown()
        self._desk = None

    def _dispatch(self) -> None:
        while self._waiting and len(self._running) < self.slots:
            task = self._waiting.popleft()
            task.begin()
            limit = self._options.job_seconds
            self._running[self._work.remote(self._function, task.job, limit, self._desk, self._here)] = task

    def _hear(self, reference: Any) -> Outcome | None:
        task, limit = self._running.pop(reference), self._options.job_seconds
        try:
            outcome, _ = decode(task.job, ray.get(reference))
        except RayError as error:
            late = limit is not None and isinstance(error, WorkerCrashedError) and task.seconds > limit
            outcome = task.lost(too_long(limit) if late else loss(error))
        except ValueError as error:
            outcome = task.lost(f"its worker's answer was garbled: {error}")
        judged = judge(task, outcome, self._options)
        if judged is None:
            self._waiting.appendleft(task)
        return judged
