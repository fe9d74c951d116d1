"""The frontier's table before anything is compared: what was measured at each point, one row each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.frontier.estimates import replicated
from bench.objectives import Objective
from bench.records import Point
from bench.rows import CONFIRM, SEARCH, TEST


def tabulate(points: Sequence[Point], objectives: Sequence[Objective]) -> pd.DataFrame:
    """The rows of `Frontier.table`, without its last columns. An empty run has its columns too."""
    unused = Point("trees", {}, "")  # so that there are columns
    table = pd.DataFrame([_row(point, objectives) for point in (*points, unused)]).iloc[:-1]
    if not any(point.rungs for point in points):
        table = table.drop(columns=["rung", "samples"])
    whole = [name for name in ("trial", "rung", "samples") if name in table]
    return table.astype(dict.fromkeys(whole, "Int64"))  # which a baseline may lack


def replicate_keys(objectives: Sequence[Objective]) -> list[str]:
    """Keys whose replicate means and deviations the table holds; a cost has one key for all splits."""
    return list(dict.fromkeys(each.key(split) for split in (CONFIRM, TEST) for each in objectives))


def _row(record: Point, objectives: Sequence[Objective]) -> dict[str, Any]:
    failed = sum(run.failure is not None for run in record.replicates)
    row: dict[str, Any] = {
        "point": record.id,
        "name": record.name,
        "role": record.role,
        "trial": record.number,
        "rung": len(record.rungs) - 1 if record.rungs else None,
        "samples": record.samples,
        "architecture": record.architecture,
        "sharing": record.sharing,
        "funnel": record.funnel,
        "balancing": record.balancing,
        "baseline": record.baseline,
        "config": json.dumps(record.config),
    }
    row |= {each.key(SEARCH): record.metrics.get(each.key(SEARCH), np.nan) for each in objectives}
    row |= {"replicates": len(record.replicates) - failed, "replicates_failed": failed}
    for key in replicate_keys(objectives):
        values = replicated(record, key)
        row[f"{key}.mean"] = np.mean(values) if values else np.nan
        row[f"{key}.sd"] = np.std(values, ddof=1) if len(values) > 1 else np.nan
    return row
