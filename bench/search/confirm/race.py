"""Selects the points to retrain on fresh seeds, and retrains them where the front is least certain.

A point's index is p (1 - p) (1/n - 1/(n + 1)), with n replicates: p (1 - p) measures how uncertain
its place is, the rest by how much one more replicate reduces its mean's variance, in units of the
seeds' variance. p is P(non-dominated), without the sampling error of rows, which replicates cannot
reduce.

A point with a settled place rests. P is computed again in each round, so it may come back; and each
round one resting point, the one with the fewest replicates, gets another: its first may have been
unlucky.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter

import numpy as np

from bench.core.objectives import Objective
from bench.core.records import Job, Point, Replicate, TrialRecord
from bench.core.rows import CONFIRM, REPLICATED
from bench.core.system.progress import Advance, Progress, Silent
from bench.ledger.errors.evidence import Evidence, evidence_of
from bench.ledger.errors.posterior import p_nondominated
from bench.ledger.pareto import UNRANKED, contributions, hypervolume, ranks, resolve_reference
from bench.ledger.points import BASELINE, baselines, estimates, searched_points
from bench.measure.predictions import is_whole, path_of
from bench.search.driver import MakeJob, OnRecord, outcomes
from bench.search.executors.base import Executor
from bench.search.study import Study


def shortlist(
    records: Sequence[TrialRecord],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    limit: int,
    single_task: bool = True,
    twins: Sequence[Point] = (),
) -> list[Point]:
    """Selects the points to confirm, by the search's values, in order of trial and length; a trial
    may have several.

    Takes the front and then the next ranks, up to `limit`; within a rank by hypervolume
    contribution to it, then by trial. Adds each objective's single-task baseline: a gain over a
    lucky baseline would otherwise go unnoticed. One that a twin beats is not added, as the twin is
    confirmed in its place. Replicates are ignored, so an interrupted confirmation continues with
    the same points.
    """
    points = searched_points(records, objectives)
    chosen = [points[row] for row in _front_first(points, objectives, reference, limit)]
    if single_task:
        chosen += baselines([*points, *twins], objectives).values()
    chosen_ids = {point.id for point in chosen}
    return [point for point in points if point.id in chosen_ids]


def _front_first(
    points: Sequence[Point],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    limit: int,
) -> list[int]:
    """The first `limit` rows by rank, then by contribution to the rank's hypervolume."""
    values = estimates(points, objectives)
    reference = resolve_reference(objectives, reference)
    rank_of = ranks(values, objectives)
    order: list[int] = []
    for rank in sorted(set(rank_of.tolist()) - {UNRANKED}):
        if len(order) >= limit:
            break  # contributions are slow, most of all with five objectives
        rows = np.flatnonzero(rank_of == rank)
        gains = contributions(values[rows], objectives, reference)
        order += rows[np.argsort(-gains, kind="stable")].tolist()
    return order[:limit]


def members(
    records: Sequence[TrialRecord],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    count: int,
) -> list[Point]:
    """Returns the best `count` points of each balancing kind, by the search's values; single-task
    models are one kind.

    Best means the largest hypervolume of the point alone, one point a trial. Several points judge a
    kind better than one, which may be lucky.
    """
    families = _families(records, objectives, attrgetter("balancing"))
    best: list[Point] = []
    for _, points in sorted(families.items()):
        best_of_trial: dict[int | None, Point] = {}
        for point in reversed(largest_first(points, objectives, reference)):
            best_of_trial[point.number] = point
        best += list(reversed(best_of_trial.values()))[:count]
    return best


def kinds(
    records: Sequence[TrialRecord],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    chosen: Collection[Point],
) -> list[Point]:
    """Returns the best point of each kind of sharing that has none in `chosen`, by the search's
    values.

    Best means the largest hypervolume of the point alone, among the points that were trained
    longest.
    """
    families = _families(records, objectives, attrgetter("sharing"))
    chosen_kinds = {point.sharing for point in chosen}
    best: list[Point] = []
    for kind, points in sorted(families.items()):
        if kind not in chosen_kinds:
            rungs = max(len(point.rungs) for point in points)
            longest = [point for point in points if len(point.rungs) == rungs]
            best += largest_first(longest, objectives, reference)[:1]
    return best


def _families(
    records: Sequence[TrialRecord],
    objectives: Sequence[Objective],
    family_of: Callable[[Point], str],
) -> dict[str, list[Point]]:
    """Groups the search's points by family; single-task models are always one."""
    families: defaultdict[str, list[Point]] = defaultdict(list)
    for point in searched_points(records, objectives):
        family = BASELINE if point.sharing == BASELINE else family_of(point)
        families[family].append(point)
    return families


def largest_first(
    points: Sequence[Point],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    split: str = CONFIRM,
) -> list[Point]:
    """Sorts points stably by the hypervolume of each alone, largest first; confirmed ones by their
    means on `split`.
    """
    reference = resolve_reference(objectives, reference)
    volumes = np.empty(len(points))
    for row, values in enumerate(estimates(points, objectives, split)):
        volumes[row] = hypervolume(values[None], objectives, reference)
    order = np.argsort(-volumes, kind="stable").tolist()
    return [points[row] for row in order]


SETTLED = 0.05
"""A point rests when its P(non-dominated) is within this distance of 0 or 1."""
POSTERIOR_DRAWS = 2000


def next_round(
    samples: Sequence[Evidence | None], objectives: Sequence[Objective], limit: int, seed: int
) -> list[int]:
    """Returns the indices of the points that get the next replicates, most uncertain first; empty
    ends the race.

    Takes the half of the uncertain points with the largest index, at most `limit`: their trainings
    run side by side, and few are spent on points that the round would settle. The resting point
    with the fewest replicates gets one, too. A point whose trainings all failed has None in place
    of samples and is left out.
    """
    racing: list[int] = []
    without_row_error: list[Evidence] = []
    for index, sample in enumerate(samples):
        if sample:
            racing.append(index)
            without_row_error.append(_without_row_error(sample))
    chances = p_nondominated(without_row_error, objectives, seed, POSTERIOR_DRAWS)
    if chances is None:  # too few replicates to estimate the seeds' variance
        return racing[:limit]
    n = np.array(list(map(len, without_row_error)))
    order = np.argsort(-chances * (1 - chances) / (n * (n + 1)), kind="stable")
    rests = np.minimum(chances, 1 - chances)[order] < SETTLED
    uncertain, resting = order[~rests], order[rests]
    extra = resting[:0]
    if len(uncertain) and len(resting) and limit > 1:
        extra = resting[[n[resting].argmin()]]
    half = math.ceil(len(uncertain) / 2)
    chosen = uncertain[: min(half, limit - len(extra))]
    return [racing[row] for row in np.concatenate([chosen, extra])]


def _without_row_error(sample: Evidence) -> Evidence:
    return replace(sample, moves=sample.moves[:, :0])


def confirm(
    study: Study,
    executor: Executor,
    make_job: MakeJob,
    points: Sequence[Point],
    replicates: int,
    on_record: OnRecord,
    progress: Progress | None = None,
    baselines: Sequence[Point] = (),
    budget: int = 0,
    seed: int = 0,
) -> None:
    """Retrains points on fresh seeds, measures them on validation, confirmation rows and test;
    trains none twice.

    The first round trains `replicates` of every point and baseline. Later rounds train the points
    of `next_round`, by confirmation rows only, until there are none or the budget is spent. A round
    starts when all outcomes of the previous one are known, so the race does not depend on the
    number of workers or on interruptions. Test is measured with each replicate, but not read here.

    Replicates of a point are numbered from 1. The k-th of every point has the same seed, so points
    are compared in pairs. A point short of full length is trained to its length on the schedule of
    full length, as in the search. A stored replicate whose kept predictions are damaged or gone is
    trained again for these files; its stored result stays.

    Args:
        points: of trials, several may be of one.
        replicates: in the first round; 0 confirms nothing.
        on_record: called with each trial whose replicates of a round were completed here.
        baselines: all other points, see `bench.search.confirm.baselines`; the current point is one
            of them.
        budget: replicates of all points together, the first round included; baselines come on top.
    """
    progress = progress or Silent()
    if not replicates:
        return
    by_training = {point.training: point for point in [*points, *baselines]}
    _keep_again(study, executor, make_job, by_training.values(), progress)
    stored = _stored(study, by_training)
    first_round = len(points) * replicates
    budget = max(budget, first_round)
    budget_left = budget - first_round
    keys = [objective.key(CONFIRM) for objective in study.objectives]
    # All first replicates come before any second one, so the pace soon predicts the remaining time.
    # Trees take longest and go first, so that no worker waits for them at the end.
    chosen = sorted(by_training.values(), key=lambda point: point.kind != "trees") * replicates
    asked: Counter[str] = Counter()
    # An earlier, smaller search may have trained more replicates than the first round.
    done = sum(number <= replicates for _, number in stored)
    total = budget + len(baselines) * replicates
    with progress.task("confirming", total, "replicates", done) as advance:
        while chosen:
            jobs = _jobs_of_round(chosen, asked, stored, make_job)
            _run_round(study, executor, jobs, on_record, advance)
            if not budget_left:
                break
            stored_replicates = study.replicates()
            samples = []
            for point in points:
                replicated = _replicated(point, stored_replicates, asked)
                samples.append(evidence_of(replicated, keys))
            rows = next_round(samples, study.objectives, budget_left, seed)
            chosen = [points[row] for row in rows]
            budget_left -= len(chosen)


def _stored(study: Study, trainings: Collection[str]) -> set[tuple[str, int]]:
    """Training and number of each stored replicate of these trainings."""
    stored: set[tuple[str, int]] = set()
    for training, replicates in study.replicates().items():
        if training in trainings:
            stored |= {(training, replicate.replicate) for replicate in replicates}
    return stored


def _jobs_of_round(
    chosen: Sequence[Point],
    asked: Counter[str],
    stored: Collection[tuple[str, int]],
    make_job: MakeJob,
) -> list[Job]:
    """Jobs of the chosen points' next replicates that are not stored; counts them in `asked`."""
    jobs = []
    for point in chosen:
        asked[point.training] += 1
        number = asked[point.training]
        if (point.training, number) not in stored:
            jobs.append(make_job(point, number, REPLICATED))
    return jobs


def _run_round(
    study: Study,
    executor: Executor,
    jobs: Sequence[Job],
    on_record: OnRecord,
    advance: Advance,
) -> None:
    missing = Counter(job.trial for job in jobs)
    for outcome in outcomes(executor, jobs, advance, study):
        trial = outcome.job.trial
        missing[trial] -= 1
        if trial is not None and not missing[trial]:
            on_record(study.record(trial))


def _replicated(
    point: Point, by_training: Mapping[str, Sequence[Replicate]], asked: Mapping[str, int]
) -> Point:
    """The point with its replicates that the race has asked for so far."""
    replicates = []
    for replicate in by_training.get(point.training, ()):
        if replicate.replicate <= asked[point.training]:
            replicates.append(replicate)
    return replace(point, replicates=tuple(replicates))


def _keep_again(
    study: Study, executor: Executor, make_job: MakeJob, points: Iterable[Point], progress: Progress
) -> None:
    """Retrains stored replicates whose predictions are damaged or gone, for these files only."""
    by_training = study.replicates()
    jobs = []
    for point in points:
        for replicate in by_training.get(point.training, ()):
            if replicate.failure is None:
                job = make_job(point, replicate.replicate, REPLICATED)
                if not _has_predictions(job):
                    jobs.append(job)
    if not jobs:
        return
    progress.note(
        f"kept predictions of {len(jobs)} replicates are damaged or gone: these are trained again "
        "for them"
    )
    with progress.task("predictions again", len(jobs), "replicates") as advance:
        for outcome in outcomes(executor, jobs, advance, None):
            failure = outcome.failure
            if failure:
                progress.note(
                    f"a replicate's predictions are not there: {failure.kind}: {failure.reason}"
                )


def _has_predictions(job: Job) -> bool:
    """Whether all predictions that a job keeps are whole."""
    for split in job.splits:
        path = path_of(job, split)
        if path is not None and not is_whole(path):
            return False
    return True
