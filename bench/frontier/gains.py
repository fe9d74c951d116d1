"""What sharing buys: each point against the best single-task model, task by task.

The baseline of an objective is the single-task point that validation ranks best in it, so that every task is compared
with a model tuned for that task. Gains are in the metric's own unit and positive where the trial is better.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from bench.frontier.estimates import candidates, estimate
from bench.objectives import Objective
from bench.records import TrialRecord

BASELINE = "single_task"


@dataclass(frozen=True)
class Baseline:
    """The single-task point that an objective is measured against, and its value; `until` as in `TrialRecord`."""

    trial: int
    value: float
    until: int | None = None


def best(points: Sequence[TrialRecord], objective: Objective) -> TrialRecord | None:
    """The point with the best validation estimate of one objective, of equals the first trial, at its longest.

    None without a finite one.
    """
    key = objective.key("valid")
    comparable = [point for point in candidates(points) if math.isfinite(estimate(point, key))]

    def merit(point: TrialRecord) -> tuple[float, int, int]:
        return objective.sign * estimate(point, key), -point.number, len(point.rungs)

    return max(comparable, key=merit, default=None)


def baselines(
    points: Sequence[TrialRecord], objectives: Sequence[Objective], split: str = "valid"
) -> dict[str, Baseline]:
    """The baseline of each objective by its name, chosen on validation, with its value on `split`.

    An objective that no single-task trial has measured is left out.
    """
    single = [point for point in points if point.sharing == BASELINE or point.baseline]
    found = {objective: best(single, objective) for objective in objectives}
    return {
        objective.name: Baseline(point.number, estimate(point, objective.key(split)), point.until)
        for objective, point in found.items()
        if point is not None
    }


def gain(
    record: TrialRecord, objectives: Sequence[Objective], against: Mapping[str, Baseline], split: str = "valid"
) -> dict[str, float]:
    """A point's gain over the baselines by objective name; NaN where either side has no value."""
    return {
        each.name: each.sign * (estimate(record, each.key(split)) - against[each.name].value)
        if each.name in against
        else math.nan
        for each in objectives
    }


def gains(points: Sequence[TrialRecord], objectives: Sequence[Objective], split: str = "valid") -> pd.DataFrame:
    """Gain of each point with a result (index `trial`) in each objective (a column for each name), by trial."""
    against = baselines(points, objectives, split)
    measured = sorted((point for point in points if point.measured), key=lambda point: point.number)
    rows = [gain(point, objectives, against, split) for point in measured]
    index = pd.Index([point.number for point in measured], name="trial", dtype="int64")
    return pd.DataFrame(rows, index=index, columns=[each.name for each in objectives], dtype=float)
