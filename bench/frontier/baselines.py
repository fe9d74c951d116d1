"""The table of baselines: what a front must be better than, trained and measured with the same care."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.frontier.estimates import estimate
from bench.frontier.gains import BASELINE, baselines
from bench.frontier.intervals import intervals
from bench.frontier.points import Key, key_of
from bench.frontier.samples import sample
from bench.frontier.table import replicate_keys
from bench.objectives import Objective
from bench.records import TrialRecord
from bench.rows import CONFIRM, TEST


def baseline_table(
    points: Sequence[TrialRecord], others: Sequence[TrialRecord], objectives: Sequence[Objective]
) -> pd.DataFrame:
    """A row for each baseline that has replicates.

    Columns: `name` (`single_task`, then `equal_weights`, `random_weights`, `trees`), `trial` (of `single_task`, those
    of its tasks, as in `3, 17`), `replicates` (of its tasks the fewest), and for every key of an objective, on
    confirmation rows and test, `<key>.mean`, `<key>.low` and `<key>.high`. `single_task` has of each objective the
    single-task point that confirmation rows rank best in it. A cost of `single_task` is that point's, too, and not the
    sum over tasks.

    Args:
        others: records of baselines that are no trials; of several of one name the last counts.
    """
    by_point = {key_of(point): point for point in [*points, *others]}
    singles = {name: (best.trial, best.until) for name, best in baselines(points, objectives).items()}
    rows: list[tuple[str, str, dict[str, Key]]] = []
    if singles and all(by_point[key].replicates for key in singles.values()):
        trials = ", ".join(str(number) for number in sorted({key[0] for key in singles.values()}))
        rows.append((BASELINE, trials, singles))
    for name, record in {record.architecture: record for record in others}.items():
        by_point[key_of(record)] = record
        rows.append((name, "", {objective.name: key_of(record) for objective in objectives}))
    found: list[dict[str, Any]] = []
    for name, trials, sources in rows:
        counts = [len([r for r in by_point[key].replicates if r.failure is None]) for key in sources.values()]
        found.append({"name": name, "trial": trials, "replicates": min(counts)})
    for objective in objectives:
        for split in (CONFIRM, TEST) if objective.is_metric else (CONFIRM,):
            key = objective.key(split)
            known = {at: drawn for at, point in by_point.items() if (drawn := sample(point, [key]))}
            bounds = dict(zip(known, intervals(list(known.values())) or (), strict=False))
            for row, (_, _, sources) in zip(found, rows, strict=True):
                at = sources.get(objective.name)
                row[f"{key}.mean"] = estimate(by_point[at], objective.name, split) if at in known else np.nan
                row[f"{key}.low"] = bounds[at][0].low if at in bounds else np.nan
                row[f"{key}.high"] = bounds[at][0].high if at in bounds else np.nan
    fixed = ["name", "trial", "replicates"]
    parts = [f"{key}.{part}" for key in replicate_keys(objectives) for part in ("mean", "low", "high")]
    return pd.DataFrame(found, columns=[*fixed, *parts])
