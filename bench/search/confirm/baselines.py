"""Baselines beyond the search: their configurations and their tuning.

A fair test of gradient methods needs a dense front of tuned static weights (Kurin et al. and Xin et
al., both NeurIPS 2022). All weights are tried with the same draws of the shared parameters, with as
many trainings in all as the search gave to gradient methods.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from bench.core.arrays import Floats
from bench.core.errors import UserError
from bench.core.objectives import Objective, names_of, only_metrics
from bench.core.records import NAMES, TRAINED, Point, PointKind, Scalar, TrialRecord
from bench.core.rows import SEARCH
from bench.core.schema import Schema
from bench.core.seeds import derive
from bench.core.system.progress import Progress
from bench.ledger.pareto import lattice, steps_beyond
from bench.ledger.points import is_single_task, searched_points
from bench.models.training.ensemble import ensemble_of
from bench.models.training.tree_settings import best_by_task, configurations, hasty
from bench.search import tree as trees
from bench.search.confirm.race import largest_first
from bench.search.driver import MakeJob, outcomes
from bench.search.executors.base import Executor
from bench.search.nodes import Simplex
from bench.search.plan import SHARING, SINGLE_TASK, SearchPlan
from bench.search.space import Space
from bench.search.study import Study

BALANCING: dict[PointKind, str] = {"equal_weights": "static", "random_weights": "rlw"}
"""Baseline -> the balancing that replaces that of the best sharing configuration; static weights
are then equal.
"""


def baselines_of(
    records: Sequence[TrialRecord],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    wanted: Collection[str],
    schema: Schema,
    twins: Sequence[Point] = (),
) -> list[Point]:
    """Returns the wanted baselines that exist here, as points without a result, in the order of
    `TRAINED`.

    Equal and random weights replace the balancing of the best point that shares; they need sharing
    and two tasks. The ensemble has two half-size models of the best single-task point's
    configuration. These are trained as long as that point was.
    """
    sharing = best_point(records, objectives, reference, single=False)
    single_task = best_point(records, objectives, reference, single=True, twins=twins)
    tasks = set(map(_task_of, only_metrics(objectives)))
    points = []
    for kind in TRAINED:
        if kind not in wanted:
            continue
        if kind == "trees":
            points.append(Point(kind, {}, kind))
        elif kind == "ensemble" and single_task is not None:
            config = ensemble_of(single_task.config, schema)
            points.append(Point(kind, config, kind, until=single_task.until))
        elif kind in BALANCING and sharing is not None and len(tasks) > 1:
            config = unbalanced(sharing.config) | {"balancing.kind": BALANCING[kind]}
            points.append(Point(kind, config, kind, until=sharing.until))
    return points


def _task_of(metric: Objective) -> str:
    return metric.name.partition(".")[0]


def best_point(
    records: Sequence[TrialRecord],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    single: bool,
    twins: Sequence[Point] = (),
) -> Point | None:
    """Returns the single-task (`single`) or sharing point of the largest hypervolume by itself, the
    first of equals.

    Args:
        twins: single-task points beside those of the search, see `bench.search.confirm.twins`.
    """
    points = []
    for point in (*searched_points(records, objectives), *twins):
        if is_single_task(point) == single and not point.trainer:
            points.append(point)
    return next(iter(largest_first(points, objectives, reference)), None)


def unbalanced(config: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Returns a configuration without its balancing."""
    return {key: value for key, value in config.items() if not key.startswith("balancing.")}


LEAST_TREES = 3
"""Minimum number of tree configurations to try."""


def tries_of(lengths: float, kinds: int) -> int:
    """Number of tree configurations to try: as many full lengths as the search trained for each
    kind of sharing.
    """
    return max(LEAST_TREES, int(lengths / max(1, kinds)))


def full_lengths(trials: Sequence[TrialRecord], records: Sequence[TrialRecord]) -> float:
    """Samples of trials in trainings of full length, the longest of all `records`."""
    full_length = max(map(_samples, records), default=0) or 1
    total = sum(_samples(record) or full_length for record in trials)
    return total / full_length


def _samples(record: TrialRecord) -> int:
    """Samples that a trial was trained on; 0 without rungs, where it has full length."""
    return record.rungs[-1].samples if record.rungs else 0


def train_once(
    study: Study,
    executor: Executor,
    make_job: MakeJob,
    kind: PointKind,
    configs: Sequence[dict[str, Scalar]],
    progress: Progress,
) -> list[dict[str, float]]:
    """Trains a baseline's configurations once each, on one seed, and returns their metrics on
    validation, in order.

    Results are kept with the study and never trained twice; a failed one is empty. It returns when
    all outcomes are known, so choices made from them do not depend on the number of workers.
    """
    title = f"tuning {NAMES[kind]}"
    points = [Point(kind, config, kind) for config in configs]
    by_training = {point.training: point for point in points}
    untried = [point for training, point in by_training.items() if training not in study.tries]
    done = len(by_training) - len(untried)
    with progress.task(title, len(by_training), "tries", done) as advance:
        jobs = []
        for point in untried:
            try:
                jobs.append(make_job(point, 0, (SEARCH,)))
            except UserError as error:
                progress.note(f"{title}: a configuration is left out: {error}")
        for outcome in outcomes(executor, jobs, advance, study):
            failure = outcome.failure
            if failure:
                progress.note(f"{title}: a try failed ({failure.kind}): {failure.reason}")
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
    """Returns the baselines, where trees get the settings that validation found best of `tries`,
    task by task.

    Tries are `hasty`.
    """
    points = list(baselines)
    for index, point in enumerate(points):
        if point.kind == "trees":
            configs = configurations(tasks, tries, derive(seed, "trees"))
            hasty_configs = list(map(hasty, configs))
            metrics = train_once(study, executor, make_job, "trees", hasty_configs, progress)
            tried = zip(configs, metrics, strict=True)
            best = best_by_task(tasks, tried, names_of(study.objectives))
            points[index] = replace(point, config=best)
    return points


WEIGHT = "balancing.static.weight"
WEIGHT_RATIO = 16.0
"""Largest ratio of two tasks' weights, where the space does not search them."""
LEAST_TRIES = 2
"""Minimum number of trainings for each static weight."""


def check_static(dataset: str, tasks: Sequence[str], space: Space) -> None:
    """Raises UserError for static weights on a data set with one task, or in a space whose models
    share nothing.
    """
    if len(tasks) < 2:
        raise UserError(
            f"static weights of {dataset}: expected two tasks or more to weigh, found only "
            f"{tasks[0]}"
        )
    if set(space.choices(SHARING)) == {SINGLE_TASK}:
        raise UserError(
            f"static weights of {dataset}: expected a space with models that share, found "
            f"{SINGLE_TASK} only"
        )


def spread_out(tasks: Sequence[str], count: int, spread: float) -> list[dict[str, float]]:
    """Returns at least `count` weights by task, evenly over the simplex on the log scale; the first
    task's weight is 1.

    The logarithms of a point's weights are shares of log(spread) on the coarsest simplex lattice
    with enough points. Two tasks have exactly `count`, from spread:1 to 1:spread; three tasks have
    10 for 7. Weights have six digits.
    """
    steps = steps_beyond(len(tasks), count)
    grid = []
    for shares in lattice(len(tasks), steps)[::-1].tolist():
        weights = [spread ** ((share - shares[0]) / steps) for share in shares]
        rounded = [float(f"{weight:.6g}") for weight in weights]
        grid.append(dict(zip(tasks, rounded, strict=True)))
    return grid


def draws(space: Space, tasks: Sequence[str], count: int, seed: int) -> list[dict[str, Scalar]]:
    """Draws `count` configurations of sharing models, without balancing; branches of a switch are
    equally likely.

    With the same seed, a longer sequence starts with the shorter one.
    """
    if space.branches(SHARING):
        unwanted = {(SHARING, SINGLE_TASK): "nothing to weigh"}
        space = replace(space, tree=trees.prune(space.tree, unwanted))
    rng = np.random.default_rng(seed)
    return [unbalanced(space.sample(rng, tasks)) for _ in range(count)]


def chosen(
    weights: Mapping[str, float],
    objectives: Sequence[Objective],
    tries: Sequence[Mapping[str, float]],
    all_tries: Sequence[Mapping[str, float]],
) -> int | None:
    """Returns which of a weight's `tries` to confirm: the first with the largest weighted sum of
    validation objectives.

    Each objective is divided by its standard deviation over `all_tries`, those of every weight. A
    task's objectives share its weight evenly; costs do not count. None if no try has finite
    objectives.
    """
    metrics = only_metrics(objectives)
    tasks = list(map(_task_of, metrics))
    share = np.array([weights[task] / tasks.count(task) for task in tasks])
    signs = np.array([metric.sign for metric in metrics])
    spread = np.zeros(len(metrics))
    if any(all_tries):
        spread = np.nanstd(_values(all_tries, metrics), axis=0)
    factors = np.where(spread > 0, signs * share / np.where(spread > 0, spread, 1.0), 0.0)
    sums = _values(tries, metrics) @ factors
    return int(np.nanargmax(sums)) if np.isfinite(sums).any() else None


def _values(tries: Sequence[Mapping[str, float]], metrics: Sequence[Objective]) -> Floats:
    """Metrics on validation: (tries, metrics)."""
    values = np.full((len(tries), len(metrics)), np.nan)
    for row, measured in enumerate(tries):
        values[row] = [measured.get(metric.key(SEARCH), np.nan) for metric in metrics]
    return values


def retuned(
    study: Study,
    executor: Executor,
    make_job: MakeJob,
    plan: SearchPlan,
    count: int,
    gradient: Collection[str],
    progress: Progress,
) -> list[Point]:
    """Returns a point for each of at least `count` static weights, with the configuration that
    validation found best of its tries.

    Each weight's first try is the search's best sharing configuration; the others are `draws`, the
    same for every weight. A try is one training of full length on a common seed, measured on
    validation only. In full lengths, there are as many tries as the search gave to gradient
    methods, and at least `LEAST_TRIES` a weight.
    """
    if not count:
        return []
    grid = spread_out(plan.tasks, count, _searched_spread(plan.space))
    records = study.records()
    by_gradient = []
    for record in records:
        if record.balancing in gradient and record.sharing != SINGLE_TASK:
            by_gradient.append(record)
    tries = max(LEAST_TRIES, math.ceil(full_lengths(by_gradient, records) / len(grid)))
    shared = _shared_configs(plan, records, tries)
    configs = []
    for weights in grid:
        for config in shared:
            configs.append(config | _static(weights))
    metrics = train_once(study, executor, make_job, "static_weights", configs, progress)
    baselines = []
    for row, weights in enumerate(grid):
        tries_of_weights = slice(row * len(shared), (row + 1) * len(shared))
        best = chosen(weights, study.objectives, metrics[tries_of_weights], metrics)
        if best is None:
            progress.note(f"static weights {weights}: left out, as no try of them has a result")
        else:
            config = configs[tries_of_weights][best]
            baselines.append(Point("static_weights", config, "static_weights"))
    return baselines


def _searched_spread(space: Space) -> float:
    """Largest ratio of two tasks' weights that a space searches, or the default."""
    spreads = []
    for name, node, _ in trees.walk(space.tree):
        if name == WEIGHT and isinstance(node, Simplex):
            spreads.append(node.spread)
    return max(spreads, default=WEIGHT_RATIO)


def _shared_configs(
    plan: SearchPlan, records: Sequence[TrialRecord], tries: int
) -> list[dict[str, Scalar]]:
    """The search's best sharing configuration, and draws, without balancing."""
    best = best_point(records, plan.objectives, plan.rules.reference, single=False)
    first = [] if best is None else [unbalanced(best.config)]
    seed = derive(plan.seed, "static_weights")
    return [*first, *draws(plan.space, plan.tasks, tries - len(first), seed)]


def _static(weights: Mapping[str, float]) -> dict[str, Scalar]:
    config: dict[str, Scalar] = {"balancing.kind": "static"}
    for task, weight in weights.items():
        config[f"{WEIGHT}.{task}"] = weight
    return config
