"""The points of a run: what may be on its front.

A point is a configuration trained to so many samples. Without rungs that is a trial. In a search by rungs a trial is a
point at each rung where none other of its own is better: trade-offs may peak in the middle of training.

What a rung measured is the best state that validation had seen by then, by the mean over objectives (a single-task
model has each task at its own best), so a later rung seldom falls behind in all of them; it may in one. The learning
rate follows the schedule of full length wherever a training stops: to have a point again is to train on that schedule
and stop there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from bench.frontier.dominance import nondominated
from bench.objectives import Objective
from bench.records import TrialRecord
from bench.rows import SEARCH

Key = tuple[int, int | None]
"""What tells one point from another: number of the trial, and `TrialRecord.until`."""


def key_of(point: TrialRecord) -> Key:
    """The key of a point."""
    return point.number, point.until


def called(trial: int, until: int | None) -> str:
    """How a sentence names a point: `trial 7`, or `trial 7 stopped after 16,000 samples`."""
    return f"trial {trial}" if until is None else f"trial {trial} stopped after {until:,} samples"


def as_seen(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The records as the search left them: without what confirmation found, be it whole or in part."""
    return [replace(record, replicates=()) for record in records]


def points(records: Iterable[TrialRecord], objectives: Sequence[Objective]) -> list[TrialRecord]:
    """All points of trials, by number and then by length. A point is a record: its trial as it was at that rung."""
    ordered = sorted(records, key=lambda record: record.number)
    return [point for record in ordered if record.measured for point in _points_of(record, objectives)]


def _points_of(record: TrialRecord, objectives: Sequence[Objective]) -> list[TrialRecord]:
    """Those of one trial: non-dominated among its own by what the search saw, the longest of equals; or confirmed.

    Costs belong to the model, however long it was trained. A latency comes out differently each time that it is
    measured, which must not make a point; so metrics alone are compared.
    """
    if not record.rungs:
        return [record]
    own = [record.at(rung) for rung in range(len(record.rungs))]
    metrics = [objective for objective in objectives if objective.is_metric]
    values = np.array([[point.metrics.get(each.key(SEARCH), np.nan) for each in metrics] for point in own])
    keep = nondominated(values, metrics)
    for rung in range(len(own) - 1):
        keep[rung] &= not (values[rung + 1 :] == values[rung]).all(axis=1).any()
    if not keep.any():
        keep[-1] = True  # nothing finite: it is listed as it is
    return [point for point, kept in zip(own, keep, strict=True) if kept or point.replicates]
