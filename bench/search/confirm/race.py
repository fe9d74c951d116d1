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

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from bench.core.objectives import Objective
from bench.core.records import Point, Replicate, TrialRecord
from bench.core.rows import CONFIRM, REPLICATED
from bench.core.system.progress import Progress, Silent
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
    measured = searched_points(records, objectives)
    values, at = estimates(measured, objectives), resolve_reference(objectives, reference)
    place = ranks(values, objectives)
    order: list[int] = []
    for rank in sorted(set(place.tolist()) - {UNRANKED}):
        if len(order) >= limit:
            break  # contributions are slow, most of all with five objectives
        members = np.flatnonzero(place == rank)
        gain = contributions(values[members], objectives, at)
        order += members[np.argsort(-gain, kind="stable")].tolist()
    chosen = {measured[i].id for i in order[:limit]}
    if single_task:
        chosen |= {baseline.id for baseline in baselines([*measured, *twins], objectives).values()}
    return [point for point in measured if point.id in chosen]


def members(
    records: Sequence[TrialRecord],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    many: int,
) -> list[Point]:
    """Returns the best `many` points of each balancing kind, by the search's values; single-task
    models are one kind.

    Best means the largest hypervolume of the point alone, one point a trial. Several points judge a
    kind better than one, which may be lucky.
    """
    families = _families(records, objectives, lambda point: point.balancing)
    best: list[Point] = []
    for _, own in sorted(families.items()):
        by_trial = {
            point.number: point for point in reversed(largest_first(own, objectives, reference))
        }
        best += list(reversed(by_trial.values()))[:many]
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
    families = _families(records, objectives, lambda point: point.sharing)
    known = {point.sharing for point in chosen}
    best: list[Point] = []
    for kind, own in sorted(families.items()):
        if kind not in known:
            longest = max(len(point.rungs) for point in own)
            own = [point for point in own if len(point.rungs) == longest]
            best += largest_first(own, objectives, reference)[:1]
    return best


def _families(
    records: Sequence[TrialRecord], objectives: Sequence[Objective], name: Callable[[Point], str]
) -> dict[str, list[Point]]:
    """Groups the search's points by family; single-task models are always one."""
    families: dict[str, list[Point]] = {}
    for point in searched_points(records, objectives):
        families.setdefault(BASELINE if point.sharing == BASELINE else name(point), []).append(
            point
        )
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
    at, values = resolve_reference(objectives, reference), estimates(points, objectives, split)
    volumes = [hypervolume(values[i : i + 1], objectives, at) for i in range(len(points))]
    return [points[i] for i in np.argsort([-volume for volume in volumes], kind="stable")]


SETTLED = 0.05
"""A point rests when its P(non-dominated) is within this distance of 0 or 1."""
POSTERIOR_DRAWS = 2000


def next_round(
    samples: Sequence[Evidence | None], objectives: Sequence[Objective], most: int, seed: int
) -> list[int]:
    """Returns the indices of the points that get the next replicates, most uncertain first; empty
    ends the race.

    Takes the half of the uncertain points with the largest index, at most `most`: their trainings
    run side by side, and few are spent on points that the round would settle. The resting point
    with the fewest replicates gets one, too. A point whose trainings all failed has None in place
    of samples and is left out.
    """
    racing = [at for at, each in enumerate(samples) if each]
    known = [replace(each, moves=each.moves[:, :0]) for each in samples if each]
    chances = p_nondominated(known, objectives, seed, POSTERIOR_DRAWS)
    if chances is None:  # too few replicates to estimate the seeds' variance
        return racing[:most]
    n = np.array([len(each) for each in known])
    index = chances * (1 - chances) / (n * (n + 1))
    order, resting = np.argsort(-index, kind="stable"), np.minimum(chances, 1 - chances) < SETTLED
    unsure = [at for at in order if not resting[at]]
    rests = (
        sorted((at for at in order if resting[at]), key=lambda at: n[at])[:1]
        if unsure and most > 1
        else []
    )
    chosen = unsure[: min(-(-len(unsure) // 2), most - len(rests))]
    return [racing[at] for at in [*chosen, *rests]]


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
    every = {point.training: point for point in [*points, *baselines]}
    total = max(budget, len(points) * replicates)
    runs, left = total + len(baselines) * replicates, total - len(points) * replicates
    keys = [objective.key(CONFIRM) for objective in study.objectives]
    _keep_again(study, executor, make_job, every.values(), progress)
    stored = {
        (name, each.replicate)
        for name, own in study.replicates().items()
        if name in every
        for each in own
    }
    asked: Counter[str] = Counter()
    # All first replicates come before any second one, so the pace soon predicts the remaining time.
    # Trees take longest and go first, so that no worker waits for them at the end.
    longest_first = sorted(every.values(), key=lambda point: point.kind != "trees")
    chosen = [point for _ in range(replicates) for point in longest_first]
    done = sum(
        number <= replicates for _, number in stored
    )  # an earlier, smaller search may have left more
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
            samples = [evidence_of(_with(point, known, asked), keys) for point in points]
            chosen = (
                [points[at] for at in next_round(samples, study.objectives, left, seed)]
                if left
                else []
            )
            left -= len(chosen)


def _with(
    point: Point, known: Mapping[str, Sequence[Replicate]], asked: Mapping[str, int]
) -> Point:
    own = known.get(point.training, ())
    return replace(
        point, replicates=tuple(each for each in own if each.replicate <= asked[point.training])
    )


def _keep_again(
    study: Study, executor: Executor, make_job: MakeJob, points: Iterable[Point], progress: Progress
) -> None:
    """Retrains stored replicates whose predictions are damaged or gone, for these files only."""
    stored, jobs = study.replicates(), []
    for point in points:
        for each in stored.get(point.training, ()):
            if each.failure is None:
                job = make_job(point, each.replicate, REPLICATED)
                paths = [path_of(job, split) for split in job.splits]
                jobs += (
                    [job] if any(path is not None and not is_whole(path) for path in paths) else []
                )
    if not jobs:
        return
    progress.note(
        f"kept predictions of {len(jobs)} replicates are damaged or gone: these are trained again "
        "for them"
    )
    with progress.task("predictions again", len(jobs), "replicates") as advance:
        for outcome in outcomes(executor, jobs, advance, None):
            if failure := outcome.failure:
                progress.note(
                    f"a replicate's predictions are not there: {failure.kind}: {failure.reason}"
                )
