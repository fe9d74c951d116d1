"""Compares points of runs by families, and answers for one run whether gradient methods beat static
weights.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from bench.app.runs.folder import DatasetRun, Run
from bench.core.errors import UserError, check_known, repeated
from bench.core.objectives import Objective, parse
from bench.core.records import Point
from bench.core.rows import CONFIRM, NAMES, TEST
from bench.ledger.comparison.beyond import Answer, answer
from bench.ledger.comparison.comparison import Compared, Comparison, Group, compare
from bench.ledger.comparison.families import FAMILIES, FamilyPoint, families
from bench.ledger.comparison.significance import LEAST_DATASETS, MeanRanks, ranking
from bench.ledger.pareto import resolve_reference, weakest_reference
from bench.ledger.points import BASELINE, points_of_run
from bench.models.balancing import method, works_on_gradients
from bench.search.study import Study

APART = Answer(
    "cannot say", "This comparison cannot say: points on different data have no front in common."
)


def compare_runs(
    runs: Sequence[Run], by: str = "balancing", metric: str | None = None, split: str = TEST
) -> Compared:
    """Compares the confirmed points of runs on `split`, by families; see `bench.ledger.comparison`.

    Parts of runs belong together where they have the same objectives and the same data, by its
    fingerprint; where data sets are what is compared, the objectives alone count.

    Args:
        metric: to test instead of each objective.

    Raises:
        UserError: an unknown family, split or metric; a run that is named twice, or has no result
            yet.
    """
    check_known("kind of family", by, FAMILIES, "--by")
    if split not in (CONFIRM, TEST):
        raise UserError(f"--split: expected {CONFIRM} or {TEST}, found '{split}'")
    if twice := repeated(run.name for run in runs):
        raise UserError(f"expected runs of different names, found '{twice}' twice")
    together: dict[tuple[object, ...], list[DatasetRun]] = {}
    for part in (part for run in runs for part in run.datasets.values()):
        data = () if by == "dataset" else (part.key, part.fingerprint)
        together.setdefault((part.objectives, *data), []).append(part)
    groups = tuple(_group(group, by, metric, split) for group in together.values())
    return Compared(by, split, groups, _ranking(groups), _notes(groups, by))


def _group(parts: Sequence[DatasetRun], by: str, metric: str | None, split: str) -> Group:
    objectives, run = parts[0].objectives, parts[0].run
    studies = [(part, Study.read(part.folder)) for part in parts]
    every = [member for part, study in studies for member in members_of(part, study, objectives)]
    tries = [each for _, study in studies for each in tries_of(study)]
    all_ = families(every, by)
    usable = {
        name: own
        for name, own in all_.items()
        if any(each.evidence(objectives, split) for each in own)
    }
    reference = weakest_reference(objectives, [_reference(part) for part in parts])
    metrics = None if metric is None else [parse(metric, parts[0].tasks, "--metric")]
    reason = f"no point was confirmed on {NAMES[split]}"
    if usable:
        reason = f"only one {by} has a point confirmed on {NAMES[split]}, {next(iter(usable))}"
    enough = len(usable) > 1
    return Group(
        dataset=", ".join(dict.fromkeys(part.key for part in parts)),
        fingerprints=tuple(dict.fromkeys(part.fingerprint or "-" for part in parts)),
        runs=tuple(dict.fromkeys(part.run.name for part in parts)),
        answer=answer(every, tries, objectives, reference, split, run.name)
        if by != "dataset"
        else APART,
        comparison=compare(usable, objectives, reference, split, run.request.seed, metrics)
        if enough
        else Comparison(),
        reason="" if enough else f"nothing to compare: {reason}",
        unconfirmed=tuple(name for name in all_ if name not in usable),
    )


def _ranking(groups: Sequence[Group]) -> MeanRanks | None:
    """Of the families that were compared on every data set."""
    compared = [group for group in groups if not group.reason]
    if len({group.dataset for group in compared}) < LEAST_DATASETS:
        return None
    volumes = [
        {row["name"]: row["hypervolume"] for row in group.comparison.families} for group in compared
    ]
    names = [name for name in volumes[0] if all(name in each for each in volumes)]
    return (
        ranking(names, np.array([[each[name] for name in names] for each in volumes]))
        if len(names) > 1
        else None
    )


def _notes(groups: Sequence[Group], by: str) -> tuple[str, ...]:
    if by == "dataset":
        return (
            (
                "Data sets differ in how hard they are: a difference between them says nothing of "
                "a method."
            ),
        )
    runs: dict[str, dict[str, list[str]]] = {}
    for group in groups:
        runs.setdefault(group.dataset, {}).setdefault(group.fingerprints[0], []).extend(group.runs)
    told = {
        dataset: "; ".join(
            f"{fingerprint}: {', '.join(names)}" for fingerprint, names in own.items()
        )
        for dataset, own in runs.items()
        if len(own) > 1
    }
    apart = "was prepared differently, and such runs are compared apart"
    return tuple(f"{dataset} {apart} ({names})." for dataset, names in told.items())


def answer_of(part: DatasetRun, study: Study) -> Answer:
    """Does any gradient method of this run lie beyond its static weights, on test? The same for
    every surface.
    """
    every = members_of(part, study, part.objectives)
    return answer(every, tries_of(study), part.objectives, _reference(part), TEST, part.run.name)


def tries_of(study: Study) -> list[dict[str, float]]:
    """Metrics on validation of all that tuned static weights; empty where a try failed."""
    return [
        metrics
        for training, metrics in study.tries.items()
        if json.loads(training)[0] == "static_weights"
    ]


def _reference(part: DatasetRun) -> dict[str, float]:
    return resolve_reference(part.objectives, part.dataset.reference)


def members_of(
    part: DatasetRun, study: Study, objectives: Sequence[Objective]
) -> list[FamilyPoint]:
    """All points of a run on one data set, and its baselines."""
    others = part.current.without_earlier(study.baselines())
    return [_member(part, point) for point in points_of_run(study.records(), others, objectives)]


def _member(part: DatasetRun, point: Point) -> FamilyPoint:
    names = [task.name for task in part.tasks]
    name = method(point.balancing, len(names))
    if point.sharing == BASELINE:
        name = BASELINE if point.kind != "single_task" else "single_task, best of each task"
    shares = point.sharing != BASELINE and name != point.architecture
    return FamilyPoint(
        run=part.run.name,
        dataset=part.key,
        sampler=part.run.suite.search.sampler,
        point=point,
        method=name,
        weights=_shares(point, names) if name == "static" else None,
        gradient=shares and name != "static" and works_on_gradients(point.balancing),
    )


def _shares(point: Point, tasks: Sequence[str]) -> tuple[float, ...]:
    """The tasks' shares of static weights, to a thousandth; equal where the balancer is no static
    one but acts so.
    """
    given = point.config if point.balancing == "static" else {}
    weights = [float(given.get(f"balancing.static.weight.{task}") or 1.0) for task in tasks]
    return tuple(round(weight / sum(weights), 3) for weight in weights)
