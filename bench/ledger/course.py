"""Progress of a search: its hypervolume after each result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bench.core.objectives import Objective, keys_on
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
        self._keys = keys_on(objectives, SEARCH)
        self._volume = Growing(objectives, reference)
        self._next_job = 0
        self.by_rungs = by_rungs
        self.rows: list[HistoryRow] = []

    def add(self, records: Iterable[TrialRecord], next_job: int) -> None:
        """Adds what these records say of jobs that are not in yet and numbered below `next_job`."""
        results = []
        for record in records:
            for result in _results(record, self.by_rungs):
                if self._next_job <= result.job < next_job:
                    results.append(result)
        last = self.rows[-1] if self.rows else HistoryRow(0, 0, 0.0, 0.0)
        for result in sorted(results, key=lambda result: result.job):
            values = [result.metrics.get(key, np.nan) for key in self._keys]
            volume = self._volume.add(np.array(values))
            samples = last.samples + result.samples
            # MLflow orders by time, and results come in the order of the jobs' numbers
            last = HistoryRow(result.trial, samples, volume, max(last.ended, result.ended))
            self.rows.append(last)
        self._next_job = max(self._next_job, next_job)


@dataclass(frozen=True)
class _JobResult:
    """What a job came to.

    Attributes:
        metrics: empty where it failed.
        ended: in seconds since 1970, 0 where that was not recorded.
    """

    job: int
    trial: int
    samples: int
    metrics: Mapping[str, float]
    ended: float


def _results(record: TrialRecord, by_rungs: bool) -> Iterator[_JobResult]:
    if by_rungs:
        yield from _results_of_rungs(record)
    elif record.state in FINISHED:
        metrics = record.metrics if record.measured else {}
        samples = int(record.speed.get("samples_trained", 0))
        ended = record.started + record.seconds if record.started else 0.0
        yield _JobResult(record.number, record.number, samples, metrics, ended)


def _results_of_rungs(record: TrialRecord) -> Iterator[_JobResult]:
    ended, samples_before = record.started, 0
    for rung in record.rungs:
        if ended:
            ended += rung.seconds
        samples = rung.samples - samples_before
        yield _JobResult(rung.order, record.number, samples, rung.metrics, ended)
        samples_before = rung.samples
