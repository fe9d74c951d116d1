"""Points of a run, their estimated values, and the single-task points that others are compared
with.

A search value belongs to a trial that was chosen because it came out well on validation, so it is
too good on average; replicates on fresh seeds, measured on confirmation rows, are not. The two are
never compared: where any point has been confirmed, only confirmed points are candidates. The
search's own run is not one of the replicates, for the same reason.

Without rungs a trial is one point. In a search by rungs a trial is a point at each rung where none
other of its own is better: trade-offs may peak in the middle of training. Baselines and the current
production point are points, too.

A rung's values are those of the best state on validation up to the rung, by the mean over
objectives; a single-task model has each task at its own best. So a later rung seldom falls behind
in all objectives, but may in one. The learning rate follows the schedule of full length wherever a
training stops. To retrain a point, train on that schedule and stop there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bench.core.arrays import Floats
from bench.core.errors import UserError
from bench.core.objectives import Objective, key_on
from bench.core.records import (
    NETWORK,
    SHARE,
    TREES,
    Point,
    PointKind,
    Replicate,
    Scalar,
    TrialRecord,
)
from bench.core.rows import CONFIRM, SEARCH, TEST
from bench.core.several import models_in
from bench.ledger.pareto import nondominated
from bench.measure.predictions import name_of


def replicated(record: Point, key: str) -> list[float]:
    """A metric's values over the replicates that did not fail."""
    return [
        run.metrics[key] for run in record.replicates if run.failure is None and key in run.metrics
    ]


def confirmed(record: Point) -> bool:
    """Whether at least one replicate has a result."""
    return any(run.failure is None for run in record.replicates)


def candidates(points: Iterable[Point]) -> list[Point]:
    """The points that may be compared: the confirmed, or all where none is."""
    every = list(points)
    return [point for point in every if confirmed(point)] or every


def compared_split(points: Iterable[Point]) -> str:
    """The split that points are compared on: `CONFIRM` where any is confirmed, else `SEARCH`."""
    return CONFIRM if any(map(confirmed, candidates(points))) else SEARCH


def untested(points: Iterable[Point]) -> list[Point]:
    """The same points without what was measured on test: what decides sees no more."""

    def rest(values: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in values.items() if not key.startswith(f"{TEST}/")}

    return [
        replace(
            point,
            metrics=rest(point.metrics),
            replicates=tuple(
                replace(run, metrics=rest(run.metrics), resampled=rest(run.resampled))
                for run in point.replicates
            ),
        )
        for point in points
    ]


def estimate(record: Point, name: str, split: str = CONFIRM) -> float:
    """The value of a metric or a cost, by its name without split.

    Of a confirmed record it is the mean of its replicates on `split`; of another the search's value
    on validation, and none on test. NaN where nothing was measured.
    """
    if confirmed(record):
        values = replicated(record, key_on(name, split))
        return float(np.mean(values)) if values else record.metrics.get(name, np.nan)  # a cost
    return record.metrics.get(key_on(name, SEARCH if split == CONFIRM else split), np.nan)


def estimates(
    records: Sequence[Point], objectives: Sequence[Objective], split: str = CONFIRM
) -> Floats:
    """Values (N, M) of N trials on M objectives, in natural units; see `estimate`."""
    rows = [
        [estimate(record, objective.name, split) for objective in objectives] for record in records
    ]
    return np.array(rows, dtype=float).reshape(len(records), len(objectives))


BASELINE = "single_task"
TWIN: PointKind = "twin"
"""The kind of a single-task point with the settings of a trial that shares, see
`bench.search.confirm.twins`.
"""


def best(points: Sequence[Point], objective: Objective) -> Point | None:
    """The tuned point with the best estimate of one objective, of equals the first trial, at its
    longest.

    None without a finite one.
    """
    comparable = [
        point for point in _tuned(points) if math.isfinite(estimate(point, objective.name))
    ]

    def merit(point: Point) -> tuple[float, float, int]:
        number = math.inf if point.number is None else point.number
        return objective.sign * estimate(point, objective.name), -number, len(point.rungs)

    return max(comparable, key=merit, default=None)


def baselines(points: Sequence[Point], objectives: Sequence[Objective]) -> dict[str, Point]:
    """The best single-task point of each objective by its name.

    Where any point is confirmed, a baseline is a confirmed single-task point. An objective that
    none of them has measured is left out.
    """
    single = [point for point in _tuned(points) if point.sharing == BASELINE or point.baseline]
    by_objective = {objective.name: best(single, objective) for objective in objectives}
    return {name: point for name, point in by_objective.items() if point is not None}


def _tuned(points: Sequence[Point]) -> list[Point]:
    """Trials and twins: what was trained once to be compared on validation."""
    return candidates(point for point in points if point.number is not None or point.kind == TWIN)


def network_that_shares(point: Point, points: Iterable[Point]) -> Point | None:
    """The network of a point, if it shares: itself, or that of a blend; None of other models."""
    network: Point | None = point
    if point.kind == "blend":
        network = next((each for each in points if each.id == point.config[NETWORK]), None)
    if network is None or "sharing.kind" not in network.config or network.sharing == BASELINE:
        return None
    return network


def twin_of(point: Point, points: Iterable[Point]) -> Point | None:
    """The single-task point with the settings of one that shares."""
    single = (each for each in points if each.sharing == BASELINE and each.kind != BASELINE)
    return next((each for each in single if each.unshared == point.unshared), None)


def labelled(twin: Point, trials: Iterable[Point]) -> Point:
    """A twin with the number of the first trial that shares and has its settings."""
    numbers = [
        each.number
        for each in trials
        if each.sharing != BASELINE and each.unshared == twin.unshared
    ]
    return replace(twin, label=str(numbers[0]) if numbers else "")


def composite(points: Sequence[Point], objectives: Sequence[Objective]) -> Point | None:
    """The point `single_task`, which has each task's metrics from the single-task point that is
    best in the task.

    That point is chosen by the search's own value of the task's first objective, among the
    confirmed where any is: no replicate is both chosen by and counted. The k-th replicate joins
    replicates of one seed. A single-task point holds a model of its own for each of T tasks, all of
    one size: a task's part of a cost is one T-th of the point's, and the composite's cost is the
    sum of its tasks' parts.

    Returns:
        None where a task has no single-task point, or the points share no seed. Its configuration
        names each task's point by its id, as `single_task.<task>`.
    """
    sources = sources_of(points, objectives)
    runs = {task: _by_seed(point) for task, point in sources.items()}
    seeds = [
        seed for seed in next(iter(runs.values()), {}) if all(seed in own for own in runs.values())
    ]
    if not seeds:
        return None
    named: dict[str, Scalar] = {f"{BASELINE}.{task}": point.id for task, point in sources.items()}
    return Point(
        kind="single_task",
        config={"sharing.kind": BASELINE, **named},
        architecture=BASELINE,
        metrics=_joined({task: point.metrics for task, point in sources.items()}),
        replicates=tuple(
            _replicate(at, {task: own[seed] for task, own in runs.items()})
            for at, seed in enumerate(seeds, 1)
        ),
    )


def sources_of(points: Sequence[Point], objectives: Sequence[Objective]) -> dict[str, Point]:
    """The single-task point that the composite has each task from; empty where a task has none."""
    single = candidates(point for point in points if point.sharing == BASELINE or point.baseline)
    by_id, sources = {point.id: point for point in single}, dict[str, Point]()
    for objective in objectives:
        task = objective.name.partition(".")[0]
        if objective.is_metric and task not in sources:
            if (trial := best([point.unconfirmed for point in single], objective)) is None:
                return {}
            sources[task] = by_id[trial.id]
    return sources


def source_ids(single: Point) -> list[str]:
    """Ids of the points that a composite's models come from, each once."""
    prefix = f"{BASELINE}."
    return sorted({str(of) for key, of in single.config.items() if key.startswith(prefix)})


def kept_names(sources: Mapping[str, Point], tasks: Sequence[str], seed: int) -> list[str] | None:
    """For each task the name of the replicate that the composite's predictions are from: for
    `predictions.joined`.

    A task without an objective goes with the first that has one.

    Returns:
        None where a source has no replicate of that seed.
    """
    names = []
    for task in tasks:
        point = sources.get(task) or next(iter(sources.values()), None)
        run = None if point is None else _by_seed(point).get(seed)
        if point is None or run is None:
            return None
        names.append(name_of(point.training, run.replicate))
    return names


def _by_seed(point: Point) -> dict[int, Replicate]:
    return {run.seed: run for run in point.replicates if not run.failure}


def _replicate(number: int, runs: Mapping[str, Replicate]) -> Replicate:
    resampled = {
        key: moved
        for task, run in runs.items()
        for key, moved in run.resampled.items()
        if _task_of(key) == task
    }
    metrics = _joined({task: run.metrics for task, run in runs.items()})
    first = next(iter(runs.values()))
    return replace(first, replicate=number, metrics=metrics, until=None, resampled=resampled)


def _joined(metrics: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Each task's own metrics of its point, and the sum of the tasks' parts of costs."""
    sums: dict[str, float] = {}
    for task, own in metrics.items():
        tasks = max(1, len({_task_of(key) for key in own if not key.startswith("cost/")}))
        for key, value in own.items():
            if key.startswith("cost/"):
                sums[key] = sums.get(key, 0.0) + value / tasks
            elif _task_of(key) == task:
                sums[key] = value
    return sums


def _task_of(key: str) -> str:
    return key.partition("/")[2].partition(".")[0]


def points(records: Iterable[TrialRecord], objectives: Sequence[Objective]) -> list[Point]:
    """All points of trials, by number and then by length."""
    ordered = sorted(records, key=lambda record: record.number)
    return [
        point for record in ordered if record.measured for point in _points_of(record, objectives)
    ]


def searched_points(records: Iterable[TrialRecord], objectives: Sequence[Objective]) -> list[Point]:
    """The same as the search left them: without what confirmation found, be it whole or in part."""
    return points((replace(record, replicates=()) for record in records), objectives)


def points_of_run(
    records: Iterable[TrialRecord], others: Sequence[Point], objectives: Sequence[Objective]
) -> list[Point]:
    """All points of a run: those of trials, then the best single-task models together, then
    `others`.

    Args:
        others: baselines and the current point, with their replicates. Of several of one id the
            last counts: what a baseline is derived from moved when the search went on.
    """
    trials = points(records, objectives)
    others = [labelled(each, trials) if each.kind == TWIN else each for each in others]
    single = composite([*trials, *(each for each in others if each.kind == TWIN)], objectives)
    latest = {point.id: point for point in (single, *others) if point is not None}
    return [*trials, *latest.values()]


def _points_of(record: TrialRecord, objectives: Sequence[Objective]) -> list[Point]:
    """Those of one trial: non-dominated among its own by what the search saw, the longest of
    equals; or confirmed.

    Costs belong to the model, however long it was trained. A latency comes out differently each
    time that it is measured, which must not make a point; so metrics alone are compared.
    """
    own = list(record.points)
    if len(own) == 1:
        return own
    metrics = [objective for objective in objectives if objective.is_metric]
    values = np.array(
        [[point.metrics.get(each.key(SEARCH), np.nan) for each in metrics] for point in own]
    )
    keep = nondominated(values, metrics)
    for rung in range(len(own) - 1):
        keep[rung] &= not (values[rung + 1 :] == values[rung]).all(axis=1).any()
    if not keep.any():
        keep[-1] = True  # nothing finite: it is listed as it is
    return [point for point, kept in zip(own, keep, strict=True) if kept or point.replicates]


def kind_of(config: Mapping[str, Scalar]) -> str:
    """The kind of model that a configuration of the current point is of: its way of sharing,
    `trees` or `composite`.
    """
    trees = all(name.startswith("trees.") for name in config)
    return str(config.get("sharing.kind", "trees" if trees else "composite"))


def parts_of(
    point: Point, points: Sequence[Point], tasks: Sequence[str]
) -> list[tuple[Point, tuple[float, ...]]]:
    """The points that are trained for good where `point` is deployed, and the share of each by
    task.

    Most points are that themselves. The best single-task models have each task from one point, a
    blend mixes two.

    Raises:
        UserError: the point is a column of the log, or a part is no point of the run any more.
    """
    if several := models_in(point.config):  # an ensemble, or the current point
        return [
            (replace(point, config=own), tuple(shares[each] for each in tasks))
            for own, shares in several
        ]
    by_id = {each.id: each for each in points}
    if point.kind == BASELINE:
        prefix = f"{BASELINE}."
        sources = {
            key.removeprefix(prefix): str(of)
            for key, of in point.config.items()
            if key.startswith(prefix)
        }
        first = next(iter(sources.values()))  # of a task without an objective
        shares = {
            id: tuple(float(sources.get(task, first) == id) for task in tasks)
            for id in source_ids(point)
        }
    elif point.kind == "blend":
        network = tuple(float(str(point.config[f"{SHARE}{task}"])) for task in tasks)
        trees = tuple(1 - share for share in network)
        shares = {str(point.config[NETWORK]): network, str(point.config[TREES]): trees}
    else:
        by_id, shares = {point.id: point}, {point.id: (1.0,) * len(tasks)}
    for id in shares:
        if id not in by_id:
            raise UserError(
                f"expected '{id}' among the run's points, as a part of {point.name}, found none"
            )
        if not by_id[id].config:
            raise UserError(
                f"{point.name} has no configuration that could be trained; pick a model with "
                "--policy FILE"
            )
    return [(by_id[id], own) for id, own in shares.items() if any(own)]
