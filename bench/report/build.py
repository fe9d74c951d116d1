"""From a run's records and its frontier to the values of its page."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bench.frontier.estimates import candidates, estimate, replicated
from bench.frontier.frontier import Frontier
from bench.frontier.gains import baselines, best, gains
from bench.frontier.policy import Pick
from bench.objectives import Objective
from bench.records import Failure, TrialRecord
from bench.report import text, theme
from bench.report.headlines import headlines
from bench.report.view import Axis, Cell, Failed, GainTable, PageView, Picked, Reference, Spread, Trial, Values

MOST_BELOW = 4.0
"""A figure opens with a range at most this many times what the front and the baseline span."""


def build_view(
    records: Sequence[TrialRecord],
    front: Frontier,
    *,
    title: str,
    dataset: str,
    pick: Pick | None = None,
    no_pick: str = "",
    retrain: str = "",
    made: Mapping[str, str] | None = None,
) -> PageView:
    """The section of a page for one run on one dataset.

    Args:
        records: all trials of the run, in any state.
        front: the frontier of these records, on validation.
        title: of the dataset, for people; `dataset` is its id.
        no_pick: why there is no pick.
        retrain: the command that trains the picked configuration again.
        made: how it was made, in the order to show: fingerprint, seed, space, versions, command, ...
    """
    seen = [replace(record, replicates=()) for record in records]  # by the search's own run: like against like
    completed = sorted((each for each in records if each.state == "completed"), key=lambda each: each.number)
    numbers = tuple(int(number) for number in front.front["trial"])
    trials = _trials(completed, front)
    axes = _axes(records, seen, trials, front)
    return PageView(
        title=title,
        dataset=dataset,
        axes=axes,
        trials=trials,
        front=numbers,
        step=_step([trial.values for number in numbers for trial in trials if trial.number == number], axes, trials),
        confirmed=front.basis == "replicates",
        hypervolume=front.hypervolume,
        history=tuple(
            (i, int(trial), float(volume))
            for i, (trial, volume) in enumerate(front.history[["trial", "hypervolume"]].itertuples(index=False), 1)
        ),
        sharing_kinds=theme.ordered(trial.sharing for trial in trials),
        headlines=headlines(records, front, axes, trials),
        picked=None if pick is None else _picked(pick, retrain),
        no_pick=no_pick,
        gains=_gains(seen, trials, front.objectives),
        failures=_failures(records),
        made=tuple((made or {}).items()),
    )


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _spread(record: TrialRecord, key: str) -> Spread | None:
    values = [value for value in replicated(record, key) if math.isfinite(value)]
    if not values:
        return None
    return Spread(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None, len(values))


def _trials(completed: Sequence[TrialRecord], front: Frontier) -> tuple[Trial, ...]:
    compared = {record.number for record in candidates(completed)}
    on_front = set(front.front["trial"])
    sure = dict(zip(front.table["trial"], front.table["p_nondominated"], strict=True))
    keys = {split: [objective.key(split) for objective in front.objectives] for split in ("valid", "test")}
    return tuple(
        Trial(
            number=record.number,
            architecture=record.architecture,
            sharing=record.sharing,
            balancing=record.balancing,
            seen=tuple(_finite(record.metrics.get(key)) for key in keys["valid"]),
            values=tuple(_finite(estimate(record, key)) for key in keys["valid"]),
            valid=tuple(_spread(record, key) for key in keys["valid"]),
            test=tuple(_spread(record, key) for key in keys["test"]),
            params=tuple((name, text.scalar(value)) for name, value in record.params.items()),
            on_front=record.number in on_front,
            compared=record.number in compared,
            baseline=record.baseline,
            p_nondominated=_finite(sure.get(record.number)),
        )
        for record in completed
    )


def _axes(
    records: Sequence[TrialRecord], seen: Sequence[TrialRecord], trials: Sequence[Trial], front: Frontier
) -> tuple[Axis, ...]:
    against, against_seen = baselines(records, front.objectives), baselines(seen, front.objectives)
    axes = []
    for i, objective in enumerate(front.objectives):
        leader, key = best(records, objective), objective.key("valid")
        baseline, search_baseline = (
            Reference(found[objective.name].trial, found[objective.name].value) if objective.name in found else None
            for found in (against, against_seen)
        )
        axes.append(
            Axis(
                name=objective.name,
                label=text.label(objective.name),
                maximize=objective.direction == "maximize",
                best=None if leader is None else Reference(leader.number, estimate(leader, key)),
                baseline=baseline,
                search_baseline=search_baseline,
                near=_near(trials, i, objective.sign, baseline),
                reference=front.reference[objective.name],
            )
        )
    return tuple(axes)


def _near(trials: Sequence[Trial], i: int, sign: float, baseline: Reference | None) -> tuple[float, float] | None:
    """From worst to best: the front, its error bars, the baseline, and the better three quarters of the trials."""
    values = [sign * value for trial in trials if (value := trial.values[i]) is not None]
    if not values:
        return None
    whiskers = [
        sign * spread.mean + way * (spread.half_width or 0.0)
        for trial in trials
        if trial.on_front and (spread := trial.valid[i]) is not None
        for way in (-1, 1)
    ]
    front = [sign * value for trial in trials if trial.on_front and (value := trial.values[i]) is not None]
    needed = [*front, *whiskers, *([sign * baseline.value] if baseline else [])]
    top, worst_needed = max([*values, *needed]), min(needed or values)
    bulk = float(np.quantile(values, 0.25))
    floor = top - MOST_BELOW * (top - worst_needed) if top > worst_needed else bulk
    low = min(worst_needed, max(bulk, floor))
    pad = 0.06 * (top - low) or 0.01 * abs(top) or 1.0
    return sign * (low - pad), sign * (top + pad)


def _step(points: Sequence[Values], axes: Sequence[Axis], trials: Sequence[Trial]) -> tuple[tuple[float, float], ...]:
    """The edge of what the front dominates, out to the worst value of any trial.

    Points come best in the first objective first, so each next one is worse in it and better in the second.
    """
    if len(axes) != 2 or not points:
        return ()
    known = [(x, y) for x, y in points if x is not None and y is not None]
    x_axis, y_axis = axes
    shown = [trial.values for trial in trials]
    worst_x, worst_y = (
        axis.sign * min([axis.sign * v for row in shown if (v := row[i]) is not None] + [axis.sign * axis.near[0]])
        for i, axis in ((0, x_axis), (1, y_axis))
        if axis.near is not None
    )
    corners = [(known[0][0], worst_y), known[0]]
    for before, point in itertools.pairwise(known):
        corners += [(point[0], before[1]), point]
    return (*corners, (worst_x, known[-1][1]))


def _gains(
    seen: Sequence[TrialRecord], trials: Sequence[Trial], objectives: Sequence[Objective]
) -> tuple[GainTable, ...]:
    table = gains(seen, objectives)
    columns = theme.ordered(trial.sharing for trial in trials)
    rows = tuple(sorted({trial.balancing for trial in trials}))
    tables = []
    for objective in objectives:
        scale = text.gain_scale(objective.name)
        groups: dict[tuple[str, str], list[tuple[float, int]]] = defaultdict(list)
        for trial in trials:
            gain = float(np.asarray(table.at[trial.number, objective.name]))
            if math.isfinite(gain):
                groups[trial.balancing, trial.sharing].append((gain * scale, -trial.number))
        if not groups:
            continue
        best_of = {kinds: Cell(*(max(found)[0], -max(found)[1]), len(found)) for kinds, found in groups.items()}
        cells = tuple(tuple(best_of.get((row, column)) for column in columns) for row in rows)
        tables.append(GainTable(text.label(objective.name), scale, rows, columns, cells))
    return tuple(tables)


def _picked(pick: Pick, command: str) -> Picked:
    removed = tuple((each.trial, each.architecture, each.reason) for each in pick.removed)
    return Picked(pick.trial, pick.architecture, pick.reason, removed, command)


def _failures(records: Sequence[TrialRecord]) -> tuple[Failed, ...]:
    """Most frequent first."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for record in records:
        failures: list[Failure | None] = [record.failure, *(run.failure for run in record.replicates)]
        for failure in filter(None, failures):
            groups[failure.kind, failure.reason].append(record.number)
    found = [
        Failed(kind, reason, len(numbers), tuple(sorted(set(numbers)))) for (kind, reason), numbers in groups.items()
    ]
    return tuple(sorted(found, key=lambda each: (-each.runs, each.trials)))
