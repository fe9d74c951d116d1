"""Trials by kind, and failures by reason."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from bench.frontier.gains import gains
from bench.objectives import Objective
from bench.records import Failure, TrialRecord
from bench.report import text, theme
from bench.report.view import Cell, Failed, GainTable, Trial


def gain_tables(
    seen: Sequence[TrialRecord], trials: Sequence[Trial], objectives: Sequence[Objective]
) -> tuple[GainTable, ...]:
    """The best gain of each sharing and balancing kind, a table for each objective that has a baseline."""
    table = gains(seen, objectives).reset_index(drop=True)  # points in the order of `trials`
    columns = theme.ordered(trial.sharing for trial in trials)
    rows = tuple(sorted({trial.balancing for trial in trials}))
    tables = []
    for objective in objectives:
        scale = text.gain_scale(objective.name)
        groups: dict[tuple[str, str], list[tuple[float, int]]] = defaultdict(list)
        for trial, gain in zip(trials, table[objective.name], strict=True):
            if math.isfinite(gain):
                groups[trial.balancing, trial.sharing].append((scale * gain, trial.number))
        best = {kinds: max(found, key=lambda each: (each[0], -each[1])) for kinds, found in groups.items()}
        cells = {kinds: Cell(*best[kinds], len({number for _, number in found})) for kinds, found in groups.items()}
        if cells:
            rows_of = tuple(tuple(cells.get((row, column)) for column in columns) for row in rows)
            tables.append(GainTable(text.label(objective.name), scale, rows, columns, rows_of))
    return tuple(tables)


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
