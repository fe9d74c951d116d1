"""The hypervolume as a search goes on, as points of a metric."""

from __future__ import annotations

from bench.frontier.history import History
from bench.tracking.values import Point

HYPERVOLUME = "hypervolume"
BY_SAMPLES = "hypervolume.by_samples"


def volumes(history: History) -> list[Point]:
    """A point for each job told, the same whether logged live or later.

    Where every trial is trained to full length, `hypervolume` has for step n that of all trials up to number n. In a
    search by rungs, `hypervolume.by_samples` has that of all trials at all their rungs, by the training samples of all
    jobs with a result so far.
    """
    if history.by_rungs:
        return [Point(BY_SAMPLES, row.hypervolume, row.samples, row.ended) for row in history.rows]
    return [Point(HYPERVOLUME, row.hypervolume, row.trial, row.ended) for row in history.rows]
