"""Retrains chosen points on fresh seeds: a race in which replicates go where the front is least certain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.frontier.samples import sample
from bench.frontier.shortlist import next_round
from bench.predictions import path_of
from bench.progress import Progress, Silent
from bench.records import Point, Replicate
from bench.rows import CONFIRM, REPLICATED
from bench.search.driver import MakeJob, OnRecord, outcomes
from bench.search.executors.base import Executor
from bench.search.study import Study


@dataclass(frozen=True)
class Race:
    """The numbers of replicates.

    Attributes:
        replicates: of each point and each baseline to begin with; 0 confirms nothing.
        budget: of all points together, those to begin with included; baselines come on top.
        seed: of the run, for what is simulated.
    """

    replicates: int
    budget: int = 0
    seed: int = 0


def confirm(
    study: Study,
    executor: Executor,
    make_job: MakeJob,
    points: Sequence[Point],
    race: Race,
    on_record: OnRecord,
    progress: Progress | None = None,
    baselines: Sequence[Point] = (),
) -> None:
    """Retrains points on fresh seeds and measures them on validation, confirmation rows and test; does nothing twice.

    The first round trains `race.replicates` of every point and every baseline. Later rounds train those that
    `bench.frontier.shortlist` asks for, by confirmation rows alone, until it asks for none or the budget is used up. A
    round begins when all outcomes of the one before are known, and uses no others. So the race is the same with any
    number of workers, and after any interruption. Test is measured with each replicate and read by nothing here.

    Replicates of a point are numbered from 1. The k-th of every point and baseline has the same seed, so that points
    are compared by pairs. An interrupted confirmation asks for the same numbers again, and finds those that are stored.

    A point short of full length is trained to where it is, on the schedule of full length: as the search saw it.

    A stored replicate whose predictions are to be kept and are gone is trained again for them alone: what is stored of
    it stays.

    Args:
        points: of trials, see `bench.frontier.points`; several may be of one trial.
        on_record: called with each trial whose replicates of a round were completed here.
        baselines: all other points, see `bench.confirm.baselines`; the current point is one of them.
    """
    progress = progress or Silent()
    if not race.replicates:
        return
    every = {point.training: point for point in [*points, *baselines]}
    total = max(race.budget, len(points) * race.replicates)
    runs, left = total + len(baselines) * race.replicates, total - len(points) * race.replicates
    keys = [objective.key(CONFIRM) for objective in study.objectives]
    _keep_again(study, executor, make_job, every.values(), progress)
    stored = {(name, each.replicate) for name, own in study.replicates().items() if name in every for each in own}
    asked: Counter[str] = Counter()
    # The first replicate of all before the second of any: so how fast it goes tells early how long the rest takes.
    # Trees take longest, and go first: no worker waits for them at the end.
    longest_first = sorted(every.values(), key=lambda point: point.kind != "trees")
    chosen = [point for _ in range(race.replicates) for point in longest_first]
    done = sum(number <= race.replicates for _, number in stored)  # more may be there, of an earlier, smaller search
    with progress.task("confirming", runs, "replicates", done) as advance:
        while chosen:
            jobs = []
            for point in chosen:
                asked[point.training] += 1
                number = asked[point.training]
                if (point.training, number) not in stored:
                    jobs.append(make_job(point, number, REPLICATED))
            missing = Counter(job.trial for job in jobs)
            for outcome in outcomes(executor, jobs, advance, study):
                trial = outcome.job.trial
                missing[trial] -= 1
                if trial is not None and not missing[trial]:
                    on_record(study.record(trial))
            known = study.replicates()
            samples = [sample(_with(point, known, asked), keys) for point in points]
            chosen = [points[at] for at in next_round(samples, study.objectives, left, race.seed)] if left else []
            left -= len(chosen)


def _with(point: Point, known: Mapping[str, Sequence[Replicate]], asked: Mapping[str, int]) -> Point:
    """The point with those of its replicates that were asked for so far."""
    own = known.get(point.training, ())
    return replace(point, replicates=tuple(each for each in own if each.replicate <= asked[point.training]))


def _keep_again(
    study: Study, executor: Executor, make_job: MakeJob, points: Iterable[Point], progress: Progress
) -> None:
    """Trains stored replicates again whose predictions are gone, for their files alone."""
    stored, jobs = study.replicates(), []
    for point in points:
        for each in stored.get(point.training, ()):
            if each.failure is None:
                job = make_job(point, each.replicate, REPLICATED)
                paths = [path_of(job, split) for split in job.splits]
                jobs += [job] if any(path is not None and not path.is_file() for path in paths) else []
    if not jobs:
        return
    progress.note(f"kept predictions of {len(jobs)} replicates are gone: these are trained again for them")
    with progress.task("predictions again", len(jobs), "replicates") as advance:
        for outcome in outcomes(executor, jobs, advance, None):
            if failure := outcome.failure:
                progress.note(f"a replicate's predictions are not there: {failure.kind}: {failure.reason}")
