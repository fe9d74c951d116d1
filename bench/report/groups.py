"""Trials by kind, and failures by reason."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from functools import partial

import numpy as np
from scipy.special import stdtrit

from bench.frontier.estimates import confirmed
from bench.frontier.gains import Baseline, baselines, gain
from bench.frontier.intervals import LEVEL, Differences, differences
from bench.frontier.samples import sample
from bench.frontier.variance import SeedNoise, seed_noise
from bench.objectives import Objective
from bench.records import Failure, Point, TrialRecord
from bench.report import text, theme
from bench.report.findings import Cell, Failed, GainTable
from bench.report.view import Trial
from bench.rows import CONFIRM


def gain_tables(
    points: Sequence[Point], trials: Sequence[Trial], objectives: Sequence[Objective]
) -> tuple[GainTable, ...]:
    """The best gain of each sharing and balancing kind, a table for each objective that has a baseline.

    Where any of a kind's points was confirmed, it is the best of these, over the confirmed baseline; else the best by
    the one run that the search saw, over the baseline by the same.
    """
    once = [point.unconfirmed for point in points]
    ways = ((True, points, baselines(points, objectives)), (False, once, baselines(once, objectives)))
    columns = theme.ordered(trial.sharing for trial in trials)
    rows = tuple(sorted({trial.balancing for trial in trials}))
    tables = []
    for objective in objectives:
        scale, key = text.gain_scale(objective.name), objective.key(CONFIRM)
        cells: dict[tuple[str, str], tuple[float, Point, Point | None, bool]] = {}
        numbers: dict[tuple[str, str], set[int]] = defaultdict(set)
        for sure, given, against in ways:
            baseline = next((point for point in given if _is(point, against.get(objective.name))), None)
            for point in given:
                kinds = point.balancing, point.sharing
                value = gain(point, [objective], against)[objective.name]
                if not math.isfinite(value):
                    continue
                numbers[kinds].add(point.number or 0)
                found = cells.get(kinds)
                if (confirmed(point) or not sure) and (found is None or (found[3] == sure and value > found[0])):
                    cells[kinds] = value, point, baseline, sure
        if cells:
            samples = {point.id: one for point in points if (one := sample(point, [key]))}
            noise = seed_noise(list(samples.values())) if samples else None
            apart = differences(list(samples.values())) if samples else None
            half_width = partial(_half_width, keys=list(samples), noise=noise, apart=apart)
            counted = {
                kinds: Cell(
                    scale * value,
                    point.number or 0,
                    len(numbers[kinds]),
                    None if (width := half_width(point, baseline)) is None else scale * width,
                    sure,
                )
                for kinds, (value, point, baseline, sure) in cells.items()
            }
            rows_of = tuple(tuple(counted.get((row, column)) for column in columns) for row in rows)
            tables.append(GainTable(text.label(objective.name), scale, rows, columns, rows_of))
    return tuple(tables)


def _is(point: Point, baseline: Baseline | None) -> bool:
    return baseline is not None and (point.number, point.until) == (baseline.trial, baseline.until)


def _half_width(
    point: Point,
    baseline: Point | None,
    keys: Sequence[str],
    noise: SeedNoise | None,
    apart: Differences | None,
) -> float | None:
    """Of a gain's 90% interval: paired where both were confirmed, else for what one seed does to each of the two; 0 for
    the baseline itself, and None where seeds are not known."""
    if point is baseline:
        return 0.0
    if noise is None or apart is None or baseline is None:
        return None
    if {point.id, baseline.id} <= set(keys):
        (found,) = apart.intervals(keys.index(point.id), keys.index(baseline.id))
        return (found.high - found.low) / 2
    t = float(stdtrit(float(np.median(noise.freedom)), 0.5 + LEVEL / 2))
    return t * math.sqrt(2 * float(noise.within[:, 0, 0].mean()))


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
