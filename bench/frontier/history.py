"""How the hypervolume grew over a search, by what it saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from bench.frontier.hypervolume import running
from bench.objectives import Objective
from bench.records import TrialRecord
from bench.rows import SEARCH

FINISHED = ("completed", "failed", "pruned")


def history(
    records: Sequence[TrialRecord], objectives: Sequence[Objective], reference: Mapping[str, float]
) -> pd.DataFrame:
    """A row after each finished trial, by number: `trial, hypervolume`. A failed trial adds nothing.

    In a search by rungs a row after each result, in the order of the jobs that gave them: `trial, samples,
    hypervolume`. `samples` are those that all results up to there have trained on; what failed is not among them.
    """
    if any(record.rungs for record in records):
        return _by_rungs(records, objectives, reference)
    ordered = sorted(records, key=lambda record: record.number)
    finished = [record for record in ordered if record.measured or record.state in FINISHED]
    metrics = [record.metrics if record.measured else {} for record in finished]
    numbers = [record.number for record in finished]
    return pd.DataFrame({"trial": numbers, "hypervolume": _volumes(metrics, objectives, reference)})


def _by_rungs(
    records: Sequence[TrialRecord], objectives: Sequence[Objective], reference: Mapping[str, float]
) -> pd.DataFrame:
    results = []
    for record in records:
        before = 0
        for rung in record.rungs:
            results.append((rung.order, record.number, rung.samples - before, rung.metrics))
            before = rung.samples
    results.sort(key=lambda result: result[0])
    _, numbers, samples, metrics = zip(*results, strict=True)
    volumes = _volumes(metrics, objectives, reference)
    return pd.DataFrame({"trial": numbers, "samples": np.cumsum(samples), "hypervolume": volumes})


def _volumes(
    metrics: Sequence[Mapping[str, float]], objectives: Sequence[Objective], reference: Mapping[str, float]
) -> np.ndarray:
    values = [[each.get(objective.key(SEARCH), np.nan) for objective in objectives] for each in metrics]
    return running(np.array(values, dtype=float).reshape(len(metrics), len(objectives)), objectives, reference)
