"""Jobs on the machines of a Ray cluster, or on this one alone where it belongs to none."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, WorkerCrashedError

from bench.atomic import atomic_path
from bench.full_disk import Unwritable
from bench.records import Outcome
from bench.search.executors.attempt import Run
from bench.search.executors.base import Executor, Options, Task
from bench.search.executors.cluster import check_machines, connect, loss
from bench.search.executors.message import decode
from bench.search.executors.process import importable
from bench.search.executors.remote import work

JOBS_A_WORKER = 100
"""After so many jobs Ray replaces a worker process, so that a leak cannot grow without end."""


class RayExecutor(Executor):
    """Runs at most `workers` jobs at once, each as a Ray task with what `options` sets aside for it.

    Ray itself tries nothing again: a lost machine is an infrastructure fault like any other, see `Executor`. Where no
    machine is left, `next` waits for one. How a machine comes by the store and by checkpoints is told in `remote`.

    Raises:
        UserError: no cluster, or a machine of it that could not run the jobs.
        ValueError: no worker, or a function that a worker could not import.
    """

    def __init__(self, run: Run, workers: int, options: Options = Options()) -> None:  # noqa: B008 (it is frozen)
        super().__init__(workers, options)
        self._function = importable(run)
        self._under_way: dict[Any, Task] = {}  # by what Ray will give
        self._joined = connect(options)
        self._here = ray.get_runtime_context().get_node_id()
        resources = {"num_cpus": options.threads, "num_gpus": options.gpus, "memory": options.memory_mb << 20 or None}
        self._work: Any = ray.remote(max_retries=0, max_calls=JOBS_A_WORKER, **resources)(work)
        try:
            check_machines(options, self._here)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends all jobs, in their middle if need be."""
        super().close()
        if ray.is_initialized():
            for reference in self._under_way:
                with suppress(RayError):  # it has just ended by itself
                    ray.cancel(reference, force=True)
            if self._joined:
                ray.shutdown()
        self._under_way.clear()

    def _begin(self, task: Task) -> None:
        reference = self._work.remote(self._function, task.job, self._options.job_seconds, self._here)
        self._under_way[reference] = task

    def _ended(self) -> tuple[Task, Outcome]:
        reference = ray.wait(list(self._under_way))[0][0]
        task = self._under_way.pop(reference)
        try:
            line, files = ray.get(reference)
            for path, content in files.items():
                with atomic_path(Path(path)) as temporary:
                    temporary.write_bytes(content)
            return task, decode(task.job, line)
        except RayError as error:
            limit = self._options.job_seconds if isinstance(error, WorkerCrashedError) else None
            return task, task.lost(loss(error), limit)
        except (OSError, Unwritable) as error:
            return task, task.lost(f"what it left could not be kept: {error}")
