"""The blend: the best confirmed network and the boosted trees, averaged with shares chosen on
validation.

Confirmation rows and test take no part in the choice. Nothing is trained. A different best network
makes a different point.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from bench.core.objectives import COSTS, only_metrics
from bench.core.records import NETWORK, TREES, Job, Outcome, Point, Replicate, Scalar, SplitName
from bench.core.rows import REPLICATED, SEARCH
from bench.core.system.progress import Progress
from bench.ledger.points import confirmed, points
from bench.measure.predictions import is_whole, name_of, path
from bench.models.training.blend import parts_of
from bench.search.confirm.race import largest_first
from bench.search.driver import MakeJob, outcomes
from bench.search.executors.base import Executor
from bench.search.study import Study

Choose = Callable[[Sequence[tuple[str, str]]], dict[str, Scalar]]
"""Names of both parts' kept predictions, one pair a replicate -> the shares: `shares_of` of
`training.blend`.
"""


@dataclass(frozen=True)
class Parts:
    """Replicates of the network and of the trees with the same number."""

    network: Replicate
    trees: Replicate

    @property
    def both(self) -> tuple[Replicate, Replicate]:
        """Both replicates, the network's first."""
        return self.network, self.trees

    @property
    def failed(self) -> bool:
        """Whether a part failed."""
        return any(part.failure for part in self.both)


def blended(
    study: Study,
    executor: Executor,
    make_job: MakeJob,
    choose: Choose,
    folder: Path,
    trees: Point,
    reference: Mapping[str, float],
    progress: Progress,
) -> None:
    """Confirms the blend, after its parts; repeating it changes nothing.

    The network is the confirmed trial's point with the largest hypervolume of the metrics, costs
    aside, by the means of replicates on validation. A replicate fails if a part's failed. One whose
    part's predictions are gone waits for the next confirmation. `folder` keeps predictions, and the
    executor's workers must see it.
    """
    network = _best_network(study, reference)
    trees_by_number = _by_number(study, trees)
    if network is None or not trees_by_number:
        return
    parts = {}
    for replicate in network.replicates:
        number = replicate.replicate
        if number in trees_by_number:
            parts[number] = Parts(replicate, trees_by_number[number])
    config = {NETWORK: network.id, TREES: trees.id, **trees.config}
    point = Point("blend", config | choose(_names_on_validation(folder, config, parts)), "blend")
    done = _by_number(study, point)
    with progress.task("blending", len(parts), "replicates", len(done.keys() & parts)) as advance:
        jobs = []
        for number, replicates in parts.items():
            job = make_job(point, number, REPLICATED)
            if replicates.failed:
                if number not in done:
                    study.add_replicate(_failed(job, network, trees, replicates))
                    advance(1)
                continue
            is_complete = _is_complete(folder, point, done.get(number), number)
            if not is_complete and _whole(folder, parts_of(config, number)):
                jobs.append(job)
        for outcome in outcomes(executor, jobs, advance, None):
            number = outcome.job.replicate
            if number not in done:
                study.add_replicate(_with_costs(outcome, parts[number].both))


def _by_number(study: Study, point: Point) -> dict[int, Replicate]:
    """Stored replicates of a point by their numbers."""
    replicates = study.replicates().get(point.training, ())
    return {replicate.replicate: replicate for replicate in replicates}


def _best_network(study: Study, reference: Mapping[str, float]) -> Point | None:
    metrics = only_metrics(study.objectives)
    metric_reference = {}
    for metric in metrics:
        if metric.name in reference:
            metric_reference[metric.name] = reference[metric.name]
    networks = filter(confirmed, points(study.records(), study.objectives))
    return next(iter(largest_first(list(networks), metrics, metric_reference, SEARCH)), None)


def _names_on_validation(
    folder: Path, config: Mapping[str, Scalar], parts: Mapping[int, Parts]
) -> list[tuple[str, str]]:
    """Names of the parts' predictions, of replicates whose predictions on validation are whole."""
    names = []
    for number, replicates in parts.items():
        pair = parts_of(config, number)
        if not replicates.failed and _whole(folder, pair, [SEARCH]):
            names.append(pair)
    return names


def _failed(job: Job, network: Point, trees: Point, replicates: Parts) -> Outcome:
    """The outcome of a blend that lacks a part: the first part's failure."""
    point = network if replicates.network.failure else trees
    failure = replicates.network.failure or replicates.trees.failure
    assert failure is not None
    return Outcome(job, failure=replace(failure, reason=f"{point.name}: {failure.reason}"))


def _is_complete(folder: Path, point: Point, replicate: Replicate | None, number: int) -> bool:
    """Whether a replicate of the blend is stored, with its predictions unless it failed."""
    if replicate is None:
        return False
    return bool(replicate.failure) or _whole(folder, [name_of(point.training, number)])


def _whole(folder: Path, names: Sequence[str], splits: Sequence[SplitName] = REPLICATED) -> bool:
    return all(is_whole(path(folder, split, name)) for name, split in product(names, splits))


def _with_costs(outcome: Outcome, parts: Sequence[Replicate]) -> Outcome:
    """The outcome with the costs that both parts have, added up."""
    if outcome.result is None:
        return outcome
    metrics = dict(outcome.result.metrics)
    for name in COSTS:
        key = f"cost/{name}"
        if all(key in part.metrics for part in parts):
            metrics[key] = sum(part.metrics[key] for part in parts)
    return replace(outcome, result=replace(outcome.result, metrics=metrics))
