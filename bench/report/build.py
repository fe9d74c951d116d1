"""From a run's records and its frontier to the values of its page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bench.frontier.estimates import candidates, estimate, replicated
from bench.frontier.frontier import Frontier
from bench.frontier.gains import baselines, best
from bench.frontier.policy import Pick
from bench.records import TrialRecord
from bench.report import text, theme
from bench.report.geometry import near, step
from bench.report.groups import failures, gain_tables
from bench.report.headlines import headlines
from bench.report.view import Axis, PageView, Picked, Reference, Spread, Trial


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
    measured = sorted((each for each in records if each.measured), key=lambda each: each.number)
    numbers = tuple(int(number) for number in front.front["trial"])
    trials = _trials(measured, front)
    axes = _axes(records, seen, trials, front)
    return PageView(
        title=title,
        dataset=dataset,
        axes=axes,
        trials=trials,
        front=numbers,
        step=step(numbers, axes, trials),
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
        gains=gain_tables(seen, trials, front.objectives),
        failures=failures(records),
        made=tuple((made or {}).items()),
        stopped=sum(record.state == "pruned" for record in records),
    )


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _spread(record: TrialRecord, key: str) -> Spread | None:
    values = [value for value in replicated(record, key) if math.isfinite(value)]
    if not values:
        return None
    return Spread(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None, len(values))


def _trials(measured: Sequence[TrialRecord], front: Frontier) -> tuple[Trial, ...]:
    compared = {record.number for record in candidates(measured)}
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
        for record in measured
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
                near=near(trials, i, objective.sign, baseline),
                reference=front.reference[objective.name],
            )
        )
    return tuple(axes)


def _picked(pick: Pick, command: str) -> Picked:
    removed = tuple((each.trial, each.architecture, each.reason) for each in pick.removed)
    return Picked(pick.trial, pick.architecture, pick.reason, removed, command)
