"""Retraining of chosen points on fresh seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count

from bench.progress import Progress, Silent
from bench.records import Replicate, TrialRecord
from bench.search.driver import MakeJob, OnRecord, closing_on_error
from bench.search.executors.base import Executor
from bench.search.study import Study


def confirm(
    study: Study,
    executor: Executor,
    make_job: MakeJob,
    points: Sequence[TrialRecord],
    replicates: int,
    on_record: OnRecord,
    progress: Progress | None = None,
) -> None:
    """Retrains points on `replicates` fresh seeds each and measures them on validation and test; does none twice.

    A point short of full length is trained to where it is, on the schedule of full length: as the search saw it.

    Args:
        points: see `bench.frontier.points`; several may be of one trial.
        on_record: called with each trial whose replicates were completed here.

    Raises:
        ValueError: a point without a result.
    """
    progress = progress or Silent()
    for point in points:
        if not point.measured:
            raise ValueError(f"expected a completed trial to confirm, found trial {point.number} {point.state}")
    jobs = [
        replace(make_job(point.number, replicate, point.config, ("valid", "test")), until=point.until)
        for point, replicate in _missing(points, replicates, study.replicates())
    ]
    left = Counter(job.trial for job in jobs)
    with closing_on_error(executor), progress.task("confirming", len(points) * replicates, "replicates") as advance:
        advance(len(points) * replicates - len(jobs))
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


def _missing(
    points: Sequence[TrialRecord], replicates: int, stored: Mapping[int, Sequence[Replicate]]
) -> list[tuple[TrialRecord, int]]:
    """What is still to be trained: a point, and the number of its replicate, from which its seed comes.

    The replicates of a trial are numbered over all its points, the longest first, so that no two share a seed. What
    is left over from an interrupted confirmation gets the numbers that it would have had.
    """
    found: dict[tuple[int, int | None], list[int]] = {}
    taken = {number: {each.replicate for each in kept} for number, kept in stored.items()}
    for point in sorted(points, key=lambda point: -len(point.rungs)):
        used = taken.setdefault(point.number, set())
        done = sum(each.until == point.until for each in stored.get(point.number, ()))
        free = (number for number in count(1) if number not in used)
        mine = found[point.number, point.until] = [next(free) for _ in range(replicates - done)]
        used.update(mine)
    return [(point, number) for point in points for number in found[point.number, point.until]]
