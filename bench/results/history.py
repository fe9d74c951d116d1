"""Progress of a search: its hypervolume after each result, and its front in a few lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bench.core.objectives import Objective, key_on
from bench.core.records import Point, TrialRecord
from bench.core.rows import NAMES, SEARCH
from bench.results.pareto import Growing, nondominated
from bench.results.points import estimates, searched_points

FINISHED = ("completed", "failed", "pruned")


class Row(NamedTuple):
    """The state after a result: `samples` of all results so far, and the hypervolume, which never falls."""

    trial: int
    samples: int
    hypervolume: float
    ended: float


class History:
    """The rows so far, in the order of the jobs. A trial that failed adds nothing to the hypervolume.

    Args:
        reference: of the hypervolume, complete.
        by_rungs: whether each rung of a trial is a result; else each finished trial is one.
    """

    def __init__(self, objectives: Sequence[Objective], reference: Mapping[str, float], by_rungs: bool) -> None:
        self._keys = [objective.key(SEARCH) for objective in objectives]
        self._volume = Growing(objectives, reference)
        self._told = 0
        self.by_rungs = by_rungs
        self.rows: list[Row] = []

    def add(self, records: Iterable[TrialRecord], told: int) -> None:
        """Adds what these records say of jobs that are not in yet and numbered below `told`."""
        results = (result for record in records for result in _results(record, self.by_rungs))
        last = self.rows[-1] if self.rows else Row(0, 0, 0.0, 0.0)
        for _, trial, samples, metrics, ended in sorted(each for each in results if self._told <= each[0] < told):
            volume = self._volume.add(np.array([metrics.get(key, np.nan) for key in self._keys]))
            # MLflow orders by time, and jobs are told by their numbers
            last = Row(trial, last.samples + samples, volume, max(last.ended, ended))
            self.rows.append(last)
        self._told = max(self._told, told)


def _results(record: TrialRecord, by_rungs: bool) -> Iterator[tuple[int, int, int, Mapping[str, float], float]]:
    """Of each job its number, trial and samples, its metrics (empty where it failed), and when it ended: in seconds
    since 1970, 0 where that was not recorded."""
    ended, before = record.started, 0
    if not by_rungs:
        if record.state in FINISHED:
            metrics = record.metrics if record.measured else {}
            yield record.number, record.number, 0, metrics, ended + record.seconds if ended else 0.0
        return
    for at in record.rungs:
        ended += at.seconds if ended else 0.0
        yield at.order, record.number, at.samples - before, at.metrics, ended
        before = at.samples


FIRST = 6
"""Results before the first front is shown."""
SHOWN = 6
"""Points that are shown at most, evenly along the first objective."""


class SoFar:
    """Shows the front so far: at `FIRST` results, and each time that the number of results has doubled.

    Args:
        outcomes: what is shown of each point, as its heads rank; where they were not measured, its objectives.
    """

    def __init__(self, objectives: Sequence[Objective], outcomes: Sequence[str] = ()) -> None:
        self._objectives, self._outcomes = tuple(objectives), tuple(outcomes)
        self._next = FIRST

    def is_due(self, results: int) -> bool:
        """Whether to show the front now; true once for each doubling."""
        if results < self._next:
            return False
        while self._next <= results:
            self._next *= 2
        return True

    def text(self, records: Sequence[TrialRecord]) -> str:
        """The front of these trials, by the one run of each that the search saw; empty where nothing is finite.

        A trial of which several rungs are on the front is shown once, as it was trained longest.
        """
        count = sum(record.measured for record in records)
        if not (points := searched_points(records, self._objectives)):
            return ""
        values = estimates(points, self._objectives)
        on = np.flatnonzero(nondominated(values, self._objectives))
        if not len(on):
            return ""
        on = np.array([*{points[at].number: at for at in on}.values()])
        on = on[np.argsort(values[on, 0], kind="stable")]
        places = np.unique(np.linspace(0, len(on) - 1, SHOWN).round().astype(int))
        rows = [self._row(points[at], values[at]) for at in on[places]]
        some = f"{len(rows)} of {len(on)} points" if len(rows) < len(on) else f"{len(on)} point{'s' * (len(on) > 1)}"
        return "\n".join([f"front so far, after {count} trials ({some}, {NAMES[SEARCH]}):", *_aligned(rows)])

    def _row(self, point: Point, values: Sequence[float]) -> list[str]:
        length = [f"{point.samples:,} samples"] if point.samples else []
        seen = {name: point.metrics.get(key_on(name, SEARCH)) for name in self._outcomes}
        own = dict(zip((each.name for each in self._objectives), values, strict=True))
        named = seen if seen and None not in seen.values() else own
        metrics = [f"{name} {value:.4f}" for name, value in named.items()]
        return [f"trial {point.number}", point.architecture, *length, *metrics]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows)
    return [f"  {'  '.join(row).rstrip()}" for row in padded]
