"""Progress of a search: its hypervolume after each result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bench.core.objectives import Objective
from bench.core.records import TrialRecord
from bench.core.rows import SEARCH
from bench.ledger.pareto import Growing

FINISHED = ("completed", "failed", "pruned")


class HistoryRow(NamedTuple):
    """The state after a result: `samples` of all results so far, and the hypervolume, which never
    falls.
    """

    trial: int
    samples: int
    hypervolume: float
    ended: float


class History:
    """The rows so far, in the order of the jobs. A trial that failed adds nothing to the
    hypervolume.

    Args:
        reference: of the hypervolume, complete.
        by_rungs: whether each rung of a trial is a result; else each finished trial is one.
    """

    def __init__(
        self, objectives: Sequence[Objective], reference: Mapping[str, float], by_rungs: bool
    ) -> None:
        self._keys = [objective.key(SEARCH) for objective in objectives]
        self._volume = Growing(objectives, reference)
        self._told = 0
        self.by_rungs = by_rungs
        self.rows: list[HistoryRow] = []

    def add(self, records: Iterable[TrialRecord], told: int) -> None:
        """Adds what these records say of jobs that are not in yet and numbered below `told`."""
        results = (result for record in records for result in _results(record, self.by_rungs))
        last = self.rows[-1] if self.rows else HistoryRow(0, 0, 0.0, 0.0)
        for _, trial, samples, metrics, ended in sorted(
            each for each in results if self._told <= each[0] < told
        ):
            volume = self._volume.add(np.array([metrics.get(key, np.nan) for key in self._keys]))
            # MLflow orders by time, and jobs are told by their numbers
            last = HistoryRow(trial, last.samples + samples, volume, max(last.ended, ended))
            self.rows.append(last)
        self._told = max(self._told, told)


def _results(
    record: TrialRecord, by_rungs: bool
) -> Iterator[tuple[int, int, int, Mapping[str, float], float]]:
    """Of each job its number, trial and samples, its metrics (empty where it failed), and when it
    ended: in seconds since 1970, 0 where that was not recorded."""
    ended, before = record.started, 0
    if not by_rungs:
        if record.state in FINISHED:
            metrics = record.metrics if record.measured else {}
            samples = int(record.speed.get("samples_trained", 0))
            yield (
                record.number,
                record.number,
                samples,
                metrics,
                ended + record.seconds if ended else 0.0,
            )
        return
    for at in record.rungs:
        ended += at.seconds if ended else 0.0
        yield at.order, record.number, at.samples - before, at.metrics, ended
        before = at.samples
