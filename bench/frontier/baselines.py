"""The table of baselines: what a front must be better than, trained and measured with the same care."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.frontier.composite import composite
from bench.frontier.intervals import intervals
from bench.frontier.samples import sample
from bench.frontier.table import replicate_keys
from bench.objectives import Objective
from bench.records import COMPOSITE, STATIC_WEIGHTS, TrialRecord


def baseline_table(
    points: Sequence[TrialRecord], others: Sequence[TrialRecord], objectives: Sequence[Objective]
) -> pd.DataFrame:
    """A row for each baseline that has replicates.

    Columns: `name` (`single_task`, see `bench.frontier.composite`, then those of `others`, see `name_of`), `trial` (of
    `single_task`, those of its tasks, as in `3, 17`), `replicates`, and for every key of an objective, on
    confirmation rows and test, `<key>.mean`, `<key>.low` and `<key>.high`.

    Args:
        others: records of baselines that are no trials; of several of one name the last counts.
    """
    single = composite(points, objectives)
    rows = [record for record in (single, *latest(others)) if record is not None]
    table: list[dict[str, Any]] = [
        {"name": name_of(row), "trial": _trials(row), "replicates": sum(not run.failure for run in row.replicates)}
        for row in rows
    ]
    for key in replicate_keys(objectives):
        known = {id(record): one for record in [*points, *rows] if (one := sample(record, [key]))}
        bounds = dict(zip(known, intervals(list(known.values())) or (), strict=False))
        for cells, record in zip(table, rows, strict=True):
            at = bounds.get(id(record))
            cells[f"{key}.mean"] = float(known[id(record)].mean[0]) if id(record) in known else np.nan
            cells[f"{key}.low"], cells[f"{key}.high"] = (at[0].low, at[0].high) if at else (np.nan, np.nan)
    parts = [f"{key}.{part}" for key in replicate_keys(objectives) for part in ("mean", "low", "high")]
    return pd.DataFrame(table, columns=["name", "trial", "replicates", *parts])


def latest(others: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Of baselines of one name the last, in the order in which names first come."""
    return list({name_of(record): record for record in others}.values())


def name_of(record: TrialRecord) -> str:
    """The name of a baseline, as in `trees` and, of static weights, `static_weights 4:1`, in the tasks' order."""
    if not record.weights or record.number != STATIC_WEIGHTS:
        return record.architecture
    least = min(record.weights.values())
    return f"{record.architecture} {':'.join(f'{weight / least:.3g}' for weight in record.weights.values())}"


def _trials(record: TrialRecord) -> str:
    if record.number != COMPOSITE:
        return ""
    prefix = f"{record.sharing}."
    numbers = {int(str(number)) for key, number in record.config.items() if key.startswith(prefix)}
    return ", ".join(map(str, sorted(numbers)))
