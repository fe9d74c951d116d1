"""Retraining of chosen points on fresh seeds: a race in which replicates go where the front is least certain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.frontier.allocation import next_round
from bench.frontier.samples import sample
from bench.predictions import path_of
from bench.progress import Advance, Progress, Silent
from bench.records import Job, Point
from bench.rows import CONFIRM, REPLICATED
from bench.search.driver import MakeJob, OnRecord, closing_on_error, outcomes
from bench.search.executors.base import Executor
from bench.search.numbering import Numbering
from bench.search.study import Study


@dataclass(frozen=True)
class Race:
    """How many replicates there are.

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

    In rounds: the first has `race.replicates` of every point and every baseline, later ones those that
    `bench.frontier.allocation` asks for by confirmation rows alone, until it asks for none or the budget is used up. A
    round begins when all outcomes of the one before are known, and knows no others; so the race is the same with any
    number of workers, and after any interruption. Test is measured with each replicate and read by nothing here.

    The k-th replicate of every point and baseline has the same seed, see `Numbering`.

    A point short of full length is trained to where it is, on the schedule of full length: as the search saw it.

    A stored replicate whose predictions are to be kept and are gone is trained again for them alone: what is stored of
    it stays.

    Args:
        points: of trials, see `bench.frontier.points`; several may be of one trial.
        on_record: called with each trial whose replicates of a round were completed here.
        baselines: all other points, see `bench.search.baselines`; the current point is one of them.
    """
    progress = progress or Silent()
    if not race.replicates:
        return
    total = max(race.budget, len(points) * race.replicates)
    runs = total + len(baselines) * race.replicates
    rounds = _rounds(study, make_job, points, baselines, race, total)
    with closing_on_error(executor):
        _keep_again(executor, _without_predictions(study, make_job, [*points, *baselines]), progress)
        jobs, known = next(rounds, ([], 0))
        done = known
        while known and not jobs:  # of an earlier execution; how fast it went says nothing of now
            jobs, known = next(rounds, ([], 0))
            done += known
        with progress.task("confirming", runs, "replicates", done) as advance:
            _carry_out(study, executor, jobs, on_record, advance)
            for more, known in rounds:
                advance(known)
                _carry_out(study, executor, more, on_record, advance)


def _rounds(
    study: Study,
    make_job: MakeJob,
    points: Sequence[Point],
    baselines: Sequence[Point],
    race: Race,
    total: int,
) -> Iterator[tuple[list[Job], int]]:
    """Each round's jobs, and how many of it are stored already. When it goes on, the study has their outcomes."""
    numbering = Numbering(study.replicates())
    keys = [objective.key(CONFIRM) for objective in study.objectives]
    # The first replicate of all before the second of any: so how fast it goes tells early how long the rest takes.
    chosen = [point for _ in range(race.replicates) for point in [*points, *baselines]]
    left = total - len(points) * race.replicates
    while chosen:
        asked = numbering.more(chosen)
        jobs = [make_job(point, number, REPLICATED) for point, number, stored in asked if not stored]
        yield jobs, len(asked) - len(jobs)
        known = study.replicates()
        samples = [sample(numbering.of(point, known), keys) for point in points]
        chosen = [points[at] for at in next_round(samples, study.objectives, left, race.seed)] if left else []
        left -= len(chosen)


def _without_predictions(study: Study, make_job: MakeJob, points: Sequence[Point]) -> list[Job]:
    """The jobs of stored replicates whose files are gone."""
    stored, found = study.replicates(), []
    for point in points:
        for each in stored.get(point.training, ()):
            if each.failure is None:
                job = make_job(point, each.replicate, REPLICATED)
                paths = [path for split in job.splits if (path := path_of(job, split)) is not None]
                found += [] if all(path.is_file() for path in paths) else [job]
    return found


def _keep_again(executor: Executor, jobs: Sequence[Job], progress: Progress) -> None:
    if not jobs:
        return
    progress.note(f"kept predictions of {len(jobs)} replicates are gone: these are trained again for them")
    for job in jobs:
        executor.submit(job)
    with progress.task("predictions again", len(jobs), "replicates") as advance:
        for _ in jobs:
            if failure := executor.next().failure:
                progress.note(f"a replicate's predictions are not there: {failure.kind}: {failure.reason}")
            advance(1)


def _carry_out(study: Study, executor: Executor, jobs: Sequence[Job], on_record: OnRecord, advance: Advance) -> None:
    left = Counter(job.trial for job in jobs)
    for outcome in outcomes(study, executor, jobs, advance):
        number = outcome.job.trial
        left[number] -= 1
        if number is not None and not left[number]:
            on_record(study.record(number))
