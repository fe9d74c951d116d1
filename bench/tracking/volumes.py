"""The hypervolume as a search goes on, a point for each job told: the same whether logged live or later."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bench.frontier.archive import Archive
from bench.frontier.history import FINISHED
from bench.objectives import Objective
from bench.records import TrialRecord
from bench.rows import SEARCH
from bench.tracking.values import Point

HYPERVOLUME = "hypervolume"
BY_SAMPLES = "hypervolume.by_samples"


class _Job(NamedTuple):
    order: int
    trial: int
    samples: int
    metrics: Mapping[str, float]
    ended: float


class Volumes:
    """The points so far, in the order of the jobs.

    Where every trial is trained to full length, `hypervolume` has for step n that of all trials up to number n, which
    never falls. In a search by rungs, `hypervolume.by_samples` has that of all trials at all their rungs, by the
    training samples of all jobs with a result so far. Both are those of `bench.frontier.history`.

    Args:
        reference: of the hypervolume, complete.
        by_rungs: which of the two.
    """

    def __init__(self, objectives: Sequence[Objective], reference: Mapping[str, float], by_rungs: bool) -> None:
        self._keys = [objective.key(SEARCH) for objective in objectives]
        self._archive = Archive(objectives, reference)
        self._by_rungs = by_rungs
        self._told = 0
        self._samples = 0
        self._when = 0.0
        self.points: list[Point] = []

    def add(self, records: Iterable[TrialRecord], told: int) -> None:
        """Adds what these records say of jobs that are not in yet and numbered below `told`."""
        jobs = (job for record in records for job in _jobs(record, self._by_rungs))
        for job in sorted(job for job in jobs if self._told <= job.order < told):
            value = self._archive.put(job.order, np.array([job.metrics.get(key, np.nan) for key in self._keys]))
            self._samples += job.samples
            self._when = max(self._when, job.ended)  # MLflow orders by time, and jobs are told by their numbers
            if self._by_rungs:
                self.points.append(Point(BY_SAMPLES, value, self._samples, self._when))
            else:
                best = max(value, self.points[-1].value) if self.points else value
                self.points.append(Point(HYPERVOLUME, best, job.trial, self._when))
        self._told = max(self._told, told)


def _jobs(record: TrialRecord, by_rungs: bool) -> Iterator[_Job]:
    """The jobs of a trial that came to something, as far as a record tells."""
    ended, before = record.started, 0
    if not by_rungs:
        if record.state in FINISHED:
            metrics = record.metrics if record.measured else {}
            yield _Job(record.number, record.number, 0, metrics, ended + record.seconds if ended else 0.0)
        return
    for at in record.rungs:
        ended += at.seconds if ended else 0.0
        yield _Job(at.order, record.number, at.samples - before, at.metrics, ended)
        before = at.samples
