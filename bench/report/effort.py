"""What the search spent, on what, and what came of it: hypervolume over cost, samples by kind, parameters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from bench.frontier.frontier import Frontier
from bench.frontier.importance import alone, importances
from bench.records import TrialRecord
from bench.report import theme
from bench.report.findings import Influence, Spent
from bench.rows import SEARCH

REPLICATES = "replicates"
FULL = "full length"


def course(front: Frontier, records: Sequence[TrialRecord]) -> tuple[tuple[tuple[int, int, float], ...], bool]:
    """(training samples, trial, hypervolume) after each finished trial, and True; trials in place of samples, and
    False, where a trial did not record its samples."""
    rows = front.history.to_dict("records")
    if rows and "samples" in rows[0]:
        return tuple((int(row["samples"]), int(row["trial"]), float(row["hypervolume"])) for row in rows), True
    trained = {record.number: _trained(record) for record in records}
    lengths = [trained[record.number] for record in records if record.state == "completed"]
    if None in lengths or not lengths:
        return tuple((at, int(row["trial"]), float(row["hypervolume"])) for at, row in enumerate(rows, 1)), False
    costs = np.cumsum([trained[int(row["trial"])] or 0 for row in rows])
    found = ((int(cost), int(row["trial"]), float(row["hypervolume"])) for cost, row in zip(costs, rows, strict=True))
    return tuple(found), True


def spent(records: Sequence[TrialRecord]) -> tuple[Spent, ...]:
    """Training samples by sharing kind, and of each by how far they took its trials, and of replicates.

    Empty where samples were not recorded. What failed jobs trained is not known, and left out.
    """
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    top = max((rung.samples for record in records for rung in record.rungs), default=0)
    for record in records:
        before = 0
        for rung in record.rungs:
            stage = FULL if rung.samples == top else f"to {rung.samples:,}"
            found[record.sharing][stage] += rung.samples - before
            before = rung.samples
        length = _trained(record)
        if not record.rungs and length:
            found[record.sharing][FULL] += length
        for run in record.replicates:
            if run.failure is None:
                found[record.sharing][REPLICATES] += run.until or length or 0
    stages = [f"to {samples:,}" for samples in sorted({r.samples for each in records for r in each.rungs})]
    order = [*stages, FULL, REPLICATES]
    return tuple(
        Spent(kind, tuple((stage, found[kind][stage]) for stage in order if found[kind][stage]))
        for kind in theme.ordered(found)
        if any(found[kind].values())
    )


def influences(records: Sequence[TrialRecord], front: Frontier) -> tuple[Influence, ...]:
    """Of parameters on the hypervolume of a trial alone; in a search by rungs at the first, which all of them saw."""
    measured = [record.points[0] for record in records if record.measured]
    if not measured:
        return ()
    values = [[record.metrics.get(each.key(SEARCH), np.nan) for each in front.objectives] for record in measured]
    found = importances(measured, alone(np.array(values, dtype=float), front.objectives, front.reference), seed=0)
    return tuple(Influence(each.name, each.share, each.low, each.high, each.trials) for each in found)


def _trained(record: TrialRecord) -> int | None:
    samples = record.speed.get("samples_trained")
    return None if samples is None else int(samples)
