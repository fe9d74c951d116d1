"""Metric names and directions.

A metric key is `<split>/<task>.<metric>`, as in `valid/income.auc`. For a task with a parent the sample space comes
between: `long_view.cvr.auc` is measured where the parent happened, `long_view.ctcvr.auc` on all impressions.
Costs have no split and no task: `cost/parameters`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast

from bench.errors import UserError, unknown
from bench.schema import Task

Direction = Literal["maximize", "minimize"]

BINARY_METRICS: dict[str, Direction | None] = {
    "auc": "maximize",
    "gauc": "maximize",
    "logloss": "minimize",
    "ne": "minimize",
    "pcoc": None,  # best at 1: a guard, not an objective
    "ece": "minimize",
}
REGRESSION_METRICS: dict[str, Direction | None] = {"rmse": "minimize", "spearman": "maximize"}
THOUSANDTHS = ("auc", "gauc", "logloss", "ne", "ece", "spearman")
"""Metrics of the order of 1 whose differences are read in thousandths."""
COSTS: dict[str, Direction | None] = {
    "parameters": "minimize",
    "latency_ms": "minimize",
    "latency_p99_ms": "minimize",
}

AREAS = ("auc", "gauc", "gauc_positives")
"""Outcomes without a cut: areas under the ROC curve, over all rows or within groups."""

_RANKED = re.compile(r"(ndcg|recall|value)@(\d+(?:\.\d+)?)(%?)")


@dataclass(frozen=True)
class Ranked:
    """An outcome of a ranking, as in `ndcg@5`, `recall@10`, `recall@10%`, `value@5` or `value@10%`.

    Attributes:
        measure: `ndcg`, `recall` (share of the positives), or `value` (share of a number, such as seconds watched).
        cut: how many rows are at the top: of each group, or in per cent of all rows.
        percent: whether the cut is in per cent.
    """

    measure: Literal["ndcg", "recall", "value"]
    cut: float
    percent: bool


def ranked(metric: str) -> Ranked | None:
    """The outcome that a metric's name stands for, without its task; None where it is no outcome of a ranking."""
    found = _RANKED.fullmatch(metric)
    if found is None:
        return None
    cut, percent = float(found[2]), bool(found[3])
    if cut <= 0 or (percent and (cut > 100 or found[1] == "ndcg")) or (not percent and cut != int(cut)):
        return None
    return Ranked(cast(Literal["ndcg", "recall", "value"], found[1]), cut, percent)


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
    return objective.rpartition(".")[2] in THOUSANDTHS


def metric_names(task: Task) -> dict[str, Direction | None]:
    """Every metric of a task, without split: name -> direction (None: not an objective)."""
    if task.kind == "regression":
        return {f"{task.name}.{metric}": way for metric, way in REGRESSION_METRICS.items()}
    spaces = ("",) if task.parent is None else ("cvr.", "ctcvr.")
    return {f"{task.name}.{space}{metric}": way for space in spaces for metric, way in BINARY_METRICS.items()}


def primary(task: Task) -> str:
    """The metric that stands for a task where none is named: AUC on all impressions, or Spearman correlation."""
    if task.kind == "regression":
        return f"{task.name}.spearman"
    return f"{task.name}.auc" if task.parent is None else f"{task.name}.ctcvr.auc"


def parse(name: str, tasks: tuple[Task, ...], where: str) -> Objective:
    """The objective of that name.

    Raises:
        UserError: unknown, or a metric that cannot be an objective.
    """
    known = {metric: way for task in tasks for metric, way in metric_names(task).items()}
    known |= {f"cost/{cost}": way for cost, way in COSTS.items()}
    if name not in known:
        raise UserError(f"{where}: {unknown('metric', name, known)}")
    direction = known[name]
    if direction is None:
        raise UserError(f"{where}: '{name}' has no best direction and cannot be an objective; use it as a guard")
    return Objective(name, direction)
