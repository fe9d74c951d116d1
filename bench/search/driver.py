"""The driver: asks for trials, has them run, and tells what came of them, the same way whatever the timing."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from bench.errors import UserError
from bench.progress import Progress, Silent
from bench.records import Failure, Job, Scalar, Split, TrialRecord
from bench.search.executors.base import Executor
from bench.search.plan import Plan
from bench.search.study import Study

MakeJob = Callable[[int, int, Mapping[str, Scalar], tuple[Split, ...]], Job]
"""(trial, replicate, dotted configuration, splits) -> job. The same arguments must give the same job, seed included."""

OnRecord = Callable[[TrialRecord], None]


def search(
    plan: Plan,
    study: Study,
    executor: Executor,
    make_job: MakeJob,
    on_record: OnRecord,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Runs a plan's trials, those included that an interrupted search left running.

    Trials are told in the order of their numbers, and trial n is asked for when exactly the trials up to n - lag are
    told. Outcomes that come early wait. So what the sampler knows of trial n is a matter of numbers, not of time, and
    one seed gives one search however long each trial takes. The lag is 1 where one job runs at a time, else twice the
    number of slots, so that a slow trial seldom leaves a slot empty. With more than one slot, trials added to a
    search that had come to its end know more than they would have known had it never ended.

    Args:
        on_record: called with each trial that is told, in order. A trial that was told just before a crash may not have
            reached it; `study.records()` has them all.
        clock: seconds, for the plan's time limit. Trials that are under way at the limit come to their end.

    Raises:
        KeyboardInterrupt and what else goes wrong here: the executor is closed, and trials under way stay as they are,
        to be run again by the next search.
    """
    progress = progress or Silent()
    lag = 1 if executor.slots == 1 else 2 * executor.slots
    deadline = math.inf if plan.seconds is None else clock() + plan.seconds
    openings = plan.openings()

    def submit(number: int, config: Mapping[str, Scalar]) -> None:
        try:
            job = make_job(number, 0, config, ("valid",))
        except UserError as error:
            study.finish(number, Failure("configuration", str(error)))
            advance(1)
        else:
            executor.submit(job)

    with _closing_on_error(executor), progress.task("trials", plan.trials, "trials") as advance:
        advance(study.finished)
        for number, config in study.running().items():
            submit(number, config)
        while True:
            while study.asked < plan.trials and study.asked - study.told < lag and clock() < deadline:
                opening = openings[study.asked] if study.asked < len(openings) else None
                submit(*study.ask(plan, opening))
            if (number := study.told) == study.asked:
                return
            while not study.is_finished(number):
                outcome = executor.next()
                study.finish(outcome.job.trial, outcome)
                advance(1)
            record = study.tell(number)
            if record.failure:
                progress.note(f"trial {number} failed ({record.failure.kind}): {record.failure.reason}")
            on_record(record)


def confirm(
    study: Study,
    executor: Executor,
    make_job: MakeJob,
    trials: Sequence[int],
    replicates: int,
    on_record: OnRecord,
    progress: Progress | None = None,
) -> None:
    """Retrains trials on `replicates` fresh seeds each and measures them on validation and test; does none twice.

    Args:
        on_record: called with each trial whose replicates were completed here.

    Raises:
        ValueError: a trial that did not complete.
    """
    progress = progress or Silent()
    left: Counter[int] = Counter()
    stored = study.replicates()
    jobs: list[Job] = []
    for number in trials:
        record = study.record(number)
        if record.state != "completed":
            raise ValueError(f"expected a completed trial to confirm, found trial {number} {record.state}")
        done = {replicate.replicate for replicate in stored.get(number, ())}
        todo = [replicate for replicate in range(1, replicates + 1) if replicate not in done]
        jobs += [make_job(number, replicate, record.config, ("valid", "test")) for replicate in todo]
        left[number] = len(todo)
    with _closing_on_error(executor), progress.task("confirming", len(trials) * replicates, "replicates") as advance:
        advance(len(trials) * replicates - len(jobs))
        for job in jobs:
            executor.submit(job)
        for _ in jobs:
            outcome = executor.next()
            study.add_replicate(outcome)
            advance(1)
            number = outcome.job.trial
            left[number] -= 1
            if not left[number]:
                on_record(study.record(number))


@contextmanager
def _closing_on_error(executor: Executor) -> Iterator[None]:
    try:
        yield
    except BaseException:
        executor.close()
        raise
