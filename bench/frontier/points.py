"""The points of a run: what may be on its front.

Without rungs a trial is one point. In a search by rungs a trial is a point at each rung where none other of its own is
better: trade-offs may peak in the middle of training. Baselines and the current production point are points, too.

What a rung measured is the best state that validation had seen by then, by the mean over objectives (a single-task
model has each task at its own best), so a later rung seldom falls behind in all of them; it may in one. The learning
rate follows the schedule of full length wherever a training stops: to have a point again is to train on that schedule
and stop there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from bench.frontier.composite import composite
from bench.frontier.dominance import nondominated
from bench.objectives import Objective
from bench.records import Point, TrialRecord
from bench.rows import SEARCH


def points(records: Iterable[TrialRecord], objectives: Sequence[Objective]) -> list[Point]:
    """All points of trials, by number and then by length."""
    ordered = sorted(records, key=lambda record: record.number)
    return [point for record in ordered if record.measured for point in _points_of(record, objectives)]


def searched_points(records: Iterable[TrialRecord], objectives: Sequence[Objective]) -> list[Point]:
    """The same as the search left them: without what confirmation found, be it whole or in part."""
    return points((replace(record, replicates=()) for record in records), objectives)


def points_of_run(
    records: Iterable[TrialRecord], others: Sequence[Point], objectives: Sequence[Objective]
) -> list[Point]:
    """All points of a run: those of trials, then the best single-task models together, then `others`.

    Args:
        others: baselines and the current point, with their replicates. Of several of one id the last counts: what a
            baseline is derived from moved when the search went on.
    """
    trials = points(records, objectives)
    single = composite(trials, objectives)
    latest = {point.id: point for point in (single, *others) if point is not None}
    return [*trials, *latest.values()]


def _points_of(record: TrialRecord, objectives: Sequence[Objective]) -> list[Point]:
    """Those of one trial: non-dominated among its own by what the search saw, the longest of equals; or confirmed.

    Costs belong to the model, however long it was trained. A latency comes out differently each time that it is
    measured, which must not make a point; so metrics alone are compared.
    """
    own = list(record.points)
    if len(own) == 1:
        return own
    metrics = [objective for objective in objectives if objective.is_metric]
    values = np.array([[point.metrics.get(each.key(SEARCH), np.nan) for each in metrics] for point in own])
    keep = nondominated(values, metrics)
    for rung in range(len(own) - 1):
        keep[rung] &= not (values[rung + 1 :] == values[rung]).all(axis=1).any()
    if not keep.any():
        keep[-1] = True  # nothing finite: it is listed as it is
    return [point for point, kept in zip(own, keep, strict=True) if kept or point.replicates]
