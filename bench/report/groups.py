"""Trials by kind, and failures by reason."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.special import stdtrit

from bench.frontier.estimates import confirmed, replicated
from bench.frontier.gains import Baseline, baselines, gain
from bench.frontier.uncertainty import pooled
from bench.objectives import Objective
from bench.records import Failure, TrialRecord
from bench.report import text, theme
from bench.report.view import Cell, Failed, GainTable, Trial

TAIL = 0.95
"""Of Student's t, for an interval at 90%."""


def gain_tables(
    points: Sequence[TrialRecord], trials: Sequence[Trial], objectives: Sequence[Objective]
) -> tuple[GainTable, ...]:
    """The best gain of each sharing and balancing kind, a table for each objective that has a baseline.

    Where any of a kind's points was confirmed, it is the best of these, over the confirmed baseline; else the best by
    the one run that the search saw, over the baseline by the same.
    """
    once = [replace(point, replicates=()) for point in points]
    ways = ((True, points, baselines(points, objectives)), (False, once, baselines(once, objectives)))
    columns = theme.ordered(trial.sharing for trial in trials)
    rows = tuple(sorted({trial.balancing for trial in trials}))
    tables = []
    for objective in objectives:
        scale, noise = text.gain_scale(objective.name), _noise(points, objective.key("valid"))
        cells: dict[tuple[str, str], Cell] = {}
        numbers: dict[tuple[str, str], set[int]] = defaultdict(set)
        for sure, given, against in ways:
            baseline = next((point for point in given if _is(point, against.get(objective.name))), None)
            for point in given:
                kinds = point.balancing, point.sharing
                value = gain(point, [objective], against)[objective.name]
                if not math.isfinite(value) or sure and not confirmed(point):
                    continue
                if not sure:
                    numbers[kinds].add(point.number)
                if kinds not in cells or cells[kinds].confirmed == sure and scale * value > cells[kinds].gain:
                    width = _half_width(point, baseline, objective.key("valid"), noise)
                    cells[kinds] = Cell(scale * value, point.number, 0, width and scale * width, sure)
        if cells:
            counted = {kinds: replace(cell, trials=len(numbers[kinds]) or 1) for kinds, cell in cells.items()}
            rows_of = tuple(tuple(counted.get((row, column)) for column in columns) for row in rows)
            tables.append(GainTable(text.label(objective.name), scale, rows, columns, rows_of))
    return tuple(tables)


def _noise(points: Sequence[TrialRecord], key: str) -> tuple[float, int] | None:
    """Standard deviation of a metric over seeds, pooled over confirmed points, and its degrees of freedom."""
    groups = [[value for value in replicated(point, key) if math.isfinite(value)] for point in points]
    repeated = [np.array(group)[:, None] for group in groups if len(group) > 1]
    if not repeated:
        return None
    covariance, freedom = pooled(repeated)
    return float(np.sqrt(covariance[0, 0])), freedom


def _is(point: TrialRecord, baseline: Baseline | None) -> bool:
    return baseline is not None and (point.number, point.until) == (baseline.trial, baseline.until)


def _half_width(
    point: TrialRecord, baseline: TrialRecord | None, key: str, noise: tuple[float, int] | None
) -> float | None:
    """Of a gain's interval by Student's t; 0 for the baseline itself, and None where seeds are not known."""
    if point is baseline:
        return 0.0
    if noise is None or baseline is None:
        return None
    runs = [len(replicated(each, key)) or 1 for each in (point, baseline)]
    return float(stdtrit(noise[1], TAIL)) * noise[0] * math.sqrt(sum(1 / count for count in runs))


def failures(records: Sequence[TrialRecord]) -> tuple[Failed, ...]:
    """Failed runs, replicates included, by reason; the most frequent first."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for record in records:
        every: list[Failure | None] = [record.failure, *(run.failure for run in record.replicates)]
        for failure in filter(None, every):
            groups[failure.kind, failure.reason].append(record.number)
    found = [
        Failed(kind, reason, len(numbers), tuple(sorted(set(numbers)))) for (kind, reason), numbers in groups.items()
    ]
    return tuple(sorted(found, key=lambda each: (-each.runs, each.trials)))
