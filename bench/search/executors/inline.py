"""Jobs in this very process, one after the other: repeats bit for bit, and is the easiest to debug."""

from __future__ import annotations

from collections import deque

from bench.errors import UserError
from bench.records import Job, Outcome
from bench.search.executors.base import Options, Run, Task, attempt, judge


class InlineExecutor:
    """Runs the oldest waiting job when asked for an outcome. Always one slot, whatever `workers` says.

    What kills a worker elsewhere (a crash, the system's want of memory) kills the run here; it can be resumed.

    Raises:
        UserError: a limit of time, which only another process can enforce.
    """

    def __init__(self, run: Run, workers: int = 1, options: Options = Options()) -> None:  # noqa: B008 (it is frozen)
        if options.job_seconds is not None:
            raise UserError("job_time: expected --executor process or ray, which can end a job; found inline")
        self.slots = 1
        self._run, self._options = run, options
        self._waiting: deque[Task] = deque()

    def submit(self, job: Job) -> None:
        """Puts the job last in the queue."""
        self._waiting.append(Task(job))

    def next(self) -> Outcome:
        """Runs the first job in the queue. Raises RuntimeError where there is none."""
        if not self._waiting:
            raise RuntimeError("next() without a submitted job")
        task = self._waiting.popleft()
        while True:
            task.begin()
            if outcome := judge(task, attempt(self._run, task.job), self._options):
                return outcome

    def close(self) -> None:
        """Forgets waiting jobs."""
        self._waiting.clear()
