"""Online metrics as the log has them: events per unit, such as clicks per user, and how much units
differ.

A change is log(mean of one arm / mean of the other). By the delta method its variance is that of a
unit over the squared mean, over the units of each arm (Deng, Knoblich and Lu, KDD 2018).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.errors import UserError, check_known
from bench.deciding.plan.looks import FIXED
from bench.measure.predictions import KeptRows
from bench.measure.resamples import units_of


@dataclass(frozen=True)
class OnlineMetric:
    """An online metric.

    Attributes:
        task: empty where it is of several; `title`: what is counted.
        mean: of a unit; `spread`: a unit's variance over the squared mean; `happened`: units with
            any.
    """

    task: str
    title: str
    mean: float
    spread: float
    happened: int

    @staticmethod
    def of(task: str, title: str, sums: Floats) -> OnlineMetric:
        """Of sums by unit (n,)."""
        mean = float(sums.mean())
        spread = float((sums / mean).var())
        happened = int((sums > 0).sum())
        return OnlineMetric(task, title, mean, spread, happened)

    def needed(self, gain: float, margin: float = 0.0, errors: float = FIXED) -> float:
        """Units an arm with which a true gain is that many standard errors from a margin; both are
        fractions.
        """
        distance = math.log1p(gain) - math.log1p(margin)
        return 2 * self.spread * (errors / distance) ** 2

    def shown(self, units: float, errors: float = FIXED) -> float:
        """The gain that is worth that many standard errors with these units an arm."""
        standard_error = math.sqrt(2 * self.spread / units)
        return math.expm1(min(errors * standard_error, 700.0))


def plural(unit: str) -> str:
    """The plural of a unit: users for `user_id`."""
    return (re.sub(r"(?<=...)_?id$", "", unit, flags=re.I) or unit) + "s"


def unit_of(
    rows: KeptRows, asked: str | None, columns: tuple[str | None, str | None]
) -> tuple[str, NDArray[np.uint64]]:
    """The unit that a test assigns to an arm, and that of each row (n,); raises UserError for an
    unknown one.

    Args:
        asked: a column, the same without `id`, or `row`; None for the units, else the group, else
            the row.
        columns: of the units and of the group; None where there are none.
    """
    units, group = columns
    default = units or group or "row"
    codes = {"row": np.arange(rows.kept, dtype=np.uint64)}
    if group:
        codes[group] = units_of(rows.group, 0)
    codes[default] = rows.units
    column = default
    if asked is not None:
        column_of = {plural(name)[:-1]: name for name in codes}
        column = column_of.get(asked, asked)
    check_known("unit", column, codes, "--unit")
    return column, codes[column]


def metrics_of(
    rows: KeptRows,
    units: NDArray[np.uint64],
    unit: str,
    weights: Mapping[str, float],
    values: Mapping[str, float],
) -> tuple[OnlineMetric, ...]:
    """What stands for a policy's utility, if changes are small, then other tasks; UserError where
    units do not differ.

    Args:
        weights: by task, of the policy's rule; values: by task what an event is worth, else empty.
    """
    sums = _sums_by_unit(rows, units)
    metrics = []
    for task, sums_of_task in sums.items():
        if sums_of_task.min() == sums_of_task.max():
            raise UserError(
                f"--unit: expected {plural(unit)} of test that differ in '{task}', found "
                f"{sums_of_task[0]:g} in each"
            )
        metrics.append(OnlineMetric.of(task, f"{task} per {unit}", sums_of_task))

    weight_of = {task: weight for task, weight in (values or weights).items() if weight}
    if len(weight_of) == 1:
        return tuple(sorted(metrics, key=lambda metric: metric.task not in weight_of))
    return (_index(unit, sums, weight_of, bool(values)), *metrics)


def _index(
    unit: str, sums: Mapping[str, Floats], weight_of: Mapping[str, float], has_values: bool
) -> OnlineMetric:
    """The weighted sum of several tasks: of their values, else of each over its mean."""
    terms = " + ".join(f"{weight:.3g} {task}" for task, weight in weight_of.items())
    total = np.zeros(len(next(iter(sums.values()))))
    for task, weight in weight_of.items():
        scale = 1.0 if has_values else sums[task].mean()
        total += weight * sums[task] / scale
    title = f"index per {unit}, {terms}, each over its mean"
    if has_values:
        title = f"value per {unit}, {terms}"
    return OnlineMetric.of("", title, total)


def _sums_by_unit(rows: KeptRows, units: NDArray[np.uint64]) -> dict[str, Floats]:
    """By task its events (n,) in the rows of each unit, weighted as rows are."""
    unit_of_row = np.unique(units, return_inverse=True)[1]
    events = np.nan_to_num(rows.labels.astype(np.float64))
    if rows.weights is not None:
        events = events * rows.weights[:, None]
    sums = {}
    for column, task in enumerate(rows.tasks):
        sums[task] = np.bincount(unit_of_row, events[:, column]).astype(np.float64)
    return sums
