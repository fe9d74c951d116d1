"""Slices: parts of the rows on which serving points are measured besides all of them.

A new kind of slice is a function, and a line in `SLICES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats, Mask
from bench.core.objectives import Objective, names_of
from bench.ledger.errors.rankings import Rankings
from bench.ledger.fusion import Fusion
from bench.ledger.served.measuring import Meter, Place, measure_of
from bench.measure.predictions import KeptRows

AS_LOGGED = "shown=as logged"
LEAST_IN_SLICE = 20
"""The least rows of a slice with a positive label of a task: with fewer nobody can tell the task's
outcomes. Of items the least rows with a value."""


def segments(rows: KeptRows) -> Iterator[tuple[str, Mask]]:
    """Rows of each value of the card's segments, the scenario among them: `country=US`."""
    for column, (kind, values) in enumerate(rows.segments.items()):
        for code, value in enumerate(values):
            yield f"{kind}={value}", rows.codes[:, column] == code


def as_logged(rows: KeptRows) -> Iterator[tuple[str, Floats]]:
    """All rows, however they came to be shown; where that is known, so that the rest does not count
    them alike.
    """
    if rows.exposure is not None:
        yield (
            AS_LOGGED,
            np.ones(len(rows.labels)) if rows.weights is None else rows.weights.astype(np.float64),
        )


SLICES: dict[str, Callable[[KeptRows], Iterable[tuple[str, NDArray[Any]]]]] = {
    "segments": segments,
    "as_logged": as_logged,
}
"""The rows of a split -> slices by name (`kind=value`), each with which rows (N,) it has, or what
they count.
"""


@dataclass(frozen=True)
class Slice:
    """A slice of a split's rows.

    Attributes:
        enough: (M,), which outcomes can be told there.
        rankings: of the kept serving points on its rows; None where no outcome can be told.
    """

    enough: Mask
    rankings: Rankings | None


def slices_of(
    meter: Meter,
    rows: KeptRows,
    places: Sequence[Place],
    settings: Sequence[Fusion],
    outcomes: Sequence[Objective],
) -> dict[str, Slice]:
    """By name the slices of a split's rows, with the serving points at some places."""
    telling = [_telling(rows, objective) for objective in outcomes]
    enough: dict[str, Mask] = {}
    measured: dict[str, NDArray[Any]] = {}
    for name, inside in chain.from_iterable(slices(rows) for slices in SLICES.values()):
        counted = inside
        if rows.counts is not None and inside.dtype == np.bool_:
            counted = inside * rows.counts
        is_enough = [tells[counted > 0].sum() >= LEAST_IN_SLICE for tells in telling]
        enough[name] = np.array(is_enough)
        if enough[name].any():
            measured[name] = inside
    rankings: dict[str, Rankings] = {}
    if measured:
        measure = measure_of(rows, names_of(outcomes), meter.drawn, list(measured.values()))
        by_slice = meter.rankings(places, settings, measure)
        rankings = dict(zip(measured, by_slice, strict=True))
    return {name: Slice(mask, rankings.get(name)) for name, mask in enough.items()}


def _telling(rows: KeptRows, outcome: Objective) -> Mask:
    """(N,), which rows tell an outcome: those with a positive label of its task, or a value of its
    items.
    """
    column = outcome.name.partition(".")[0]
    if column in rows.tasks:
        return np.asarray(rows.labels[:, rows.tasks.index(column)] > 0)
    return np.isfinite(rows.items[column])
