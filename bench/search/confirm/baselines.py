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

from bench.core.errors import UserError
from bench.core.objectives import Objective
from bench.core.records import NAMES, TRAINED, Point, PointKind, Scalar, TrialRecord
from bench.core.rows import SEARCH
from bench.core.schema import Schema
from bench.core.seeds import derive
from bench.core.system.progress import Progress
from bench.ledger.pareto import lattice, steps_beyond
from bench.ledger.points import BASELINE, searched_points
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
    single = best_point(records, objectives, reference, single=True, twins=twins)
    weighed = (
        len({objective.name.split(".")[0] for objective in objectives if objective.is_metric}) > 1
    )
    points = []
    for kind in TRAINED:
        if kind not in wanted:
            continue
        if kind == "trees":
            points.append(Point(kind, {}, kind))
        elif kind == "ensemble":
            if single is not None:
                points.append(
                    Point(kind, ensemble_of(single.config, schema), kind, until=single.until)
                )
        elif kind in BALANCING and sharing is not None and weighed:
            config = unbalanced(sharing.config) | {"balancing.kind": BALANCING[kind]}
            points.append(Point(kind, config, kind, until=sharing.until))
    return points


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
    every = [*searched_points(records, objectives), *twins]
    own = [point for point in every if (point.sharing == BASELINE or point.baseline) == single]
    return next(iter(largest_first(own, objectives, reference)), None)


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


def full_lengths(some: Sequence[TrialRecord], records: Sequence[TrialRecord]) -> float:
    """Samples of `some` trials, in trainings of full length."""
    full = max((record.rungs[-1].samples for record in records if record.rungs), default=1)
    return sum(record.rungs[-1].samples if record.rungs else full for record in some) / full


def measured(
    study: Study,
    executor: Executor,
    make_job: MakeJob,
    kind: PointKind,
    asked: Sequence[dict[str, Scalar]],
    progress: Progress,
) -> list[dict[str, float]]:
    """Trains a baseline's configurations once each, on one seed, and returns their metrics on
    validation, in order.

    Results are kept with the study and never trained twice; a failed one is empty. It returns when
    all outcomes are known, so choices made from them do not depend on the number of workers.
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
                progress.note(
                    f"{title}: a try failed ({outcome.failure.kind}): {outcome.failure.reason}"
                )
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
    if all(point.kind != "trees" for point in baselines):
        return list(baselines)
    asked = configurations(tasks, tries, derive(seed, "trees"))
    metrics = measured(
        study, executor, make_job, "trees", [hasty(each) for each in asked], progress
    )
    chosen = best_by_task(
        tasks, zip(asked, metrics, strict=True), [each.name for each in study.objectives]
    )
    return [replace(each, config=chosen) if each.kind == "trees" else each for each in baselines]


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


def spread_out(tasks: Sequence[str], many: int, spread: float) -> list[dict[str, float]]:
    """Returns at least `many` weights by task, evenly over the simplex on the log scale; the first
    task's weight is 1.

    The logarithms of a point's weights are shares of log(spread) on the coarsest simplex lattice
    with enough points. Two tasks have exactly `many`, from spread:1 to 1:spread; three tasks have
    10 for 7. Weights have six digits.
    """
    steps = steps_beyond(len(tasks), many)
    return [
        {
            task: float(f"{spread ** ((part - parts[0]) / steps):.6g}")
            for task, part in zip(tasks, parts, strict=True)
        }
        for parts in lattice(len(tasks), steps)[::-1].tolist()
    ]


def draws(space: Space, tasks: Sequence[str], many: int, seed: int) -> list[dict[str, Scalar]]:
    """Draws `many` configurations of sharing models, without balancing; branches of a switch are
    equally likely.

    With the same seed, a longer sequence starts with the shorter one.
    """
    alone = {(SHARING, SINGLE_TASK): "nothing to weigh"} if space.branches(SHARING) else {}
    shared = replace(space, tree=trees.prune(space.tree, alone))
    rng = np.random.default_rng(seed)
    return [unbalanced(shared.sample(rng, tasks)) for _ in range(many)]


def chosen(
    weights: Mapping[str, float],
    objectives: Sequence[Objective],
    own: Sequence[Mapping[str, float]],
    every: Sequence[Mapping[str, float]],
) -> int | None:
    """Returns which of a weight's tries to confirm: the first with the largest weighted sum of
    validation objectives.

    Each objective is divided by its standard deviation over `every` weight's tries. A task's
    objectives share its weight evenly; costs do not count. None where none of the weight's `own`
    tries has finite objectives.
    """
    metrics = [objective for objective in objectives if objective.is_metric]
    of = [objective.name.partition(".")[0] for objective in metrics]
    spread = np.nanstd(_values(every, metrics), axis=0) if any(every) else np.zeros(len(metrics))
    share = np.array([weights[task] / of.count(task) for task in of])
    signs = np.array([objective.sign for objective in metrics])
    factors = np.where(spread > 0, signs * share / np.where(spread > 0, spread, 1.0), 0.0)
    sums = _values(own, metrics) @ factors
    return int(np.nanargmax(sums)) if np.isfinite(sums).any() else None


def _values(tries: Sequence[Mapping[str, float]], metrics: Sequence[Objective]) -> np.ndarray:
    rows = [[each.get(objective.key(SEARCH), np.nan) for objective in metrics] for each in tries]
    return np.array(rows, dtype=float).reshape(len(tries), len(metrics))


def retuned(
    study: Study,
    executor: Executor,
    make_job: MakeJob,
    plan: SearchPlan,
    many: int,
    gradient: Collection[str],
    progress: Progress,
) -> list[Point]:
    """Returns a point for each static weight, with the configuration that validation found best of
    its tries.

    Each weight's first try is the search's best sharing configuration; the others are `draws`, the
    same for every weight. A try is one training of full length on a common seed, measured on
    validation only. In full lengths, there are as many tries as the search gave to gradient
    methods, and at least `LEAST_TRIES` a weight.
    """
    if not many:
        return []
    nodes = [node for name, node, _ in trees.walk(plan.space.tree) if name == WEIGHT]
    spread = max((node.spread for node in nodes if isinstance(node, Simplex)), default=WEIGHT_RATIO)
    grid = spread_out(plan.tasks, many, spread)
    records = study.records()
    given = [
        record
        for record in records
        if record.balancing in gradient and record.sharing != SINGLE_TASK
    ]
    tries = max(LEAST_TRIES, math.ceil(full_lengths(given, records) / len(grid)))
    best = best_point(records, plan.objectives, plan.rules.reference, single=False)
    first = [] if best is None else [unbalanced(best.config)]
    shared = [
        *first,
        *draws(plan.space, plan.tasks, tries - len(first), derive(plan.seed, "static_weights")),
    ]
    static: list[dict[str, Scalar]] = [
        {
            "balancing.kind": "static",
            **{f"{WEIGHT}.{task}": value for task, value in weights.items()},
        }
        for weights in grid
    ]
    asked = [each | weights for weights in static for each in shared]
    metrics = measured(study, executor, make_job, "static_weights", asked, progress)
    baselines = []
    for weights, at in zip(grid, range(0, len(asked), len(shared)), strict=True):
        if (
            place := chosen(weights, study.objectives, metrics[at : at + len(shared)], metrics)
        ) is None:
            progress.note(f"static weights {weights}: left out, as no try of them has a result")
        else:
            baselines.append(Point("static_weights", asked[at + place], "static_weights"))
    return baselines
