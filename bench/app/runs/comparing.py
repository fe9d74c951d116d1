"""Compares points of runs by families, and answers for one run whether gradient methods beat static
weights.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import pandas as pd

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
    twice = repeated(run.name for run in runs)
    if twice:
        raise UserError(f"expected runs of different names, found '{twice}' twice")
    parts_by_key: dict[tuple[object, ...], list[DatasetRun]] = {}
    for run in runs:
        for part in run.datasets.values():
            data = () if by == "dataset" else (part.key, part.fingerprint)
            parts_by_key.setdefault((part.objectives, *data), []).append(part)
    groups = tuple(_group(parts, by, metric, split) for parts in parts_by_key.values())
    return Compared(by, split, groups, _ranking(groups), _notes(groups, by))


def _group(parts: Sequence[DatasetRun], by: str, metric: str | None, split: str) -> Group:
    objectives = parts[0].objectives
    run = parts[0].run
    points = []
    tries = []
    for part in parts:
        study = Study.read(part.folder)
        points += members_of(part, study, objectives)
        tries += tries_of(study)
    reference = weakest_reference(objectives, list(map(_reference, parts)))
    response = APART
    if by != "dataset":
        response = answer(points, tries, objectives, reference, split, run.name)

    usable: dict[str, list[FamilyPoint]] = {}
    unconfirmed = []
    for name, members in families(points, by).items():
        if any(member.evidence(objectives, split) for member in members):
            usable[name] = members
        else:
            unconfirmed.append(name)
    comparison = Comparison()
    reason = ""
    if len(usable) > 1:
        metrics = None if metric is None else [parse(metric, parts[0].tasks, "--metric")]
        comparison = compare(usable, objectives, reference, split, run.request.seed, metrics)
    elif usable:
        reason = (
            f"nothing to compare: only one {by} has a point confirmed on {NAMES[split]}, "
            f"{next(iter(usable))}"
        )
    else:
        reason = f"nothing to compare: no point was confirmed on {NAMES[split]}"
    return Group(
        dataset=", ".join(dict.fromkeys(part.key for part in parts)),
        fingerprints=tuple(dict.fromkeys(part.fingerprint or "-" for part in parts)),
        runs=tuple(dict.fromkeys(part.run.name for part in parts)),
        answer=response,
        comparison=comparison,
        reason=reason,
        unconfirmed=tuple(unconfirmed),
    )


def _ranking(groups: Sequence[Group]) -> MeanRanks | None:
    """Of the families that were compared on every data set."""
    datasets = set()
    volumes = []
    for group in groups:
        if not group.reason:
            datasets.add(group.dataset)
            rows = group.comparison.families
            volumes.append({row["name"]: row["hypervolume"] for row in rows})
    if len(datasets) < LEAST_DATASETS:
        return None
    table = pd.DataFrame(volumes).dropna(axis="columns")
    if len(table.columns) < 2:
        return None
    return ranking([*table], table.to_numpy(dtype=float))


def _notes(groups: Sequence[Group], by: str) -> tuple[str, ...]:
    if by == "dataset":
        return (
            "Data sets differ in how hard they are: a difference between them says nothing of a "
            "method.",
        )
    runs: dict[str, dict[str, list[str]]] = {}
    for group in groups:
        runs.setdefault(group.dataset, {}).setdefault(group.fingerprints[0], []).extend(group.runs)
    notes = []
    for dataset, by_fingerprint in runs.items():
        if len(by_fingerprint) > 1:
            data = [f"{key}: {', '.join(names)}" for key, names in by_fingerprint.items()]
            notes.append(
                f"{dataset} was prepared differently, and such runs are compared apart "
                f"({'; '.join(data)})."
            )
    return tuple(notes)


def answer_of(part: DatasetRun, study: Study) -> Answer:
    """Does any gradient method of this run lie beyond its static weights, on test? The same for
    every surface.
    """
    points = members_of(part, study, part.objectives)
    return answer(points, tries_of(study), part.objectives, _reference(part), TEST, part.run.name)


def tries_of(study: Study) -> list[dict[str, float]]:
    """Metrics on validation of all that tuned static weights; empty where a try failed."""
    tries = []
    for training, metrics in study.tries.items():
        kind, *_ = json.loads(training)
        if kind == "static_weights":
            tries.append(metrics)
    return tries


def _reference(part: DatasetRun) -> dict[str, float]:
    return resolve_reference(part.objectives, part.dataset.reference)


def members_of(
    part: DatasetRun, study: Study, objectives: Sequence[Objective]
) -> list[FamilyPoint]:
    """All points of a run on one data set, and its baselines."""
    baselines = part.current.without_earlier(study.baselines())
    points = points_of_run(study.records(), baselines, objectives)
    return [_member(part, point) for point in points]


def _member(part: DatasetRun, point: Point) -> FamilyPoint:
    names = part.task_names
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
    weights = dict.fromkeys(tasks, 1.0)
    if point.balancing == "static":
        for task in tasks:
            weights[task] = float(point.config.get(f"balancing.static.weight.{task}") or 1.0)
    total = sum(weights.values())
    return tuple(round(weight / total, 3) for weight in weights.values())
