"""What is known of a configuration's value: the mean over its replicates, or the one value the search saw.

A search value belongs to a trial that was looked at *because* it came out well, so it is too good on average;
replicates on fresh seeds are not. The two are never set against each other: where any point has been confirmed, only
confirmed points are candidates. The search's own run is not one of the replicates, for the same reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.objectives import Objective
from bench.records import TrialRecord

Floats = NDArray[np.float64]


def replicated(record: TrialRecord, key: str) -> list[float]:
    """A metric's values over the replicates that did not fail."""
    return [run.metrics[key] for run in record.replicates if run.failure is None and key in run.metrics]


def confirmed(record: TrialRecord) -> bool:
    """Whether at least one replicate has a result."""
    return any(run.failure is None for run in record.replicates)


def candidates(points: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The points that may be compared: those with a result, and confirmed where any of them is."""
    measured = [point for point in points if point.measured]
    return [point for point in measured if confirmed(point)] or measured


def estimate(record: TrialRecord, key: str) -> float:
    """Replicate mean, else the search's value, else NaN."""
    values = replicated(record, key)
    return float(np.mean(values)) if values else record.metrics.get(key, np.nan)


def estimates(records: Sequence[TrialRecord], objectives: Sequence[Objective], split: str = "valid") -> Floats:
    """Values (N, M) of N trials on M objectives, in natural units."""
    rows = [[estimate(record, objective.key(split)) for objective in objectives] for record in records]
    return np.array(rows, dtype=float).reshape(len(records), len(objectives))
