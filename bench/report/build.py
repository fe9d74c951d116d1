"""From a run's records and its frontier to the values of its page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bench.frontier.behind import References
from bench.frontier.diagnosis import angles, sentences
from bench.frontier.estimates import candidates, estimate, replicated
from bench.frontier.frontier import Frontier
from bench.frontier.gains import baselines, best
from bench.frontier.pick import Pick
from bench.frontier.points import key_of
from bench.records import TrialRecord
from bench.report import text, theme
from bench.report.geometry import near, step
from bench.report.groups import failures, gain_tables
from bench.report.headlines import headlines
from bench.report.view import Axis, PageView, Picked, Reference, Spread, Trial, identified


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
    seen = [replace(point, replicates=()) for point in front.points]  # by the search's own run: like against like
    ids = tuple(identified(point.number, point.until) for point in front.on_front)
    trials = _trials(front)
    axes = _axes(seen, trials, front)
    full = [record.rungs[-1].samples for record in records if record.state == "completed" and record.rungs]
    return PageView(
        title=title,
        dataset=dataset,
        axes=axes,
        trials=trials,
        front=ids,
        step=step(ids, axes, trials),
        confirmed=front.basis == "replicates",
        hypervolume=front.hypervolume,
        history=_history(front),
        sharing_kinds=theme.ordered(trial.sharing for trial in trials),
        headlines=headlines(records, front, axes, trials),
        picked=None if pick is None else _picked(pick, retrain),
        no_pick=no_pick,
        gains=gain_tables(seen, trials, front.objectives),
        failures=failures(records),
        made=tuple((made or {}).items()),
        stopped=sum(record.state == "pruned" for record in records),
        full=max(full, default=None),
        stability=None if pick is None else pick.stability,
    )


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _spread(record: TrialRecord, key: str) -> Spread | None:
    values = [value for value in replicated(record, key) if math.isfinite(value)]
    if not values:
        return None
    return Spread(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None, len(values))


def _history(front: Frontier) -> tuple[tuple[int, int, float], ...]:
    rows = front.history.to_dict("records")
    return tuple(
        (int(row.get("samples", at)), int(row["trial"]), float(row["hypervolume"])) for at, row in enumerate(rows, 1)
    )


def _trials(front: Frontier) -> tuple[Trial, ...]:
    references = References(front.points, front.objectives)
    compared = {key_of(point) for point in candidates(front.points)}
    rows = zip(front.points, front.table["on_front"], front.table["p_nondominated"], strict=True)
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
            on_front=bool(on_front),
            compared=key_of(record) in compared,
            baseline=record.baseline,
            p_nondominated=_finite(sure),
            samples=record.rungs[-1].samples if record.rungs else None,
            until=record.until,
            diagnosis=tuple(sentences(record.diagnosis, references.gaps(record))) if record.diagnosis else (),
            angles=_angles(record),
        )
        for record, on_front, sure in rows
    )


def _angles(record: TrialRecord) -> tuple[tuple[str, str, str, str], ...]:
    """Of the two blocks that every kind of sharing has: what a trial shows beside its figures."""
    return tuple(
        (" and ".join(tasks), block, f"{cosine:.2f}".replace("-", text.MINUS), f"{below:.0%}")
        for tasks, block, cosine, below in angles(record.diagnosis)
    )


def _axes(seen: Sequence[TrialRecord], trials: Sequence[Trial], front: Frontier) -> tuple[Axis, ...]:
    against, against_seen = baselines(front.points, front.objectives), baselines(seen, front.objectives)
    axes = []
    for i, objective in enumerate(front.objectives):
        leader, key = best(front.points, objective), objective.key("valid")
        baseline, search_baseline = (
            None if found is None else Reference(found.trial, found.value, found.until)
            for found in (of.get(objective.name) for of in (against, against_seen))
        )
        axes.append(
            Axis(
                name=objective.name,
                label=text.label(objective.name),
                maximize=objective.direction == "maximize",
                best=None if leader is None else Reference(leader.number, estimate(leader, key), leader.until),
                baseline=baseline,
                search_baseline=search_baseline,
                near=near(trials, i, objective.sign, baseline),
                reference=front.reference[objective.name],
            )
        )
    return tuple(axes)


def _picked(pick: Pick, command: str) -> Picked:
    removed = tuple((each.name, each.reason) for each in pick.removed)
    return Picked(pick.trial, pick.architecture, pick.reason, removed, command, pick.until)
