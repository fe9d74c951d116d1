"""The points of a run for a comparison, and the answer about gradient methods."""

from __future__ import annotations

from collections.abc import Sequence

from bench.balancing import method, works_on_gradients
from bench.frontier.comparison.beyond import Answer, answer
from bench.frontier.comparison.families import FamilyPoint
from bench.frontier.pareto import resolve_reference
from bench.frontier.points import BASELINE, points_of_run
from bench.objectives import Objective
from bench.records import Point
from bench.rows import TEST
from bench.run.current import others_of
from bench.run.folder import DatasetRun
from bench.search.study import Study
from bench.suite import resolve_objectives


def answer_of(part: DatasetRun, study: Study) -> Answer:
    """Does any gradient method of this run lie beyond its static weights, on test? The same for every surface."""
    objectives = resolve_objectives(part.dataset, part.tasks)
    reference = resolve_reference(objectives, part.dataset.reference)
    return answer(members_of(part, study, objectives), objectives, reference, TEST, part.run.name)


def members_of(part: DatasetRun, study: Study, objectives: Sequence[Objective]) -> list[FamilyPoint]:
    """All points of a run on one data set, and its baselines."""
    return [_member(part, point) for point in points_of_run(study.records(), others_of(part, study), objectives)]


def _member(part: DatasetRun, point: Point) -> FamilyPoint:
    names = [task.name for task in part.tasks]
    dense = point.sharing != "shared_embeddings" or point.config.get("interaction.kind", "none") != "none"
    name = method(point.balancing, len(names), dense)
    if point.sharing == BASELINE:
        name = BASELINE if point.kind != "single_task" else "single_task, best of each task"
    elif "balancing.kind" not in point.config:
        name = point.architecture  # trees and other baselines that balance nothing
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
