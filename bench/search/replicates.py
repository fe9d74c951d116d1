"""Replicates, and the tries by which baselines are tuned, as events of the log."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from bench.objectives import Objective
from bench.records import TRAINED, Outcome, Point, Replicate, training_of
from bench.search.events import at_length, failure_in, outcome_event, unpacked
from bench.search.log import Event


def replicate_event(outcome: Outcome, objectives: tuple[Objective, ...]) -> Event:
    """A retraining as plain JSON values; `asked` is the configuration of one that repeats no trial."""
    job = outcome.job
    of = {"kind": job.kind, "trial": job.trial, "replicate": job.replicate, "until": job.until}
    asked = {"asked": job.config} if job.trial is None else {}
    return of | asked | outcome_event(outcome, objectives)


def training_in(event: Event) -> str:
    """Equal for retrainings that differ by their seed alone, see `Point.training`."""
    return training_of(event["kind"], event["trial"], event["until"], event.get("asked", {}))


def replicates_in(kept: Iterable[Event]) -> tuple[Replicate, ...]:
    """Replicates by number, and by length where several have one number."""
    found = (
        Replicate(
            replicate=each["replicate"],
            seed=each["seed"],
            metrics=each["metrics"],
            failure=failure_in(each),
            until=each["until"],
            resampled=unpacked(at_length(each).get("resampled", {})),
        )
        for each in kept
    )
    return tuple(sorted(found, key=lambda each: (each.replicate, each.until or math.inf)))


def others_in(groups: Iterable[Sequence[Event]]) -> list[Point]:
    """Points that are no trials of the search, each with its replicates, in the order of `bench.records.TRAINED`.

    A baseline may have been trained by several configurations or to several lengths, as what it was derived from moved
    when a search went on; each is a point of its own, the latest last. Retuned static weights have one for each
    weight, in order of weights.

    Args:
        groups: replicates that differ by their seed alone.
    """
    points = [
        Point(
            kind=(of := group[0])["kind"],
            config=dict(of["asked"]),
            architecture=of["asked"]["sharing.kind"] if of["kind"] == "current" else of["kind"],
            until=of["until"],
            replicates=replicates_in(group),
        )
        for group in groups
    ]
    return sorted(points, key=lambda each: (TRAINED.index(each.kind), *_weights(each)))


def _weights(point: Point) -> list[float]:
    return list(point.weights.values()) if point.kind == "static_weights" else []
