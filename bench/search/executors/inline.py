"""Runs jobs in this process, one after the other: repeats bit for bit, and is the easiest to debug."""

from __future__ import annotations

from bench.errors import UserError
from bench.records import Outcome
from bench.search.executors.base import Executor, Options, QueuedJob, Run, attempt


class InlineExecutor(Executor):
    """Runs the oldest waiting job when asked for an outcome. Always one slot, whatever `workers` says.

    What kills a worker elsewhere (a crash, the system's want of memory) kills the run here; it can be resumed.

    Raises:
        UserError: a limit of time, which only another process can enforce.
    """

    def __init__(self, run: Run, workers: int = 1, options: Options = Options()) -> None:  # noqa: B008 (it is frozen)
        if options.job_seconds is not None:
            raise UserError("job_time: expected --executor process or ray, which can end a job; found inline")
        super().__init__(1, options)
        self._run = run
        self._task: QueuedJob

    def _begin(self, task: QueuedJob) -> None:
        self._task = task

    def _ended(self) -> tuple[QueuedJob, Outcome]:
        return self._task, attempt(self._run, self._task.job)
