"""Metric names and directions.

A metric key is `<split>/<task>.<metric>`, as in `valid/income.auc`. For a task with a parent the sample space comes
between: `long_view.cvr.auc` is measured where the parent happened, `long_view.ctcvr.auc` on all impressions. So is a
regression: `watch.cvr.rmse` is of the seconds given a click, `watch.ctcvr.rmse` of the seconds an impression brings.
Costs have no split and no task: `cost/parameters`. Outcomes of a ranking (`like.ndcg@5`, `like.recall@10%`) are
measured on all impressions, of a task with a parent by its joint label: they have no sample space in their names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.errors import UserError, unknown
from bench.schema import Task, TaskKind

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Metric:
    """A metric of predictions, which is measured for every task of its kind.

    Attributes:
        direction: None of one that is best at 1: a guard, not an objective.
        family: the file in `bench/measure/heads` that has it under its name.
        uninformed: the value of a model that knows nothing; None where there is none, as in the unit of the label.
        thousandths: whether it is of the order of 1, so that differences are read in thousandths.
    """

    direction: Direction | None
    family: str
    uninformed: float | None = None
    thousandths: bool = True


METRICS: dict[TaskKind, dict[str, Metric]] = {
    "binary": {
        "auc": Metric("maximize", "areas", 0.5),  # scores without order
        "gauc": Metric("maximize", "areas", 0.5),
        "gauc_positives": Metric("maximize", "areas", 0.5),
        "logloss": Metric("minimize", "likelihood", math.log(2)),  # one half for everyone
        "ne": Metric("minimize", "likelihood", 1.0),  # the base rate for everyone
        "brier": Metric("minimize", "brier", 0.25),  # one half for everyone
        "pcoc": Metric(None, "calibration", thousandths=False),
        "ece": Metric("minimize", "calibration", 1.0),  # the worst there is
    },
    "regression": {
        "rmse": Metric("minimize", "errors", thousandths=False),
        "mae": Metric("minimize", "errors", thousandths=False),
        "spearman": Metric("maximize", "order", 0.0),
        "xauc": Metric("maximize", "order", 0.5),
        "decile_error": Metric("minimize", "calibration", 1.0),  # nothing for everyone
    },
}
BY_NAME = METRICS["binary"] | METRICS["regression"]
"""Those of both kinds of tasks."""
COSTS: dict[str, Direction | None] = {
    "parameters": "minimize",
    "latency_ms": "minimize",
    "latency_p99_ms": "minimize",
}

AREAS = ("auc", "gauc", "gauc_positives")
"""Outcomes without a cut: areas under the ROC curve, over all rows or within groups."""
ROWS_A_GROUP, BY_CHANCE = 2, 0.7
"""Groups say little about an order within them if they have fewer rows on average, or if a random order has more of
`ndcg@5`, see `random_ndcg`."""


def random_ndcg(sizes: NDArray[np.integer[Any]]) -> float:
    """The mean `ndcg@5` of a random order, of groups of these sizes with one positive each: .71 for three rows.

    A group of one row has no order; 1 where there are no others. More positives a group make it larger.
    """
    sizes = sizes[sizes > 1]
    sums = np.cumsum(1 / np.log2(np.arange(2, 7)))
    return float((sums[np.minimum(sizes, len(sums)) - 1] / sizes).mean()) if len(sizes) else 1.0


def ranked_by_group(sizes: NDArray[np.integer[Any]]) -> bool:
    """Whether groups of these sizes are large enough to measure an order within them."""
    return len(sizes) > 0 and bool(sizes.mean() >= ROWS_A_GROUP) and random_ndcg(sizes) <= BY_CHANCE


def ranks_groups(group: NDArray[Any]) -> bool:
    """Whether rows of these groups (N,), negative where a row has none, are ranked within them."""
    return ranked_by_group(np.unique(group[group >= 0], return_counts=True)[1])


MIXED = 20
"""Groups with different labels that a task has at the least: fewer measure no order within groups."""


def ranked_tasks(tasks: Sequence[Task], labels: NDArray[Any], group: NDArray[Any]) -> frozenset[str]:
    """The tasks that are ranked within groups: groups are large enough, and of `MIXED` or more the labels differ.

    Args:
        labels: (N, T), joint; NaN where unobserved.
        group: (N,), negative where a row has none.
    """
    if not ranks_groups(group):
        return frozenset()
    order = np.argsort(group, kind="stable")
    order = order[np.searchsorted(group[order], 0) :]
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    high, low = (each.reduceat(labels[order], starts) for each in (np.fmax, np.fmin))
    mixed = (high > low).sum(axis=0)
    return frozenset(task.name for task, count in zip(tasks, mixed, strict=True) if count >= MIXED)


@dataclass(frozen=True)
class ListMetric:
    """A metric of a list: of a group's rows by descending score, down to a cut. `bench.measure.lists` has each.

    Attributes:
        binary: whether it counts positives, whatever the label's number; it is none of a regression then.
        percent: whether its cut may be in per cent of all rows.
        of_all: whether all rows are one list where no row has a group.
        needs_cut: whether its name has a cut; else a cut is possible.
    """

    binary: bool = False
    percent: bool = False
    of_all: bool = False
    needs_cut: bool = True


LISTS: dict[str, ListMetric] = {
    "ndcg": ListMetric(of_all=True),
    "recall": ListMetric(binary=True, percent=True, of_all=True),
    "value": ListMetric(percent=True, of_all=True),
    "map": ListMetric(binary=True),
    "mrr": ListMetric(binary=True, needs_cut=False),
}
CUT = r"(\d+(?:\.\d+)?)(%?)"
_RANKED = re.compile(rf"({'|'.join(LISTS)})(?:@{CUT})?")


@dataclass(frozen=True)
class Ranked:
    """An outcome of a ranking, as in `ndcg@5`, `recall@10`, `recall@10%`, `map@10`, `mrr`, `value@5` or `value@10%`.

    Attributes:
        measure: a name in `LISTS`.
        cut: how many rows are at the top: of each group, or in per cent of all rows; infinite without one.
        percent: whether the cut is in per cent.
    """

    measure: str
    cut: float
    percent: bool


def ranked(metric: str) -> Ranked | None:
    """The outcome that a metric's name stands for, without its task; None where it is no outcome of a ranking."""
    found = _RANKED.fullmatch(metric)
    if found is None:
        return None
    of, cut, percent = LISTS[found[1]], float(found[2] or math.inf), bool(found[3])
    if cut <= 0 or (percent and (cut > 100 or not of.percent)) or (of.needs_cut and cut == math.inf):
        return None
    return Ranked(found[1], cut, percent) if percent or cut == math.inf or cut == int(cut) else None


@dataclass(frozen=True)
class Objective:
    """A named metric with a direction, without its split: `income.auc`, or a cost: `cost/parameters`."""

    name: str
    direction: Direction

    @property
    def is_metric(self) -> bool:
        """Whether it is measured on a split of the data, and not a cost."""
        return not self.name.startswith("cost/")

    def key(self, split: str) -> str:
        """Its key in a trial's metrics. Costs are the same on every split."""
        return key_on(self.name, split)

    @property
    def sign(self) -> float:
        """+1 to maximise, -1 to minimise: `sign * value` is always better when larger."""
        return 1.0 if self.direction == "maximize" else -1.0


def key_on(name: str, split: str) -> str:
    """The key on a split of a metric, or of a cost, which is the same on every split."""
    return name if name.startswith("cost/") else f"{split}/{name}"


def in_thousandths(objective: str) -> bool:
    """Whether differences in an objective of this name are read in thousandths."""
    metric = metric_of(objective)
    return (metric in BY_NAME and BY_NAME[metric].thousandths) or ranked(metric) is not None


def metric_of(name: str) -> str:
    """The metric in a name without split: `auc` of `buy.ctcvr.auc`, `recall@2.5%` of `like.recall@2.5%`."""
    rest = name.partition(".")[2]
    return rest if ranked(rest) else name.rpartition(".")[2]


def direction_of(name: str) -> Direction | None:
    """The best direction of a metric or a cost without split, be it of a segment; None where there is none."""
    bare = name.partition("[")[0]
    if bare.startswith("cost/"):
        return COSTS.get(bare.removeprefix("cost/"))
    metric = metric_of(bare)
    return "maximize" if ranked(metric) else BY_NAME[metric].direction if metric in BY_NAME else None


def metric_names(task: Task) -> dict[str, Direction | None]:
    """Every metric of a task that is always measured, without split: name -> direction (None: not an objective).

    Outcomes of a ranking are measured where they are asked for, see `parse` and `outcomes_of`.
    """
    spaces = ("",) if task.parent is None else ("cvr.", "ctcvr.")
    metrics = METRICS[task.kind].items()
    return {f"{task.name}.{space}{name}": metric.direction for space in spaces for name, metric in metrics}


def primary(task: Task, in_groups: bool) -> str:
    """The metric that stands for a task where none is named, on all impressions.

    What is served is ranked within groups where there are any: there the area under the curve within groups (GAUC,
    weighted by rows), or `ndcg@5` of a regression. Elsewhere AUC over all rows, or Spearman correlation.
    docs/search.md has which measure leads to the best served pick.

    Args:
        in_groups: whether it is ranked within groups, see `ranked_tasks`.
    """
    within, over = ("ndcg@5", "spearman") if task.kind == "regression" else ("gauc", "auc")
    metric = within if in_groups else over
    return f"{task.name}.{metric}" if task.parent is None or ranked(metric) else f"{task.name}.ctcvr.{metric}"


def default_outcomes(tasks: Sequence[Task], group: NDArray[Any]) -> tuple[str, ...]:
    """One of each task: `ndcg@5` if groups are large enough, else `recall@10%`, `value@10%` of a regression.

    Groups are large enough if they have two rows on average, and a random order of them scores little
    (`ranks_groups`).

    Args:
        group: (N,), negative where a row has none.
    """
    if ranks_groups(group):
        return tuple(f"{task.name}.ndcg@5" for task in tasks)
    return tuple(f"{task.name}.{'recall' if task.kind == 'binary' else 'value'}@10%" for task in tasks)


def parse(name: str, tasks: tuple[Task, ...], where: str) -> Objective:
    """The objective of that name: a metric of a head, a cost, or an outcome of the ranking by a head.

    Raises:
        UserError: unknown, a metric that cannot be an objective, or an outcome that the task does not have.
    """
    known = {metric: way for task in tasks for metric, way in metric_names(task).items()}
    known |= {f"cost/{cost}": way for cost, way in COSTS.items()}
    if name not in known:
        if "@" in name or ranked(name.partition(".")[2]):
            return outcome(name, tasks, where)
        raise UserError(f"{where}: {unknown('metric', name, known)}")
    direction = known[name]
    if direction is None:
        raise UserError(f"{where}: '{name}' has no best direction and cannot be an objective; use it as a guard")
    return Objective(name, direction)


def outcome(name: str, tasks: tuple[Task, ...], where: str) -> Objective:
    """The outcome of a ranking of that name, such as `like.recall@10%` or `like.gauc`; all are maximized.

    Raises:
        UserError: no outcome, or one that the task does not have; says what was expected, with an example.
    """
    of, _, metric = name.partition(".")
    task = next((task for task in tasks if task.name == of), None)
    if task is None:
        raise UserError(f"{where}: outcome '{name}': {unknown('task', of, [task.name for task in tasks])}")
    cut = ranked(metric)
    if task.kind == "regression":
        if cut is None or LISTS[cut.measure].binary:
            examples = f"{of}.value@10%, {of}.value@5 or {of}.ndcg@5"
            raise UserError(f"{where}: expected an outcome of a regression such as {examples}, found '{name}'")
    elif cut is None and metric not in AREAS:
        examples = f"{of}.ndcg@5, {of}.recall@10 or {of}.recall@10%"
        raise UserError(f"{where}: expected an outcome such as {examples}, found '{name}'")
    elif cut is not None and cut.measure == "value":
        raise UserError(f"{where}: '{name}' is of a binary task; write '{of}.recall{metric.removeprefix('value')}'")
    return Objective(name, "maximize")


def outcomes_of(names: Iterable[str]) -> tuple[str, ...]:
    """Which outcomes with a cut a list of names asks for, each once: what a job has to measure beside the metrics.

    Args:
        names: of objectives, guards or costs, without split; a segment behind one (`like.recall@10%[country=US]`) is
            left out.
    """
    plain = (name.partition("[")[0] for name in names)
    return tuple(dict.fromkeys(name for name in plain if ranked(name.partition(".")[2])))
