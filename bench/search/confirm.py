"""Retraining of chosen trials on fresh seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from bench.progress import Progress, Silent
from bench.records import Job
from bench.search.driver import MakeJob, OnRecord, closing_on_error
from bench.search.executors.base import Executor
from bench.search.study import Study


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

    A trial that the search stopped is trained to where it was stopped, on the schedule of full length as there.

    Args:
        on_record: called with each trial whose replicates were completed here.

    Raises:
        ValueError: a trial without a result.
    """
    progress = progress or Silent()
    left: Counter[int] = Counter()
    stored = study.replicates()
    jobs: list[Job] = []
    for number in trials:
        record = study.record(number)
        if not record.measured:
            raise ValueError(f"expected a completed trial to confirm, found trial {number} {record.state}")
        until = None if record.state == "completed" else record.rungs[-1].samples
        done = {replicate.replicate for replicate in stored.get(number, ())}
        for replicate in range(1, replicates + 1):
            if replicate not in done:
                job = make_job(number, replicate, record.config, ("valid", "test"))
                jobs.append(replace(job, until=until))
                left[number] += 1
    with closing_on_error(executor), progress.task("confirming", len(trials) * replicates, "replicates") as advance:
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
