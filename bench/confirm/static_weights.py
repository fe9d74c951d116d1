"""Static weights as a tuned baseline: weights evenly over the simplex, and everything else tuned for each of them.

Whether a gradient method beats static weights can only be said against a dense front of tuned ones (Kurin et al. and
Xin et al., both NeurIPS 2022). All weights are tried with the same draws of the shared parameters, and together by as
many trainings as the search gave to gradient methods.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from bench.confirm.baselines import best_point, unbalanced
from bench.confirm.tuning import full_lengths, measured
from bench.errors import UserError
from bench.frontier.pareto import lattice, steps_beyond
from bench.objectives import Objective
from bench.progress import Progress
from bench.records import Point, Scalar
from bench.rows import SEARCH
from bench.search import tree as trees
from bench.search.driver import MakeJob
from bench.search.executors.base import Executor
from bench.search.nodes import Simplex
from bench.search.plan import SHARING, SINGLE_TASK, Plan
from bench.search.space import Space
from bench.search.study import Study
from bench.seeds import derive

WEIGHT = "balancing.static.weight"
SPREAD = 16.0
"""Of weights, where the space does not search them."""
LEAST_TRIES = 2


def check_static(dataset: str, tasks: Sequence[str], space: Space) -> None:
    """Refuses static weights where there is nothing to weigh.

    Raises:
        UserError: a data set with one task, or a space whose models share nothing.
    """
    if len(tasks) < 2:
        raise UserError(f"static weights of {dataset}: expected two tasks or more to weigh, found only {tasks[0]}")
    if set(space.choices(SHARING)) == {SINGLE_TASK}:
        raise UserError(
            f"static weights of {dataset}: expected a space with models that share, found {SINGLE_TASK} only"
        )


def spread_out(tasks: Sequence[str], many: int, spread: float) -> list[dict[str, float]]:
    """At least so many weights, evenly over the simplex on the log scale; from the first task's corner to the last's.

    The logarithms of a point's weights are shares of log(spread) on a simplex lattice, the coarsest that has enough
    points. Two tasks have exactly `many`, from spread:1 to 1:spread; three tasks have 10 for 7.

    Returns:
        Weights by task, the first task's 1, with six digits.
    """
    steps = steps_beyond(len(tasks), many)
    return [
        {task: float(f"{spread ** ((part - parts[0]) / steps):.6g}") for task, part in zip(tasks, parts, strict=True)}
        for parts in lattice(len(tasks), steps)[::-1].tolist()
    ]


def draws(space: Space, tasks: Sequence[str], many: int, seed: int) -> list[dict[str, Scalar]]:
    """So many random configurations that share a model, without balancing.

    The first of many are those of fewer with the same seed. Branches of a switch are equally likely.
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
    """Which of a weight's tries is confirmed: the first with the largest weighted sum of objectives on validation.

    Each objective is divided by its standard deviation over the tries of all weights. A task's objectives share its
    weight evenly; costs belong to no task and do not count.

    Args:
        weights: by task.
        own: metrics of the weight's tries; empty for one that failed.
        every: metrics of the tries of all weights.

    Returns:
        None where no try has a finite value of each objective.
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
    plan: Plan,
    many: int,
    gradient: Collection[str],
    progress: Progress,
) -> list[Point]:
    """A baseline for each static weight, with the configuration that validation found best of its tries.

    Of each weight the first try is the search's best sharing configuration, the others are `draws`, the same ones for
    every weight. A try is one training of full length; all are on one seed and measured on validation alone. Together
    there are as many as the search gave to gradient methods, in full lengths, and at least `LEAST_TRIES` a weight.

    Args:
        plan: of the search.
        many: weights; none where it is 0.
        gradient: balancing kinds that are gradient methods.
    """
    if not many:
        return []
    nodes = [node for name, node, _ in trees.walk(plan.space.tree) if name == WEIGHT]
    spread = max((node.spread for node in nodes if isinstance(node, Simplex)), default=SPREAD)
    grid = spread_out(plan.tasks, many, spread)
    records = study.records()
    given = [record for record in records if record.balancing in gradient and record.sharing != SINGLE_TASK]
    tries = max(LEAST_TRIES, math.ceil(full_lengths(given, records) / len(grid)))
    best = best_point(records, plan.objectives, plan.rules.reference, single=False)
    first = [] if best is None else [unbalanced(best.config)]
    shared = [*first, *draws(plan.space, plan.tasks, tries - len(first), derive(plan.seed, "static_weights"))]
    static: list[dict[str, Scalar]] = [
        {"balancing.kind": "static", **{f"{WEIGHT}.{task}": value for task, value in weights.items()}}
        for weights in grid
    ]
    asked = [each | weights for weights in static for each in shared]
    found = measured(study, executor, make_job, "static_weights", asked, progress)
    baselines = []
    for weights, at in zip(grid, range(0, len(asked), len(shared)), strict=True):
        if (place := chosen(weights, study.objectives, found[at : at + len(shared)], found)) is None:
            progress.note(f"static weights {weights}: left out, as no try of them has a result")
        else:
            baselines.append(Point("static_weights", asked[at + place], "static_weights"))
    return baselines
