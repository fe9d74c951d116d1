"""The best single-task model of each task as one competitor: what a deployment of separate models would give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.frontier.estimates import candidates
from bench.frontier.gains import BASELINE, best
from bench.frontier.points import as_seen, key_of
from bench.objectives import Objective
from bench.predictions import name_of
from bench.records import COMPOSITE, Replicate, Scalar, TrialRecord


def composite(points: Sequence[TrialRecord], objectives: Sequence[Objective]) -> TrialRecord | None:
    """A record that has each task's metrics from the single-task point that is best in the task.

    That point is chosen by the search's own value of the task's first objective, among the confirmed where any is: no
    replicate is both chosen by and counted. The k-th replicate joins replicates of one seed. A single-task point holds
    a model of its own for each of T tasks, all of one size: a task's part of a cost is one T-th of the point's, and
    the composite's cost is the sum of its tasks' parts.

    Returns:
        None where a task has no single-task point, or the points share no seed. Its configuration names each task's
        trial, as `single_task.<task>`.
    """
    sources = sources_of(points, objectives)
    runs = {task: _by_seed(point) for task, point in sources.items()}
    seeds = [seed for seed in next(iter(runs.values()), {}) if all(seed in own for own in runs.values())]
    if not seeds:
        return None
    trials: dict[str, Scalar] = {f"{BASELINE}.{task}": point.number for task, point in sources.items()}
    return TrialRecord(
        COMPOSITE,
        "completed",
        {},
        {"sharing.kind": BASELINE, **trials},
        BASELINE,
        _joined({task: point.metrics for task, point in sources.items()}),
        replicates=tuple(
            _replicate(at, {task: own[seed] for task, own in runs.items()}) for at, seed in enumerate(seeds, 1)
        ),
    )


def sources_of(points: Sequence[TrialRecord], objectives: Sequence[Objective]) -> dict[str, TrialRecord]:
    """The single-task point that the composite has each task from; empty where a task has none."""
    single = candidates(point for point in points if point.sharing == BASELINE or point.baseline)
    by_key, sources = {key_of(point): point for point in single}, dict[str, TrialRecord]()
    for objective in objectives:
        task = objective.name.partition(".")[0]
        if objective.is_metric and task not in sources:
            if (found := best(as_seen(single), objective)) is None:
                return {}
            sources[task] = by_key[key_of(found)]
    return sources


def kept_names(sources: Mapping[str, TrialRecord], tasks: Sequence[str], seed: int) -> list[str] | None:
    """For each task the name of the replicate that the composite's predictions are from: for `predictions.joined`.

    A task without an objective goes with the first that has one.

    Args:
        sources: see `sources_of`.
        seed: of the composite's replicate.

    Returns:
        None where a source has no replicate of that seed.
    """
    names = []
    for task in tasks:
        point = sources.get(task) or next(iter(sources.values()), None)
        run = None if point is None else _by_seed(point).get(seed)
        if point is None or run is None:
            return None
        names.append(name_of(point.number, run.until, point.config, run.replicate))
    return names


def _by_seed(point: TrialRecord) -> dict[int, Replicate]:
    """Its replicates that did not fail."""
    return {run.seed: run for run in point.replicates if not run.failure}


def _replicate(number: int, runs: Mapping[str, Replicate]) -> Replicate:
    resampled = {
        key: moved for task, run in runs.items() for key, moved in run.resampled.items() if _task_of(key) == task
    }
    metrics = _joined({task: run.metrics for task, run in runs.items()})
    first = next(iter(runs.values()))
    return replace(first, replicate=number, metrics=metrics, until=None, resampled=resampled)


def _joined(metrics: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Each task's own metrics of its point, and the sum of the tasks' parts of costs."""
    found: dict[str, float] = {}
    for task, own in metrics.items():
        tasks = max(1, len({_task_of(key) for key in own if not key.startswith("cost/")}))
        for key, value in own.items():
            if key.startswith("cost/"):
                found[key] = found.get(key, 0.0) + value / tasks
            elif _task_of(key) == task:
                found[key] = value
    return found


def _task_of(key: str) -> str:
    return key.partition("/")[2].partition(".")[0]
