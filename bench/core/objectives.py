"""Metric names and directions.

A metric key is `<split>/<task>.<metric>`, as in `valid/income.auc`. A task with a parent also has a
sample space: `long_view.cvr.auc` is measured where the parent happened, `long_view.ctcvr.auc` on
all impressions. So has a regression: `watch.cvr.rmse` is of the seconds given a click,
`watch.ctcvr.rmse` of the seconds an impression brings. Costs have no split and no task:
`cost/parameters`. Outcomes of a ranking (`like.ndcg@5`, `like.recall@10%`) have no sample space:
they are measured on all impressions, of a task with a parent by its joint label. Outcomes of items
are of a column of the log in place of a task: `author.distinct@5`, `age.below7@5`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import UserError, unknown
from bench.core.schema import Task, TaskKind

Direction = Literal["maximize", "minimize"]
ItemKind = Literal["category", "number"]
"""Kinds of columns of items."""


@dataclass(frozen=True)
class Metric:
    """A metric of predictions, measured for every task of its kind.

    Attributes:
        direction: None if the best value is 1: it can be a guard, not an objective.
        family: module in `bench/measure/heads` that implements it under its name.
        uninformed: its value for an uninformed model; None if it has none, as in the unit of the
            label.
        thousandths: whether it is of order 1, so that differences are shown in thousandths.
    """

    direction: Direction | None
    family: str
    uninformed: float | None = None
    thousandths: bool = True


METRICS: dict[TaskKind, dict[str, Metric]] = {
    "binary": {
        "auc": Metric("maximize", "order", 0.5),  # random scores
        "gauc": Metric("maximize", "order", 0.5),
        "gauc_positives": Metric("maximize", "order", 0.5),
        "logloss": Metric("minimize", "means", math.log(2)),  # one half for everyone
        "ne": Metric("minimize", "means", 1.0),  # the base rate for everyone
        "brier": Metric("minimize", "means", 0.25),  # one half for everyone
        "pcoc": Metric(None, "calibration", thousandths=False),
        "ece": Metric("minimize", "calibration", 1.0),  # the largest possible
    },
    "regression": {
        "rmse": Metric("minimize", "means", thousandths=False),
        "mae": Metric("minimize", "means", thousandths=False),
        "spearman": Metric("maximize", "order", 0.0),
        "xauc": Metric("maximize", "order", 0.5),
        "decile_error": Metric("minimize", "calibration", 1.0),  # 0 for everyone
    },
}
BY_NAME = METRICS["binary"] | METRICS["regression"]
"""Metrics of both kinds of tasks."""
COSTS: dict[str, Direction | None] = {
    "parameters": "minimize",
    "latency_ms": "minimize",
    "latency_p99_ms": "minimize",
}

AREAS = ("auc", "gauc", "gauc_positives")
"""Outcomes without a cut: areas under the ROC curve, over all rows or within groups."""
ROWS_A_GROUP, BY_CHANCE = 2, 0.7
"""Groups are too small to measure an order within them below this mean number of rows, or where a
random order has a higher mean `ndcg@5` than this, see `random_ndcg`."""


def random_ndcg(sizes: NDArray[np.integer[Any]]) -> float:
    """Mean `ndcg@5` of a random order, for groups of these sizes with one positive each: .71 for
    three rows.

    Ignores groups of one row, which have no order; 1 if there are no others. More positives a group
    increase it.
    """
    sizes = sizes[sizes > 1]
    if not len(sizes):
        return 1.0
    sums = np.cumsum(1 / np.log2(np.arange(2, 7)))
    return float((sums[np.minimum(sizes, len(sums)) - 1] / sizes).mean())


def ranked_by_group(sizes: NDArray[np.integer[Any]]) -> bool:
    """Whether groups of these sizes are large enough to measure an order within them."""
    if len(sizes) == 0 or sizes.mean() < ROWS_A_GROUP:
        return False
    return random_ndcg(sizes) <= BY_CHANCE


def ranks_groups(group: NDArray[Any]) -> bool:
    """Whether rows with these groups (N,), negative for none, are ranked within them."""
    _, sizes = np.unique(group[group >= 0], return_counts=True)
    return ranked_by_group(sizes)


MIXED = 20
"""Minimum number of groups with different labels that a task needs to be ranked within groups."""


def ranked_tasks(
    tasks: Sequence[Task], labels: NDArray[Any], group: NDArray[Any]
) -> frozenset[str]:
    """Tasks that are ranked within groups: groups are large enough, and `MIXED` or more have
    different labels.

    Labels (N, T) are joint, NaN where unobserved; `group` (N,) is negative for a row without one.
    """
    if not ranks_groups(group):
        return frozenset()
    order = np.argsort(group, kind="stable")
    order = order[np.searchsorted(group[order], 0) :]
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    highest = np.fmax.reduceat(labels[order], starts)
    lowest = np.fmin.reduceat(labels[order], starts)
    n_mixed = (highest > lowest).sum(axis=0)
    return frozenset(task.name for task, n in zip(tasks, n_mixed, strict=True) if n >= MIXED)


@dataclass(frozen=True)
class ListMetric:
    """A metric of a list: a group's rows by descending score, down to a cut. It is from 0 to 1, and
    more is better.

    Errors and intervals need no more than that: they come from the same metric on resamples.

    Attributes:
        module: where it is implemented under its name, see `bench.measure.lists.base`.
        binary: whether it counts positives and ignores the label's size; a regression does not have
            it.
        percent: whether its cut may be a percentage of all rows.
        needs_cut: whether its name must have a cut.
        share: whether it is a share of all positives or amounts in the list, so that shares of
            tasks can be valued.
        amounts: of a share of positives the metric that is the same share of amounts, which only a
            regression has.
        items: the kind of column that it is of, in place of a task; empty for tasks. Of numbers its
            name has a limit.
        title: of items what is counted, with `{column}` and `{limit}`.
    """

    module: str
    binary: bool = False
    percent: bool = False
    needs_cut: bool = True
    share: bool = False
    amounts: str = ""
    items: ItemKind | Literal[""] = ""
    title: str = ""


_GAINS = "bench.measure.lists.gains"
LISTS: dict[str, ListMetric] = {
    "ndcg": ListMetric(_GAINS),
    "recall": ListMetric(_GAINS, binary=True, percent=True, share=True, amounts="value"),
    "value": ListMetric(_GAINS, percent=True, share=True),
    "map": ListMetric("bench.measure.lists.positives", binary=True),
    "mrr": ListMetric("bench.measure.lists.positives", binary=True, needs_cut=False),
    "distinct": ListMetric(
        "bench.measure.lists.variety", percent=True, items="category", title="Distinct {column}"
    ),
    "below": ListMetric(
        _GAINS, percent=True, items="number", title="Rows with {column} below {limit:g}"
    ),
}
"""By the name before its cut, of lower-case letters and `_`. To add one, write its module and a
line here.
"""
CUT = r"(\d+(?:\.\d+)?)(?:-(\d+(?:\.\d+)?))?(%?)"
"""A cut, a last one where they are a range, and the sign of per cent."""
_RANKED = re.compile(rf"([a-z_]+)(\d+(?:\.\d+)?)?(?:@{CUT})?")


@dataclass(frozen=True)
class Ranked:
    """An outcome of a ranking, as in `ndcg@5`, `recall@10`, `recall@10%`, `recall@5-20%`, `map@10`,
    `mrr`, `value@5` or `value@10%`.

    Attributes:
        measure: a name in `LISTS`.
        cut: the number of top rows of each group, or their percentage of all rows; infinite without
            a cut. Of a range it is the last cut.
        percent: whether it is a percentage.
        limit: of `below7@5` it is 7, else 0.
        first: the first cut of a range, over which the share is averaged; else `cut`.
    """

    measure: str
    cut: float
    percent: bool
    limit: float
    first: float

    @property
    def of_random_order(self) -> float:
        """The expected share that a random order of all rows has in the cut, in per cent."""
        return (self.first + self.cut) / 2


def ranked(metric: str) -> Ranked | None:
    """Parses the name of an outcome without its task; None if it is no outcome of a ranking."""
    match = _RANKED.fullmatch(metric)
    if match is None or match[1] not in LISTS:
        return None
    name, limit_text, first_text, last_text, percent_sign = match.groups()
    measure = LISTS[name]
    first = float(first_text or math.inf)
    cut = float(last_text or first)
    if last_text and not (percent_sign and measure.share and 0 < first < cut):
        return None
    if cut <= 0 or (measure.needs_cut and cut == math.inf):
        return None
    if percent_sign and (cut > 100 or not measure.percent):
        return None
    if not percent_sign and cut != math.inf and cut != int(cut):
        return None
    limit = float(limit_text or 0)
    if (measure.items == "number") != (limit > 0) or (limit_text and not limit):
        return None
    return Ranked(name, cut, bool(percent_sign), limit, first)


def adds_up(metric: str) -> bool:
    """Whether an outcome's metric is a share of all that happens in all rows, as `recall@10%`
    is.
    """
    outcome = ranked(metric)
    return outcome is not None and outcome.percent and LISTS[outcome.measure].share


def in_amounts(name: str) -> str:
    """The outcome where labels are amounts: `like.value@10%` of `like.recall@10%`; itself where it
    has no other.
    """
    task, _, metric = name.partition(".")
    outcome = ranked(metric)
    if outcome is None or not LISTS[outcome.measure].amounts:
        return name
    return f"{task}.{LISTS[outcome.measure].amounts}{metric.removeprefix(outcome.measure)}"


def item_kinds(categories: Iterable[str], numbers: Iterable[str]) -> dict[str, ItemKind]:
    """The kinds of columns of items, by name."""
    return {**dict.fromkeys(categories, "category"), **dict.fromkeys(numbers, "number")}


def of_items(name: str) -> bool:
    """Whether a name without split, also of a segment, is an outcome of items:
    `author.distinct@5`.
    """
    outcome = ranked(metric_of(name.partition("[")[0]))
    return outcome is not None and LISTS[outcome.measure].items != ""


@dataclass(frozen=True)
class Objective:
    """A named metric with a direction, without its split: `income.auc`, or a cost:
    `cost/parameters`.
    """

    name: str
    direction: Direction

    @property
    def is_metric(self) -> bool:
        """Whether it is measured on a split of the data, as costs are not."""
        return not self.name.startswith("cost/")

    def key(self, split: str) -> str:
        """Its key in a trial's metrics; costs are the same on every split."""
        return key_on(self.name, split)

    @property
    def sign(self) -> float:
        """+1 to maximise, -1 to minimise: `sign * value` is always better when larger."""
        return 1.0 if self.direction == "maximize" else -1.0


def names_of(objectives: Iterable[Objective]) -> list[str]:
    """Their names, without split."""
    return [objective.name for objective in objectives]


def keys_on(objectives: Iterable[Objective], split: str) -> list[str]:
    """Their keys in a trial's metrics on a split."""
    return [objective.key(split) for objective in objectives]


def signs_of(objectives: Iterable[Objective]) -> NDArray[np.float64]:
    """(M,): `signs * values` are better when larger, see `Objective.sign`."""
    return np.array([objective.sign for objective in objectives])


def only_metrics(objectives: Iterable[Objective]) -> list[Objective]:
    """Those that are measured on a split of the data, which costs are not."""
    return [objective for objective in objectives if objective.is_metric]


def values_in(
    metrics: Mapping[str, float], objectives: Iterable[Objective], split: str
) -> list[float]:
    """What a trial's metrics have of each objective on a split; NaN where one is missing."""
    return [metrics.get(objective.key(split), math.nan) for objective in objectives]


def key_on(name: str, split: str) -> str:
    """The key of a metric on a split, or of a cost, which is the same on every split."""
    if name.startswith("cost/"):
        return name
    return f"{split}/{name}"


def in_thousandths(objective: str) -> bool:
    """Whether differences in an objective are shown in thousandths."""
    metric = metric_of(objective)
    if metric in BY_NAME and BY_NAME[metric].thousandths:
        return True
    return ranked(metric) is not None


def metric_of(name: str) -> str:
    """The metric in a name without split: `auc` of `buy.ctcvr.auc`, `recall@2.5%` of
    `like.recall@2.5%`.
    """
    _, _, after_task = name.partition(".")
    if ranked(after_task):
        return after_task
    return name.rpartition(".")[2]


def direction_of(name: str) -> Direction | None:
    """The direction of a metric or cost without split, also of a segment; None if it has none."""
    bare = name.partition("[")[0]
    if bare.startswith("cost/"):
        return COSTS.get(bare.removeprefix("cost/"))
    metric = metric_of(bare)
    if ranked(metric):
        return "maximize"
    return BY_NAME[metric].direction if metric in BY_NAME else None


def metric_names(task: Task) -> dict[str, Direction | None]:
    """Metrics of a task that are always measured, without split: name -> direction (None: not an
    objective).
    """
    directions = {}
    for space in ("",) if task.parent is None else ("cvr.", "ctcvr."):
        for name, metric in METRICS[task.kind].items():
            directions[f"{task.name}.{space}{name}"] = metric.direction
    return directions


def primary(task: Task, in_groups: bool) -> str:
    """A task's default objective, on all impressions.

    Where it is ranked in groups: the area under the curve within groups (GAUC, weighted by rows),
    or `ndcg@5` of a regression. Elsewhere AUC over all rows, or Spearman correlation.
    docs/studies/search.md compares the picks.
    """
    if task.kind == "regression":
        metric = "ndcg@5" if in_groups else "spearman"
    else:
        metric = "gauc" if in_groups else "auc"
    space = "" if task.parent is None or ranked(metric) else "ctcvr."
    return f"{task.name}.{space}{metric}"


def check_counted(names: Iterable[str], where: str) -> None:
    """Raises UserError for an outcome of lists or of items, in which a row has one place, whatever
    it counts.
    """
    for name in names:
        outcome = ranked(metric_of(name))
        if outcome is not None and (not outcome.percent or LISTS[outcome.measure].items):
            raise UserError(
                f"{where}: expected outcomes of all rows (recall@10%) beside a propensity, found "
                f"{name}: in a list a row has one place, whatever its chance to be shown was"
            )


def default_outcomes(
    tasks: Sequence[Task], group: NDArray[Any], counted: bool = False
) -> tuple[str, ...]:
    """One of each task: `ndcg@5` if groups are large enough, else `recall@10%`, `value@10%` of a
    regression.

    Groups are large enough if they have two rows on average, and a random order of them scores
    little (`ranks_groups`).

    Args:
        group: (N,), negative where a row has none.
        counted: whether rows count by propensities, so that no list has places for them, see
            `check_counted`.
    """
    if not counted and ranks_groups(group):
        return tuple(f"{task.name}.ndcg@5" for task in tasks)
    shares = {"binary": "recall@10%", "regression": "value@10%"}
    return tuple(f"{task.name}.{shares[task.kind]}" for task in tasks)


def parse(name: str, tasks: tuple[Task, ...], where: str) -> Objective:
    """Parses an objective: a head's metric, a cost or an outcome; raises UserError if the tasks
    cannot have it.
    """
    directions = {f"cost/{cost}": direction for cost, direction in COSTS.items()}
    for task in tasks:
        directions |= metric_names(task)
    if name not in directions:
        if "@" in name or ranked(name.partition(".")[2]):
            return outcome(name, tasks, where)
        raise UserError(f"{where}: {unknown('metric', name, directions)}")
    direction = directions[name]
    if direction is None:
        raise UserError(
            f"{where}: '{name}' has no best direction and cannot be an objective; use it as a guard"
        )
    return Objective(name, direction)


def outcome(
    name: str, tasks: tuple[Task, ...], where: str, items: Mapping[str, ItemKind] | None = None
) -> Objective:
    """Parses an outcome of a ranking, as in `like.recall@10%`, `like.gauc` or, of `items`,
    `author.distinct@5`.

    Raises:
        UserError: the tasks and columns of items cannot have it; with an example.
    """
    subject, _, metric = name.partition(".")
    items = items or {}
    for task in tasks:
        if task.name == subject:
            _check_outcome_of_task(name, task, metric, where)
            return Objective(name, "maximize")
    if subject not in items:
        kind = "task or column of items" if items else "task"
        subjects = [*(task.name for task in tasks), *items]
        raise UserError(f"{where}: outcome '{name}': {unknown(kind, subject, subjects)}")
    parsed = ranked(metric)
    if parsed is None or LISTS[parsed.measure].items != items[subject]:
        example = next(name for name, metric in LISTS.items() if metric.items == items[subject])
        example += "@5" if items[subject] == "category" else "7@5"
        raise UserError(
            f"{where}: expected an outcome of items such as {subject}.{example}, found '{name}'"
        )
    return Objective(name, "maximize")


def _check_outcome_of_task(name: str, task: Task, metric: str, where: str) -> None:
    outcome = ranked(metric)
    if outcome is not None and LISTS[outcome.measure].items:
        outcome = None
    if task.kind == "regression":
        if outcome is None or LISTS[outcome.measure].binary:
            examples = f"{task.name}.value@10%, {task.name}.value@5 or {task.name}.ndcg@5"
            raise UserError(
                f"{where}: expected an outcome of a regression such as {examples}, found '{name}'"
            )
        return
    if outcome is None:
        if metric not in AREAS:
            examples = f"{task.name}.ndcg@5, {task.name}.recall@10 or {task.name}.recall@10%"
            raise UserError(f"{where}: expected an outcome such as {examples}, found '{name}'")
        return
    for binary_name, binary_measure in LISTS.items():
        if binary_measure.amounts == outcome.measure:
            right = f"{task.name}.{binary_name}{metric.removeprefix(outcome.measure)}"
            raise UserError(f"{where}: '{name}' is of a binary task; write '{right}'")


def beside_tasks(names: Sequence[str], default: Sequence[str]) -> list[str]:
    """Outcomes that are asked for; where all of these are of items, beside those that tasks have by
    default.
    """
    if all(of_items(name) for name in names):
        return [*default, *names]
    return [*names]


def outcomes_of(names: Iterable[str]) -> tuple[str, ...]:
    """Outcomes with a cut among names without split, each once; a segment, as in `[country=US]`, is
    ignored.
    """
    outcomes: dict[str, None] = {}  # a set in order
    for name in names:
        bare = name.partition("[")[0]
        if ranked(bare.partition(".")[2]):
            outcomes[bare] = None
    return tuple(outcomes)
