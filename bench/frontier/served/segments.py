"""Outcomes of serving points by segment: measured on the segment's rows alone, against the current point there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.frontier.served.errors import Points
from bench.frontier.served.front import told
from bench.frontier.served.measuring import Meter
from bench.fusion import Fusion
from bench.objectives import Objective
from bench.outcomes.measure import Measure
from bench.predictions import Rows

Floats = NDArray[np.float64]

LEAST = 20
"""A segment has at least so many rows with a positive label of a task, or the task's outcomes are not told of it."""
COLUMNS = ["row", "segment", "split", "outcome", "value", "low", "high", "gain", "gain.low", "gain.high"]


def segment_names(rows: Rows) -> list[tuple[str, NDArray[np.bool_]]]:
    """The name of each segment (`country=US`), and which rows are in it."""
    return [
        (f"{name}={value}", np.asarray(rows.codes[:, column] == code))
        for column, (name, values) in enumerate(rows.segments.items())
        for code, value in enumerate(values)
    ]


def segment_table(
    meter: Meter,
    rows: Rows,
    of: Sequence[int],
    at: Sequence[int],
    settings: Sequence[Fusion],
    outcomes: Sequence[Objective],
    current: int,
    draw: Callable[[Points], Floats],
) -> pd.DataFrame:
    """A row for each kept serving point, segment and outcome, columns `COLUMNS`.

    Args:
        of, at: candidate and setting of each point.
        current: place of the current point among them.
        draw: draws about measured points; where there are none, intervals are NaN.
    """
    measured: list[tuple[str, NDArray[np.bool_], Measure]] = []
    for name, inside in segment_names(rows):
        positives = (rows.labels[inside] > 0).sum(axis=0)
        enough = np.array([positives[rows.tasks.index(each.name.partition(".")[0])] >= LEAST for each in outcomes])
        if enough.any():
            measured.append((name, enough, meter.measure.part(inside)))
    if not measured:
        return pd.DataFrame(columns=COLUMNS)
    found = []
    parts = meter.parts(of, at, settings, [each for _, _, each in measured])
    for (name, enough, _), points in zip(measured, parts, strict=True):
        numbers = told(points.means, draw(points), current)
        for column in np.flatnonzero(enough).tolist():
            ids = {"row": range(len(of)), "segment": name, "split": meter.split, "outcome": outcomes[column].name}
            own = (values[:, column] for values in numbers.values())
            found.append(pd.DataFrame(ids | dict(zip(COLUMNS[4:], own, strict=True))))
    return pd.concat(found, ignore_index=True)
