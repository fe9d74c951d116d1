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
    labelled,
    network_that_shares,
    searched_points,
    twin_of,
)
from bench.search.confirm.baselines import best_point, full_lengths, measured
from bench.search.confirm.race import largest_first
from bench.search.driver import MakeJob
from bench.search.executors.base import Executor
from bench.search.plan import SHARING, SINGLE_TASK
from bench.search.study import Study


@dataclass(frozen=True)
class Effort:
    """What tuned single-task models, and the way of sharing that was tuned most, in trainings of
    full length.

    Attributes:
        alone: of single-task models, those with settings of models that share included.
        twins: how many of them have such settings.
        kind: the way of sharing that was tuned most; empty where no model shares.
        most: its own.
    """

    alone: float
    twins: int
    kind: str
    most: float

    @property
    def missing(self) -> int:
        """Twins that single-task models lack: at least one, so that the best settings are always
        tried.
        """
        if not self.kind:
            return 0
        least = 0 if self.twins else 1
        return max(least, math.ceil(round(self.most - self.alone, 3)))


def effort_of(records: Sequence[TrialRecord], twins: int) -> Effort:
    """Counts the training samples of a search by way of sharing, and those of twins, which have
    full length.
    """
    trained = [record for record in records if record.measured]
    by_kind: defaultdict[str, list[TrialRecord]] = defaultdict(list)
    for record in trained:
        by_kind[record.sharing].append(record)
    lengths = {kind: full_lengths(own, trained) for kind, own in by_kind.items()}
    alone = lengths.pop(BASELINE, 0.0) + twins
    kind = max(lengths, key=lambda kind: lengths[kind], default="")
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
            twins.append(
                replace(labelled(Point(TWIN, config, SINGLE_TASK), trials), metrics=metrics)
            )
    return twins


def tune(
    study: Study,
    executor: Executor,
    make_job: MakeJob,
    reference: Mapping[str, float],
    most: int,
    progress: Progress,
) -> list[Point]:
    """Trains what twins are missing once each, on one seed; returns all of `tried`.

    Args:
        most: of twins in all.
    """
    records = study.records()
    asked = missing_twins(records, tried(study, records), study.objectives, reference, most)
    measured(study, executor, make_job, TWIN, [twin.config for twin in asked], progress)
    return tried(study, records)


def missing_twins(
    records: Sequence[TrialRecord],
    twins: Sequence[Point],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    most: int,
) -> list[Point]:
    """Returns the twins to train, so that single-task models are tuned as much as the way of
    sharing with most.

    Their settings are those of the best points that share, at full length, by the hypervolume of
    each alone. Settings that a single-task model of full length has are left out.

    Args:
        twins: that were tried before.
        most: of twins in all.
    """
    missing = min(effort_of(records, len(twins)).missing, most - len(twins))
    points = searched_points(records, objectives)
    whole = [point for point in points if point.until is None]
    alone = [point for point in whole if _single(point)]
    sharing = [point for point in whole if not _single(point)]
    known = [point.unshared for point in (*alone, *twins)]
    layers = _layers(records, objectives, reference)
    found: list[Point] = []
    for point in largest_first(sharing, objectives, reference):
        if len(found) < missing and point.unshared not in known:
            known.append(point.unshared)
            found.append(_twin(point, layers, points))
    return found


def _single(point: Point) -> bool:
    return point.sharing == BASELINE or point.baseline


def _layers(
    records: Sequence[TrialRecord], objectives: Sequence[Objective], reference: Mapping[str, float]
) -> dict[str, Scalar]:
    """What only single-task models have, of the best of the search; empty without one."""
    best = best_point(records, objectives, reference, single=True)
    if best is None:
        return {}
    return {
        key: value
        for key, value in best.config.items()
        if key.startswith(f"sharing.{SINGLE_TASK}.")
    }


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
    return [twin for twin in twins if any(point is twin for point in best.values())]


def with_earlier(twins: Sequence[Point], study: Study) -> list[Point]:
    """Twins, and those that an earlier confirmation trained: all have the same number of
    replicates.
    """
    trainings = {twin.training for twin in twins}
    earlier = [point.unconfirmed for point in study.baselines() if point.kind == TWIN]
    return [*twins, *(point for point in earlier if point.training not in trainings)]


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
    return _twin(
        network, _layers(records, objectives, reference), searched_points(records, objectives)
    )
