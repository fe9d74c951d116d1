"""Tuning of baselines before they are confirmed; trees have as many tries as the search gave to a kind of sharing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.errors import UserError
from bench.progress import Progress
from bench.records import NAMES, Kind, Point, Scalar, TrialRecord
from bench.rows import SEARCH
from bench.search.driver import MakeJob, outcomes
from bench.search.executors.base import Executor
from bench.search.study import Study
from bench.seeds import derive
from bench.training.tree_settings import best_by_task, configurations


def tries_of(lengths: float, kinds: int) -> int:
    """How many configurations of trees are tried: as many trainings of full length as a kind of sharing had on average.

    Args:
        lengths: full lengths that the search trained.
        kinds: of sharing that it trained.
    """
    return max(1, int(lengths / max(1, kinds)))


def full_lengths(some: Sequence[TrialRecord], records: Sequence[TrialRecord]) -> float:
    """How many trainings of full length some of a search's trials took; one below it counts by its part."""
    full = max((record.rungs[-1].samples for record in records if record.rungs), default=1)
    return sum(record.rungs[-1].samples if record.rungs else full for record in some) / full


def measured(
    study: Study,
    executor: Executor,
    make_job: MakeJob,
    kind: Kind,
    asked: Sequence[dict[str, Scalar]],
    progress: Progress,
) -> list[dict[str, float]]:
    """Metrics on validation of a baseline's configurations, in their order; empty where one failed.

    Each is trained once, all on one seed, and kept with the study; none is trained twice. All outcomes are known when
    this returns, so what is chosen by them is the same with any number of workers.

    Args:
        kind: of the baseline.
    """
    title = f"tuning {NAMES[kind]}"
    points = [Point(kind, config, kind) for config in asked]
    every = {point.training: point for point in points}
    left = [point for training, point in every.items() if training not in study.tries]
    with progress.task(title, len(every), "tries", len(every) - len(left)) as advance:
        jobs = []
        for point in left:
            try:
                jobs.append(make_job(point, 0, (SEARCH,)))
            except UserError as error:
                progress.note(f"{title}: a configuration is left out: {error}")
        for outcome in outcomes(executor, jobs, advance, study):
            if outcome.failure:
                progress.note(f"{title}: a try failed ({outcome.failure.kind}): {outcome.failure.reason}")
    return [study.tries.get(point.training, {}) for point in points]


def tuned(
    study: Study,
    executor: Executor,
    make_job: MakeJob,
    baselines: Sequence[Point],
    tasks: Sequence[str],
    tries: int,
    seed: int,
    progress: Progress,
) -> list[Point]:
    """The baselines, trees with settings by task: those that validation found best of so many tries.

    The defaults are the first try. Where they are the only one, nothing is trained.

    Args:
        seed: of the run, for the configurations.
    """
    if all(point.kind != "trees" for point in baselines):
        return list(baselines)
    asked = configurations(tasks, tries, derive(seed, "trees"))
    metrics = measured(study, executor, make_job, "trees", asked, progress) if tries > 1 else [{}]
    chosen = best_by_task(tasks, list(zip(asked, metrics, strict=True)))
    return [replace(each, config=chosen) if each.kind == "trees" else each for each in baselines]
