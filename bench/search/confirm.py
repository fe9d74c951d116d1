"""Retraining of chosen points on fresh seeds: a race in which replicates go where the front is least certain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bench.frontier.allocation import next_round
from bench.frontier.samples import sample
from bench.predictions import path_of
from bench.progress import Advance, Progress, Silent
from bench.records import Job, TrialRecord
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
    points: Sequence[TrialRecord],
    race: Race,
    on_record: OnRecord,
    progress: Progress | None = None,
    baselines: Sequence[TrialRecord] = (),
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
        points: see `bench.frontier.points`; several may be of one trial.
        on_record: called with each trial whose replicates of a round were completed here.
        baselines: see `bench.search.baselines`.

    Raises:
        ValueError: a point without a result.
    """
    progress = progress or Silent()
    for point in points:
        if not point.measured:
            raise ValueError(f"expected a completed trial to confirm, found trial {point.number} {point.state}")
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
    points: Sequence[TrialRecord],
    baselines: Sequence[TrialRecord],
    race: Race,
    total: int,
) -> Iterator[tuple[list[Job], int]]:
    """Each round's jobs, and how many of it are stored already. When it goes on, the study has their outcomes."""
    numbering = Numbering(study)
    keys = [objective.key(CONFIRM) for objective in study.objectives]
    chosen = [point for point in [*points, *baselines] for _ in range(race.replicates)]
    left = total - len(points) * race.replicates
    while chosen:
        asked = numbering.more(chosen)
        jobs = [
            replace(make_job(point.number, number, point.config, REPLICATED), until=point.until)
            for point, number, stored in asked
            if not stored
        ]
        yield jobs, len(asked) - len(jobs)
        known = study.replicates()
        samples = [sample(numbering.of(point, known.get(point.number, ())), keys) for point in points]
        chosen = [points[at] for at in next_round(samples, study.objectives, left, race.seed)] if left else []
        left -= len(chosen)


def _without_predictions(study: Study, make_job: MakeJob, points: Sequence[TrialRecord]) -> list[Job]:
    """The jobs of stored replicates whose files are gone."""
    numbering, found = Numbering(study), []
    for point in points:
        for each in numbering.stored(point):
            if each.failure is None:
                job = replace(make_job(point.number, each.replicate, point.config, REPLICATED), until=point.until)
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
        if number >= 0 and not left[number]:
            on_record(study.record(number))
