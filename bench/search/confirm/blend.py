"""The blend: the best confirmed network and the boosted trees, averaged with shares chosen on
validation.

Confirmation rows and test take no part in the choice. Nothing is trained. A different best network
makes a different point.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench.core.objectives import COSTS
from bench.core.records import NETWORK, TREES, Outcome, Point, Replicate, Scalar, SplitName
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
    metrics = [each for each in study.objectives if each.is_metric]
    own = [point for point in points(study.records(), study.objectives) if confirmed(point)]
    at = {each.name: reference[each.name] for each in metrics if each.name in reference}
    network = next(iter(largest_first(own, metrics, at, SEARCH)), None)
    stored = study.replicates()
    grown = {each.replicate: each for each in stored.get(trees.training, ())}
    if network is None or not grown:
        return
    parts = {
        each.replicate: (each, grown[each.replicate])
        for each in network.replicates
        if each.replicate in grown
    }
    config = {NETWORK: network.id, TREES: trees.id, **trees.config}
    names = [
        parts_of(config, number)
        for number, of in parts.items()
        if not any(each.failure for each in of)
    ]
    names = [both for both in names if _whole(folder, both, [SEARCH])]
    point = Point("blend", config | choose(names), "blend")
    known = {each.replicate: each for each in stored.get(point.training, ())}
    with progress.task("blending", len(parts), "replicates", len(known.keys() & parts)) as advance:
        jobs = []
        for number, of in parts.items():
            job, done = make_job(point, number, REPLICATED), known.get(number)
            failures = [
                (part, run.failure)
                for part, run in zip((network, trees), of, strict=True)
                if run.failure
            ]
            if failures and not done:
                part, failure = failures[0]
                study.add_replicate(
                    Outcome(job, failure=replace(failure, reason=f"{part.name}: {failure.reason}"))
                )
                advance(1)
            lacks = not done or not (
                done.failure or _whole(folder, [name_of(point.training, number)])
            )
            if not failures and lacks and _whole(folder, parts_of(config, number)):
                jobs.append(job)
        for outcome in outcomes(executor, jobs, advance, None):
            if outcome.job.replicate not in known:
                study.add_replicate(_with_costs(outcome, parts[outcome.job.replicate]))


def _whole(folder: Path, names: Sequence[str], splits: Sequence[SplitName] = REPLICATED) -> bool:
    return all(is_whole(path(folder, split, name)) for name in names for split in splits)


def _with_costs(outcome: Outcome, parts: Sequence[Replicate]) -> Outcome:
    if outcome.result is None:
        return outcome
    keys = [
        key
        for key in (f"cost/{name}" for name in COSTS)
        if all(key in part.metrics for part in parts)
    ]
    sums = {key: sum(part.metrics[key] for part in parts) for key in keys}
    return replace(outcome, result=replace(outcome.result, metrics=outcome.result.metrics | sums))
