"""The front of a search while it runs, in a few lines for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.frontier.dominance import nondominated
from bench.frontier.points import searched_points
from bench.objectives import Objective
from bench.records import Point, TrialRecord
from bench.rows import NAMES, SEARCH

FIRST = 6
"""Results before the first front is shown."""
SHOWN = 6
"""Points that are shown at most, evenly along the first objective."""


class SoFar:
    """Says when a front is worth showing, at `FIRST` results and each time that their number has doubled, and shows it.

    Args:
        objectives: of the search.
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        self._objectives = tuple(objectives)
        self._next = FIRST

    def is_due(self, results: int) -> bool:
        """Whether to show the front now; true once for each doubling."""
        if results < self._next:
            return False
        while self._next <= results:
            self._next *= 2
        return True

    def text(self, records: Sequence[TrialRecord]) -> str:
        """The front of these trials, by the one run of each that the search saw; empty where nothing is finite."""
        count = sum(record.measured for record in records)
        if not (points := searched_points(records, self._objectives)):
            return ""
        values = np.array(
            [[point.metrics.get(each.key(SEARCH), np.nan) for each in self._objectives] for point in points]
        )
        on = np.flatnonzero(nondominated(values, self._objectives))
        if not len(on):
            return ""
        on = on[np.argsort(values[on, 0], kind="stable")]
        places = np.unique(np.linspace(0, len(on) - 1, SHOWN).round().astype(int))
        rows = [self._row(points[at], values[at]) for at in on[places]]
        some = f"{len(rows)} of {len(on)} points" if len(rows) < len(on) else f"{len(on)} point{'s' * (len(on) > 1)}"
        return "\n".join([f"front so far, after {count} trials ({some}, {NAMES[SEARCH]}):", *_aligned(rows)])

    def _row(self, point: Point, values: Sequence[float]) -> list[str]:
        length = [f"{point.samples:,} samples"] if point.samples else []
        metrics = [f"{each.name} {value:.4f}" for each, value in zip(self._objectives, values, strict=True)]
        return [f"trial {point.number}", point.architecture, *length, *metrics]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows)
    return [f"  {'  '.join(row).rstrip()}" for row in padded]
