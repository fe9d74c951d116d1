"""What is known of a configuration's value: the mean over its replicates, or the one value the search saw.

A search value belongs to a trial that was chosen because it came out well on validation, so it is too good on average;
replicates on fresh seeds, measured on confirmation rows, are not. The two are never compared: where any point has been
confirmed, only confirmed points are candidates. The search's own run is not one of the replicates, for the same reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.objectives import Objective, key_on
from bench.records import Point
from bench.rows import CONFIRM, SEARCH

Floats = NDArray[np.float64]


def replicated(record: Point, key: str) -> list[float]:
    """A metric's values over the replicates that did not fail."""
    return [run.metrics[key] for run in record.replicates if run.failure is None and key in run.metrics]


def confirmed(record: Point) -> bool:
    """Whether at least one replicate has a result."""
    return any(run.failure is None for run in record.replicates)


def candidates(points: Iterable[Point]) -> list[Point]:
    """The points that may be compared: the confirmed, or all where none is."""
    every = list(points)
    return [point for point in every if confirmed(point)] or every


def rows_of(points: Iterable[Point]) -> str:
    """The split that points are compared on: `CONFIRM` where any is confirmed, else `SEARCH`."""
    return CONFIRM if any(map(confirmed, candidates(points))) else SEARCH


def estimate(record: Point, name: str, split: str = CONFIRM) -> float:
    """The value of a metric or a cost, by its name without split.

    Of a confirmed record it is the mean of its replicates on `split`; of another the search's value on validation, and
    none on test. NaN where nothing was measured.
    """
    if confirmed(record):
        values = replicated(record, key_on(name, split))
        return float(np.mean(values)) if values else record.metrics.get(name, np.nan)  # a cost
    return record.metrics.get(key_on(name, SEARCH if split == CONFIRM else split), np.nan)


def estimates(records: Sequence[Point], objectives: Sequence[Objective], split: str = CONFIRM) -> Floats:
    """Values (N, M) of N trials on M objectives, in natural units; see `estimate`."""
    rows = [[estimate(record, objective.name, split) for objective in objectives] for record in records]
    return np.array(rows, dtype=float).reshape(len(records), len(objectives))
