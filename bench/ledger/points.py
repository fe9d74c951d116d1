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
from itertools import compress
from typing import TypeVar

import numpy as np

from bench.core.arrays import Floats
from bench.core.errors import UserError
from bench.core.objectives import Objective, key_on, only_metrics, values_in
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

ValueT = TypeVar("ValueT")


def replicated(record: Point, key: str) -> list[float]:
    """A metric's values over the replicates that did not fail."""
    values = []
    for replicate in record.replicates:
        if replicate.failure is None and key in replicate.metrics:
            values.append(replicate.metrics[key])
    return values


def confirmed(record: Point) -> bool:
    """Whether at least one replicate has a result."""
    return any(replicate.failure is None for replicate in record.replicates)


def candidates(points: Iterable[Point]) -> list[Point]:
    """The points that may be compared: the confirmed, or all where none is."""
    points = list(points)
    return [point for point in points if confirmed(point)] or points


def compared_split(points: Iterable[Point]) -> str:
    """The split that points are compared on: `CONFIRM` where any is confirmed, else `SEARCH`."""
    return CONFIRM if any(map(confirmed, candidates(points))) else SEARCH


def untested(points: Iterable[Point]) -> list[Point]:
    """The same points without what was measured on test: what decides sees no more."""
    return [_without_test(point) for point in points]


def _without_test(point: Point) -> Point:
    replicates = []
    for run in point.replicates:
        metrics, resampled = _keys_without_test(run.metrics), _keys_without_test(run.resampled)
        replicates.append(replace(run, metrics=metrics, resampled=resampled))
    metrics = _keys_without_test(point.metrics)
    return replace(point, metrics=metrics, replicates=tuple(replicates))


def _keys_without_test(values: Mapping[str, ValueT]) -> dict[str, ValueT]:
    return {key: value for key, value in values.items() if not key.startswith(f"{TEST}/")}


def estimate(record: Point, name: str, split: str = CONFIRM) -> float:
    """The value of a metric or a cost, by its name without split.

    Of a confirmed record it is the mean of its replicates on `split`; of another the search's value
    on validation, and none on test. NaN where nothing was measured.
    """
    if not confirmed(record):
        searched_split = SEARCH if split == CONFIRM else split
        return record.metrics.get(key_on(name, searched_split), np.nan)
    values = replicated(record, key_on(name, split))
    if not values:  # a cost
        return record.metrics.get(name, np.nan)
    return float(np.mean(values))


def estimates(
    records: Sequence[Point], objectives: Sequence[Objective], split: str = CONFIRM
) -> Floats:
    """Values (N, M) of N trials on M objectives, in natural units; see `estimate`."""
    values = np.empty((len(records), len(objectives)))
    for row, record in enumerate(records):
        for column, objective in enumerate(objectives):
            values[row, column] = estimate(record, objective.name, split)
    return values


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
    comparable = []
    for point in _tuned(points):
        if math.isfinite(estimate(point, objective.name)):
            comparable.append(point)

    def merit(point: Point) -> tuple[float, float, int]:
        number = math.inf if point.number is None else point.number
        return objective.sign * estimate(point, objective.name), -number, len(point.rungs)

    return max(comparable, key=merit, default=None)


def baselines(points: Sequence[Point], objectives: Sequence[Objective]) -> dict[str, Point]:
    """The best single-task point of each objective by its name.

    Where any point is confirmed, a baseline is a confirmed single-task point. An objective that
    none of them has measured is left out.
    """
    single = list(filter(is_single_task, _tuned(points)))
    by_objective = {}
    for objective in objectives:
        point = best(single, objective)
        if point is not None:
            by_objective[objective.name] = point
    return by_objective


def is_single_task(point: Point) -> bool:
    """Whether the models of a point share nothing."""
    return point.sharing == BASELINE or point.baseline


def _by_id(points: Iterable[Point]) -> dict[str, Point]:
    return {point.id: point for point in points}


def _tuned(points: Sequence[Point]) -> list[Point]:
    """Trials and twins: what was trained once to be compared on validation."""
    return candidates(point for point in points if point.number is not None or point.kind == TWIN)


def network_that_shares(point: Point, points: Iterable[Point]) -> Point | None:
    """The network of a point, if it shares: itself, or that of a blend; None of other models."""
    network: Point | None = point
    if point.kind == "blend":
        network = _by_id(points).get(str(point.config[NETWORK]))
    if network is None or "sharing.kind" not in network.config or network.sharing == BASELINE:
        return None
    return network


def twin_of(point: Point, points: Iterable[Point]) -> Point | None:
    """The single-task point with the settings of one that shares."""
    for candidate in points:
        is_one_model = candidate.sharing == BASELINE and candidate.kind != BASELINE
        if is_one_model and candidate.unshared == point.unshared:
            return candidate
    return None


def labelled(twin: Point, trials: Iterable[Point]) -> Point:
    """A twin with the number of the first trial that shares and has its settings."""
    for trial in trials:
        if trial.sharing != BASELINE and trial.unshared == twin.unshared:
            return replace(twin, label=str(trial.number))
    return replace(twin, label="")


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
    runs_by_task = {task: _by_seed(point) for task, point in sources.items()}
    if not runs_by_task:
        return None
    first, *others = runs_by_task.values()
    seeds = set(first).intersection(*others)
    if not seeds:
        return None
    config: dict[str, Scalar] = {"sharing.kind": BASELINE}
    metrics = {}
    for task, point in sources.items():
        config[f"{BASELINE}.{task}"] = point.id
        metrics[task] = point.metrics
    replicates: list[Replicate] = []
    for seed in first:
        if seed not in seeds:
            continue
        of_seed = {task: runs[seed] for task, runs in runs_by_task.items()}
        replicates.append(_replicate(len(replicates) + 1, of_seed))
    return Point(
        kind="single_task",
        config=config,
        architecture=BASELINE,
        metrics=_joined(metrics),
        replicates=tuple(replicates),
    )


def sources_of(points: Sequence[Point], objectives: Sequence[Objective]) -> dict[str, Point]:
    """The single-task point that the composite has each task from; empty where a task has none."""
    single = candidates(filter(is_single_task, points))
    point_of = _by_id(single)
    as_searched = [point.unconfirmed for point in single]
    sources: dict[str, Point] = {}
    for objective in objectives:
        task = objective.name.partition(".")[0]
        if not objective.is_metric or task in sources:
            continue
        trial = best(as_searched, objective)
        if trial is None:
            return {}
        sources[task] = point_of[trial.id]
    return sources


def source_ids(single: Point) -> list[str]:
    """Ids of the points that a composite's models come from, each once."""
    return sorted(set(_source_of_task(single).values()))


def _source_of_task(single: Point) -> dict[str, str]:
    """By task the id of the point that a composite has its model from."""
    prefix = f"{BASELINE}."
    source_of = {}
    for key, id in single.config.items():
        if key.startswith(prefix):
            source_of[key.removeprefix(prefix)] = str(id)
    return source_of


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
    resampled, metrics = {}, {}
    for task, run in runs.items():
        metrics[task] = run.metrics
        for key, values in run.resampled.items():
            if _task_of(key) == task:
                resampled[key] = values
    first = next(iter(runs.values()))
    return replace(
        first, replicate=number, metrics=_joined(metrics), until=None, resampled=resampled
    )


def _joined(metrics: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Each task's own metrics of its point, and the sum of the tasks' parts of costs."""
    sums: dict[str, float] = {}
    for task, of_point in metrics.items():
        measured_tasks = {_task_of(key) for key in of_point if not key.startswith("cost/")}
        tasks = max(1, len(measured_tasks))
        for key, value in of_point.items():
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
    points = []
    for record in ordered:
        if record.measured:
            points += _points_of(record, objectives)
    return points


def searched_points(records: Iterable[TrialRecord], objectives: Sequence[Objective]) -> list[Point]:
    """The same as the search left them: without what confirmation found, be it whole or in part."""
    as_searched = [replace(record, replicates=()) for record in records]
    return points(as_searched, objectives)


def points_of_run(
    records: Iterable[TrialRecord], baselines: Sequence[Point], objectives: Sequence[Objective]
) -> list[Point]:
    """All points of a run: those of trials, then the best single-task models together, then
    `baselines`.

    Args:
        baselines: baselines and the current point, with their replicates. Of several of one id the
            last counts: what a baseline is derived from moved when the search went on.
    """
    trials = points(records, objectives)
    beside_trials, twins = [], []
    for point in baselines:
        if point.kind == TWIN:
            point = labelled(point, trials)
            twins.append(point)
        beside_trials.append(point)
    single = composite([*trials, *twins], objectives)
    if single is not None:
        beside_trials.insert(0, single)
    latest = _by_id(beside_trials)
    return [*trials, *latest.values()]


def _points_of(record: TrialRecord, objectives: Sequence[Objective]) -> list[Point]:
    """Those of one trial: non-dominated among its own by what the search saw, the longest of
    equals; or confirmed.

    Costs belong to the model, however long it was trained. A latency comes out differently each
    time that it is measured, which must not make a point; so metrics alone are compared.
    """
    points = list(record.points)
    if len(points) == 1:
        return points
    metrics = only_metrics(objectives)
    values = np.array([values_in(point.metrics, metrics, SEARCH) for point in points])
    keep = nondominated(values, metrics)
    for rung in range(len(points) - 1):
        equals_longer = (values[rung + 1 :] == values[rung]).all(axis=1).any()
        keep[rung] &= not equals_longer
    if not keep.any():
        keep[-1] = True  # nothing finite: it is listed as it is
    is_confirmed = np.array([bool(point.replicates) for point in points])
    return list(compress(points, keep | is_confirmed))


def kind_of(config: Mapping[str, Scalar]) -> str:
    """The kind of model that a configuration of the current point is of: its way of sharing,
    `trees` or `composite`.
    """
    if "sharing.kind" in config:
        return str(config["sharing.kind"])
    for name in config:
        if not name.startswith("trees."):
            return "composite"
    return "trees"


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
    models = models_in(point.config)
    if models:  # an ensemble, or the current point
        parts = []
        for config, share_of_task in models:
            by_task = tuple(share_of_task[task] for task in tasks)
            parts.append((replace(point, config=config), by_task))
        return parts
    point_of = _by_id(points)
    if point.kind == BASELINE:
        shares = _shares_of_composite(point, tasks)
    elif point.kind == "blend":
        network = tuple(float(str(point.config[f"{SHARE}{task}"])) for task in tasks)
        trees = tuple(1 - share for share in network)
        shares = {str(point.config[NETWORK]): network, str(point.config[TREES]): trees}
    else:
        point_of, shares = {point.id: point}, {point.id: (1.0,) * len(tasks)}
    for id in shares:
        if id not in point_of:
            raise UserError(
                f"expected '{id}' among the run's points, as a part of {point.name}, found none"
            )
        if not point_of[id].config:
            raise UserError(
                f"{point.name} has no configuration that could be trained; pick a model with "
                "--policy FILE"
            )
    return [(point_of[id], by_task) for id, by_task in shares.items() if any(by_task)]


def parts_to_train(
    point: Point, points: Sequence[Point], tasks: Sequence[str]
) -> list[tuple[Point, tuple[float, ...]]]:
    """`parts_of` a point that we train; raises UserError where a part is a trainer's of
    elsewhere.
    """
    parts = parts_of(point, points, tasks)
    for part, _ in parts:
        if part.trainer:
            raise UserError(
                f"expected a model that comes with the package, found {point.name}, which the "
                f"trainer '{part.trainer}' trains: `seesaw deploy RUN --point {part.id}` writes "
                "how to train and rank it"
            )
    return parts


def _shares_of_composite(single: Point, tasks: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """By id of a source 1 for each task that the composite has from it, else 0."""
    source_of = _source_of_task(single)
    first = next(iter(source_of.values()))  # of a task without an objective
    sources = [source_of.get(task, first) for task in tasks]
    shares = {}
    for id in source_ids(single):
        shares[id] = tuple(float(source == id) for source in sources)
    return shares
