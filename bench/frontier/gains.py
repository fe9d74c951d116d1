"""What sharing buys: each trial against the best single-task model, task by task.

The baseline of an objective is the single-task trial that validation ranks best in it, so that every task is compared
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
    """The single-task trial that an objective is measured against, and its value."""

    trial: int
    value: float


def best(records: Sequence[TrialRecord], objective: Objective) -> TrialRecord | None:
    """The trial with the best validation estimate of one objective, the first of equals; None without a finite one."""
    key = objective.key("valid")
    comparable = [record for record in candidates(records) if math.isfinite(estimate(record, key))]
    return max(comparable, key=lambda record: (objective.sign * estimate(record, key), -record.number), default=None)


def baselines(
    records: Sequence[TrialRecord], objectives: Sequence[Objective], split: str = "valid"
) -> dict[str, Baseline]:
    """The baseline of each objective by its name, chosen on validation, with its value on `split`.

    An objective that no single-task trial has measured is left out.
    """
    single = [record for record in records if record.sharing == BASELINE or record.baseline]
    found = {objective: best(single, objective) for objective in objectives}
    return {
        objective.name: Baseline(record.number, estimate(record, objective.key(split)))
        for objective, record in found.items()
        if record is not None
    }


def gain(
    record: TrialRecord, objectives: Sequence[Objective], against: Mapping[str, Baseline], split: str = "valid"
) -> dict[str, float]:
    """A trial's gain over the baselines by objective name; NaN where either side has no value."""
    return {
        each.name: each.sign * (estimate(record, each.key(split)) - against[each.name].value)
        if each.name in against
        else math.nan
        for each in objectives
    }


def gains(records: Sequence[TrialRecord], objectives: Sequence[Objective], split: str = "valid") -> pd.DataFrame:
    """Gain of each trial with a result (index `trial`) in each objective (a column for each name)."""
    against = baselines(records, objectives, split)
    measured = sorted((record for record in records if record.measured), key=lambda record: record.number)
    rows = [gain(record, objectives, against, split) for record in measured]
    index = pd.Index([record.number for record in measured], name="trial", dtype="int64")
    return pd.DataFrame(rows, index=index, columns=[each.name for each in objectives], dtype=float)
