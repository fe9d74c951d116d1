"""Twins: single-task models with all settings of a model that shares, except sharing and balancing.

They make the single-task reference fair. A search gives most of its trainings to models that share,
so these are tuned on what single-task models have, too: how numbers enter, interaction, loss,
sizes, learning rate. Without twins "ahead of single-task models" could mean "ahead of other
settings".
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bench.core.objectives import Objective
from bench.core.records import Point, Scalar, TrialRecord
from bench.core.system.progress import Progress
from bench.ledger.points import (
    BASELINE,
    TWIN,
    baselines,
    confirmed,
    is_single_task,
    labelled,
    network_that_shares,
    searched_points,
    twin_of,
)
from bench.search.confirm.baselines import best_point, full_lengths, train_once
from bench.search.confirm.race import largest_first
from bench.search.driver import MakeJob
from bench.search.executors.base import Executor
from bench.search.plan import SHARING, SINGLE_TASK
from bench.search.study import Study


@dataclass(frozen=True)
class Effort:
    """Trainings that tuned single-task models, and the way of sharing that was tuned most, in
    units of full length.

    Attributes:
        alone: of single-task models, those with settings of models that share included.
        twins: number of those with such settings.
        kind: the way of sharing that was tuned most; empty if no model shares.
        of_kind: trainings of this way of sharing.
    """

    alone: float
    twins: int
    kind: str
    of_kind: float

    @property
    def missing(self) -> int:
        """Twins that single-task models lack: at least one, so that the best settings are always
        tried.
        """
        if not self.kind:
            return 0
        lacking = math.ceil(round(self.of_kind - self.alone, 3))
        return max(0 if self.twins else 1, lacking)


def effort_of(records: Sequence[TrialRecord], twins: int) -> Effort:
    """Counts the training samples of a search by way of sharing, and those of twins, which have
    full length.
    """
    trained = [record for record in records if record.measured and not record.trainer]
    by_kind: defaultdict[str, list[TrialRecord]] = defaultdict(list)
    for record in trained:
        by_kind[record.sharing].append(record)
    lengths = {kind: full_lengths(of_kind, trained) for kind, of_kind in by_kind.items()}
    alone = lengths.pop(BASELINE, 0.0) + twins
    kind = max(lengths, key=lengths.__getitem__, default="")
    return Effort(alone, twins, kind, lengths.get(kind, 0.0))


def tried(study: Study, records: Sequence[TrialRecord]) -> list[Point]:
    """All twins that were trained once, on one seed, with their metrics on validation; without
    those that failed.
    """
    trials = searched_points(records, study.objectives)
    twins = []
    for training, metrics in sorted(study.tries.items()):
        kind, _, config = json.loads(training)
        if kind == TWIN and metrics:
            twin = labelled(Point(TWIN, config, SINGLE_TASK), trials)
            twins.append(replace(twin, metrics=metrics))
    return twins


def tune(
    study: Study,
    executor: Executor,
    make_job: MakeJob,
    reference: Mapping[str, float],
    limit: int,
    progress: Progress,
) -> list[Point]:
    """Trains the missing twins once each, on one seed; returns all of `tried`.

    Args:
        limit: on the number of twins in all.
    """
    records = study.records()
    missing = missing_twins(records, tried(study, records), study.objectives, reference, limit)
    configs = [twin.config for twin in missing]
    train_once(study, executor, make_job, TWIN, configs, progress)
    return tried(study, records)


def missing_twins(
    records: Sequence[TrialRecord],
    twins: Sequence[Point],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    limit: int,
) -> list[Point]:
    """Returns the twins to train, so that single-task models are tuned as much as the way of
    sharing with most.

    Their settings are those of the best points that share, at full length, by the hypervolume of
    each alone. Settings that a single-task model of full length has are left out.

    Args:
        twins: that were tried before.
        limit: on the number of twins in all.
    """
    missing = min(effort_of(records, len(twins)).missing, limit - len(twins))
    points = searched_points(records, objectives)
    tried_settings = [twin.unshared for twin in twins]
    sharing = []
    for point in points:
        if point.until is not None:
            continue
        if is_single_task(point):
            tried_settings.append(point.unshared)
        elif not point.trainer:
            sharing.append(point)
    layers = _layers(records, objectives, reference)
    missing_twins: list[Point] = []
    for point in largest_first(sharing, objectives, reference):
        if len(missing_twins) >= missing:
            break
        if point.unshared not in tried_settings:
            tried_settings.append(point.unshared)
            missing_twins.append(_twin(point, layers, points))
    return missing_twins


def _layers(
    records: Sequence[TrialRecord], objectives: Sequence[Objective], reference: Mapping[str, float]
) -> dict[str, Scalar]:
    """Settings that only single-task models have, of the search's best one; empty without one."""
    best = best_point(records, objectives, reference, single=True)
    if best is None:
        return {}
    prefix = f"sharing.{SINGLE_TASK}."
    return {key: value for key, value in best.config.items() if key.startswith(prefix)}


def _twin(point: Point, layers: Mapping[str, Scalar], trials: Sequence[Point]) -> Point:
    config = {**point.unshared, SHARING: SINGLE_TASK, **layers}
    return labelled(Point(TWIN, config, SINGLE_TASK), trials)


def best_twins(
    records: Sequence[TrialRecord], twins: Sequence[Point], objectives: Sequence[Objective]
) -> list[Point]:
    """The twins that are the best single-task model of an objective, by the search's values: parts
    of the reference.
    """
    best = baselines([*searched_points(records, objectives), *twins], objectives)
    best_ids = {id(point) for point in best.values()}
    return [twin for twin in twins if id(twin) in best_ids]


def with_earlier(twins: Sequence[Point], study: Study) -> list[Point]:
    """Twins, and those that an earlier confirmation trained: all have the same number of
    replicates.
    """
    trainings = {twin.training for twin in twins}
    all_twins = list(twins)
    for point in study.baselines():
        if point.kind == TWIN and point.training not in trainings:
            all_twins.append(point.unconfirmed)
    return all_twins


def twin_of_pick(
    pick: Point,
    points: Sequence[Point],
    records: Sequence[TrialRecord],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
) -> Point | None:
    """Returns the twin of a picked network that shares, or of a picked blend's; None where one is
    confirmed.

    Args:
        points: of the run, see `bench.ledger.points.points_of_run`.
    """
    network = network_that_shares(pick, points)
    if network is None or twin_of(network, filter(confirmed, points)):
        return None
    layers = _layers(records, objectives, reference)
    return _twin(network, layers, searched_points(records, objectives))
