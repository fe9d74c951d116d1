"""Twins: single-task models with all settings of a model that shares, except sharing and balancing.

They make the single-task reference fair. A search gives most of its trainings to models that share, so these are tuned
on what single-task models have, too: how numbers enter, interaction, loss, sizes, learning rate. Without twins "ahead
of single-task models" could mean "ahead of other settings".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.confirm.baselines import best_point, measured
from bench.confirm.race import largest_first
from bench.core.objectives import Objective
from bench.core.records import Point, Scalar, TrialRecord
from bench.results.points import BASELINE, TWIN, baselines, confirmed, labelled, searched_points, twin_of
from bench.search.driver import MakeJob
from bench.search.executors.base import Executor
from bench.search.plan import SHARING, SINGLE_TASK
from bench.search.study import Study
from bench.system.progress import Progress


def twins_to_try(
    records: Sequence[TrialRecord], objectives: Sequence[Objective], reference: Mapping[str, float], most: int
) -> list[Point]:
    """Returns the twins to train once: as many settings as the kind of sharing with the most of them had.

    Settings count at full length, where models are compared. So single-task models have as many of their own and of
    twins together as that kind, and at least one twin. They are those of the best points that share, by the hypervolume
    of each alone; settings that a single-task model of full length has are left out.

    Args:
        most: of twins.
    """
    points = searched_points(records, objectives)
    full_length = [point for point in points if point.until is None]
    single = [point for point in full_length if point.sharing == BASELINE or point.baseline]
    sharing = [point for point in full_length if point not in single]
    settings_by_kind: defaultdict[str, set[Settings]] = defaultdict(set)
    for point in sharing:
        settings_by_kind[point.sharing].add(_settings(point))
    known = {_settings(point) for point in single}
    effort = max(map(len, settings_by_kind.values()), default=0)
    wanted = min(most, max(1, effort - len(known)))
    layers = _layers(records, objectives, reference)
    twins: list[Point] = []
    for point in largest_first(sharing, objectives, reference):
        if _settings(point) not in known and len(twins) < wanted:
            known.add(_settings(point))
            twins.append(_twin(point, layers, points))
    return twins


Settings = frozenset[tuple[str, Scalar]]


def _settings(point: Point) -> Settings:
    return frozenset(point.unshared.items())


def _layers(
    records: Sequence[TrialRecord], objectives: Sequence[Objective], reference: Mapping[str, float]
) -> dict[str, Scalar]:
    """What only single-task models have, of the best of the search; empty without one."""
    best = best_point(records, objectives, reference, single=True)
    if best is None:
        return {}
    return {key: value for key, value in best.config.items() if key.startswith(f"sharing.{SINGLE_TASK}.")}


def _twin(point: Point, layers: Mapping[str, Scalar], trials: Sequence[Point]) -> Point:
    config = {**point.unshared, SHARING: SINGLE_TASK, **layers}
    return labelled(Point(TWIN, config, SINGLE_TASK), trials)


def tried(
    study: Study, executor: Executor, make_job: MakeJob, twins: Sequence[Point], progress: Progress
) -> list[Point]:
    """Trains twins once each, on one seed, and returns those with a result, with their metrics on validation."""
    metrics = measured(study, executor, make_job, TWIN, [twin.config for twin in twins], progress)
    found = [replace(twin, metrics=values) for twin, values in zip(twins, metrics, strict=True)]
    return [twin for twin in found if twin.metrics]


def best_twins(records: Sequence[TrialRecord], twins: Sequence[Point], objectives: Sequence[Objective]) -> list[Point]:
    """The twins that are the best single-task model of an objective, by the search's values: parts of the reference."""
    best = baselines([*searched_points(records, objectives), *twins], objectives)
    return [twin for twin in twins if any(point is twin for point in best.values())]


def with_earlier(twins: Sequence[Point], study: Study) -> list[Point]:
    """Twins, and those that an earlier confirmation trained: all have the same number of replicates."""
    trainings = {twin.training for twin in twins}
    earlier = (point.unconfirmed for point in study.baselines() if point.kind == TWIN)
    return [*twins, *(point for point in earlier if point.training not in trainings)]


def missing_twin(
    pick: Point,
    points: Sequence[Point],
    records: Sequence[TrialRecord],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
) -> Point | None:
    """Returns the twin of a picked network that shares; None where it is confirmed, or the pick is another model.

    Args:
        points: of the run, see `bench.results.points.points_of_run`.
    """
    if SHARING not in pick.config or pick.sharing == BASELINE or twin_of(pick, filter(confirmed, points)):
        return None
    return _twin(pick, _layers(records, objectives, reference), searched_points(records, objectives))
