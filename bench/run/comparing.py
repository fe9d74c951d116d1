"""Compares points of runs by families, and answers for one run whether gradient methods beat static weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.atomic import write_text
from bench.balancing import method, works_on_gradients
from bench.errors import UserError, check_known
from bench.frontier.comparison.beyond import Answer, answer
from bench.frontier.comparison.compared import LEAST_DATASETS, Compared, Group, Ranking, ranking
from bench.frontier.comparison.comparison import compare
from bench.frontier.comparison.families import FAMILIES, FamilyPoint, families
from bench.frontier.pareto import resolve_reference, weakest_reference
from bench.frontier.points import BASELINE, points_of_run
from bench.objectives import Objective, parse
from bench.records import Point
from bench.report.comparison import comparison_document
from bench.rows import CONFIRM, NAMES, TEST
from bench.run.folder import DatasetRun, Run
from bench.search.study import Study

APART = Answer("cannot say", "This comparison cannot say: points on different data have no front in common.")


@dataclass(frozen=True)
class _Part:
    """One data set's part of a run, loaded for a comparison."""

    part: DatasetRun
    objectives: tuple[Objective, ...]
    fingerprint: str
    members: list[FamilyPoint]

    @property
    def reference(self) -> dict[str, float]:
        return resolve_reference(self.objectives, self.part.dataset.reference)


def compare_runs(runs: Sequence[Run], by: str = "balancing", metric: str | None = None, split: str = TEST) -> Compared:
    """Compares the confirmed points of runs on `split`, by families; see `bench.frontier.comparison`.

    Parts of runs belong together where they have the same objectives and the same data, by its fingerprint; where data
    sets are what is compared, the objectives alone count.

    Args:
        metric: to test instead of each objective.

    Raises:
        UserError: an unknown family, split or metric; a run that is named twice, or has no result yet.
    """
    check_known("kind of family", by, FAMILIES, "--by")
    if split not in (CONFIRM, TEST):
        raise UserError(f"--split: expected {CONFIRM} or {TEST}, found '{split}'")
    names = [run.name for run in runs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"expected runs of different names, found '{twice}' twice")
    parts = [_read(part) for run in runs for part in run.datasets.values()]
    together: dict[tuple[object, ...], list[_Part]] = {}
    for part in parts:
        data = () if by == "dataset" else (part.part.key, part.fingerprint)
        together.setdefault((part.objectives, *data), []).append(part)
    groups = tuple(_group(group, by, metric, split) for group in together.values())
    return Compared(by, split, groups, _ranking(groups), tuple(_notes(parts, by)))


def _read(part: DatasetRun) -> _Part:
    objectives = part.objectives
    return _Part(part, objectives, part.fingerprint or "-", members_of(part, Study.read(part.folder), objectives))


def _group(parts: Sequence[_Part], by: str, metric: str | None, split: str) -> Group:
    first = parts[0]
    objectives, seed = first.objectives, first.part.run.manifest.seed
    metrics = None if metric is None else [parse(metric, first.part.tasks, "--metric")]
    every = [member for part in parts for member in part.members]
    confirmed = families([member for member in every if member.sample(objectives, split) is not None], by)
    found = {name: members for name, members in families(every, by).items() if name in confirmed}
    reference = weakest_reference(objectives, [part.reference for part in parts])
    reason = "" if len(found) > 1 else _alone(list(found), by, split)
    runs = tuple(dict.fromkeys(part.part.run.name for part in parts))
    return Group(
        dataset=", ".join(dict.fromkeys(part.part.key for part in parts)),
        fingerprints=tuple(dict.fromkeys(part.fingerprint for part in parts)),
        runs=runs,
        comparison=None if reason else compare(found, objectives, reference, split, seed, metrics),
        reason=reason,
        unconfirmed=tuple(sorted(families(every, by).keys() - found.keys())),
        answer=answer(every, objectives, reference, split, runs[0]) if by != "dataset" else APART,
    )


def _alone(found: Sequence[str], by: str, split: str) -> str:
    if not found:
        return f"nothing to compare: no point was confirmed on {NAMES[split]}"
    return f"nothing to compare: only one {by} has a point confirmed on {NAMES[split]}, {found[0]}"


def _ranking(groups: Sequence[Group]) -> Ranking | None:
    """Of the families that were compared on every data set."""
    volumes = [group.comparison.volumes for group in groups if group.comparison is not None]
    if len({group.dataset for group in groups if group.comparison is not None}) < LEAST_DATASETS:
        return None
    names = [name for name in volumes[0] if all(name in each for each in volumes)]
    return ranking(names, np.array([[each[name] for name in names] for each in volumes])) if len(names) > 1 else None


def _notes(parts: Sequence[_Part], by: str) -> list[str]:
    if by == "dataset":
        return ["Data sets differ in how hard they are: a difference between them says nothing of a method."]
    notes = []
    for key in dict.fromkeys(part.part.key for part in parts):
        runs: dict[str, list[str]] = {}
        for part in parts:
            if part.part.key == key:
                runs.setdefault(part.fingerprint, []).append(part.part.run.name)
        if len(runs) > 1:
            told = "; ".join(f"{fingerprint}: {', '.join(names)}" for fingerprint, names in runs.items())
            notes.append(f"{key} was prepared differently, and such runs are compared apart ({told}).")
    return notes


def write_comparison(found: Compared, file: Path) -> None:
    """Writes it as a page or, by the file's ending, as a table."""
    table = found.table.assign(split=found.split)
    write_text(file, table.to_csv(index=False) if file.suffix == ".csv" else comparison_document(found))


def answer_of(part: DatasetRun, study: Study) -> Answer:
    """Does any gradient method of this run lie beyond its static weights, on test? The same for every surface."""
    objectives = part.objectives
    reference = resolve_reference(objectives, part.dataset.reference)
    return answer(members_of(part, study, objectives), objectives, reference, TEST, part.run.name)


def members_of(part: DatasetRun, study: Study, objectives: Sequence[Objective]) -> list[FamilyPoint]:
    """All points of a run on one data set, and its baselines."""
    others = part.current.without_earlier(study.baselines())
    return [_member(part, point) for point in points_of_run(study.records(), others, objectives)]


def _member(part: DatasetRun, point: Point) -> FamilyPoint:
    names = [task.name for task in part.tasks]
    dense = point.sharing != "shared_embeddings" or point.config.get("interaction.kind", "none") != "none"
    name = method(point.balancing, len(names), dense)
    if point.sharing == BASELINE:
        name = BASELINE if point.kind != "single_task" else "single_task, best of each task"
    shares = point.sharing != BASELINE and name != point.architecture
    return FamilyPoint(
        run=part.run.name,
        dataset=part.key,
        sampler=part.run.manifest.suite.search.sampler,
        point=point,
        method=name,
        weights=_shares(point, names) if name == "static" else None,
        gradient=shares and name != "static" and works_on_gradients(point.balancing),
    )


def _shares(point: Point, tasks: Sequence[str]) -> tuple[float, ...]:
    """The tasks' shares of static weights, to a thousandth; equal where the balancer is no static one but acts so."""
    given = point.config if point.balancing == "static" else {}
    weights = [float(given.get(f"balancing.static.weight.{task}") or 1.0) for task in tasks]
    return tuple(round(weight / sum(weights), 3) for weight in weights)
