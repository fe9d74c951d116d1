"""From a run's records and its frontier to the values of its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.frontier.estimates import estimate, estimates
from bench.frontier.frontier import Frontier
from bench.frontier.gains import baselines, best
from bench.frontier.importance import alone
from bench.frontier.pick import Pick
from bench.frontier.points import as_seen
from bench.objectives import Objective
from bench.records import TrialRecord
from bench.report import text, theme
from bench.report.certainty import hypervolume_interval, shrinkage, standards, surfaces
from bench.report.effort import course, influences, spent
from bench.report.findings import Picked, identified
from bench.report.geometry import near, step
from bench.report.groups import failures, gain_tables
from bench.report.headlines import headlines
from bench.report.trials import ordered, trials_of
from bench.report.view import Axis, PageView, Reference, Trial


def build_view(
    records: Sequence[TrialRecord],
    front: Frontier,
    *,
    title: str,
    dataset: str,
    pick: Pick | None = None,
    no_pick: str = "",
    retrain: str = "",
    train: str = "",
    deploy: str = "",
    mlflow: str = "",
    made: Mapping[str, str] | None = None,
    cut_short: str = "",
) -> PageView:
    """The section of a page for one run on one dataset.

    Args:
        records: all trials of the run, in any state.
        front: the frontier of these records.
        title: of the dataset, for people; `dataset` is its id.
        no_pick: why there is no pick.
        retrain: the command that trains the picked configuration again.
        train: the command that trains any configuration of this run, without the configuration.
        deploy: the command that deploys the pick.
        mlflow: the search that finds a trial's run in MLflow, `{trial}` in place of its number.
        made: how it was made, in the order to show: fingerprint, seed, space, versions, command, ...
        cut_short: a sentence where the time limit ended the search early.
    """
    seen = as_seen(front.points)  # by the search's own run: like against like
    ids = tuple(identified(point.number, point.until) for point in front.on_front)
    merits = alone(estimates(front.points, front.objectives), front.objectives, front.reference)
    trials = trials_of(front)
    axes = _axes(seen, trials, front)
    history, by_samples = course(front, records)
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
        history=history,
        by_samples=by_samples,
        sharing_kinds=theme.ordered(trial.sharing for trial in trials),
        headlines=headlines(records, front, axes, trials),
        picked=None if pick is None else _picked(pick, retrain),
        no_pick=no_pick,
        gains=gain_tables(front.points, trials, front.objectives),
        failures=failures(records),
        made=tuple((made or {}).items()),
        stopped=sum(record.state == "pruned" for record in records),
        full=max(full, default=None),
        order=ordered(trials, merits),
        influences=influences(records, front),
        spent=spent(records),
        surfaces=surfaces(front, axes, trials),
        standards=standards(front),
        shrinkage=shrinkage(front, trials),
        hypervolume_interval=hypervolume_interval(front),
        stability=None,
        train=train,
        deploy=deploy,
        mlflow=mlflow,
        cut_short=cut_short,
        answer=front.answer.sentence if front.answer else "",
    )


def _axes(seen: Sequence[TrialRecord], trials: Sequence[Trial], front: Frontier) -> tuple[Axis, ...]:
    against, against_seen = baselines(front.points, front.objectives), baselines(seen, front.objectives)
    axes = []
    for i, objective in enumerate(front.objectives):
        leader = best(front.points, objective)
        baseline, search_baseline = (
            None if found is None else Reference(found.trial, found.value, found.until)
            for found in (of.get(objective.name) for of in (against, against_seen))
        )
        axes.append(
            Axis(
                name=objective.name,
                label=text.label(objective.name),
                maximize=objective.direction == "maximize",
                best=None if leader is None else _reference(leader, objective),
                baseline=baseline,
                search_baseline=search_baseline,
                near=near(trials, i, objective.sign, baseline),
                reference=front.reference[objective.name],
            )
        )
    return tuple(axes)


def _reference(leader: TrialRecord, objective: Objective) -> Reference:
    return Reference(leader.number, estimate(leader, objective.name), leader.until)


def _picked(pick: Pick, command: str) -> Picked:
    removed = tuple((each.name, each.reason) for each in pick.removed)
    return Picked(
        -1 if pick.trial is None else pick.trial, pick.architecture, pick.reason, removed, command, pick.until
    )
