"""Slices: parts of the rows on which serving points are measured besides all of them.

A new kind of slice is a function, and a line in `SLICES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats, Mask
from bench.core.objectives import Objective
from bench.measure.predictions import KeptRows
from bench.results.fusion import Fusion
from bench.results.served.errors import Points
from bench.results.served.measuring import Meter, measure_of

AS_LOGGED = "shown=as logged"
LEAST_IN_SLICE = 20
"""The least rows of a slice with a positive label of a task: with fewer nobody can tell the task's outcomes. Of items
the least rows with a value."""


def segments(rows: KeptRows) -> Iterator[tuple[str, Mask]]:
    """Rows of each value of the card's segments, the scenario among them: `country=US`."""
    for column, (kind, values) in enumerate(rows.segments.items()):
        for code, value in enumerate(values):
            yield f"{kind}={value}", rows.codes[:, column] == code


def as_logged(rows: KeptRows) -> Iterator[tuple[str, Floats]]:
    """All rows, however they came to be shown; where that is known, so that the rest does not count them alike."""
    if rows.exposure is not None:
        yield AS_LOGGED, np.ones(len(rows.labels)) if rows.weights is None else rows.weights.astype(np.float64)


SLICES: dict[str, Callable[[KeptRows], Iterable[tuple[str, NDArray[Any]]]]] = {
    "segments": segments,
    "as_logged": as_logged,
}
"""The rows of a split -> slices by name (`kind=value`), each with which rows (N,) it has, or what they count."""


def slices_of(
    meter: Meter,
    rows: KeptRows,
    of: Sequence[int],
    at: Sequence[int],
    settings: Sequence[Fusion],
    outcomes: Sequence[Objective],
) -> dict[str, tuple[Mask, Points | None]]:
    """By slice which outcomes (M,) can be told there, and the kept serving points on its rows.

    Args:
        of, at: candidate and setting of each point.
    """
    enough: dict[str, Mask] = {}
    measured: dict[str, NDArray[Any]] = {}
    counts, columns = rows.counts, [each.name.partition(".")[0] for each in outcomes]
    told = [
        rows.labels[:, rows.tasks.index(of)] > 0 if of in rows.tasks else np.isfinite(rows.items[of]) for of in columns
    ]
    for name, inside in (each for slices in SLICES.values() for each in slices(rows)):
        counted = inside if counts is None or inside.dtype != np.bool_ else inside * counts
        enough[name] = np.array([each[counted > 0].sum() >= LEAST_IN_SLICE for each in told])
        if enough[name].any():
            measured[name] = inside
    points: dict[str, Points] = {}
    if measured:
        measure = measure_of(rows, [each.name for each in outcomes], meter.drawn, list(measured.values()))
        points = dict(zip(measured, meter.parts(of, at, settings, measure), strict=True))
    return {name: (each, points.get(name)) for name, each in enough.items()}
