"""Replicates, and the tries by which baselines are tuned, as events of the log."""

from __future__ import annotations

import math
from collections.abc import Iterable

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


def by_training(kept: Iterable[Event]) -> dict[str, tuple[Replicate, ...]]:
    """Replicates by `Point.training`, by number."""
    return {training: _in_order(map(_replicate, those)) for training, those in _together(kept).items()}


def by_trial(kept: Iterable[Event], only: int | None = None) -> dict[int, tuple[Replicate, ...]]:
    """Replicates by the number of the trial that they repeat, by number and length; not those of baselines.

    Args:
        only: the one trial to look for; None for all.
    """
    found: dict[int, list[Replicate]] = {}
    for each in kept:
        if (number := each["trial"]) is not None and only in (None, number):
            found.setdefault(number, []).append(_replicate(each))
    return {number: _in_order(those) for number, those in found.items()}


def of_others(kept: Iterable[Event]) -> list[Point]:
    """Points that are no trials of the search, each with its replicates, in the order of `bench.records.TRAINED`.

    A baseline may have been trained by several configurations or to several lengths, as what it was derived from moved
    when a search went on; each is a point of its own, the latest last. Retuned static weights have one for each
    weight, in order of weights.
    """
    together = _together(each for each in kept if each["trial"] is None)
    points = [
        Point(
            kind=(of := those[0])["kind"],
            config=dict(of["asked"]),
            architecture=of["asked"]["sharing.kind"] if of["kind"] == "current" else of["kind"],
            until=of["until"],
            replicates=_in_order(map(_replicate, those)),
        )
        for those in together.values()
    ]
    return sorted(points, key=lambda each: (TRAINED.index(each.kind), *_weights(each)))


def of_tries(kept: Iterable[Event]) -> dict[str, dict[str, float]]:
    """Metrics on validation of what baselines were tuned by, by `Point.training`; empty for a try that failed."""
    return {_training(each): each["metrics"] for each in kept if not each["replicate"]}


def _training(event: Event) -> str:
    return training_of(event["kind"], event["trial"], event["until"], event.get("asked", {}))


def _together(kept: Iterable[Event]) -> dict[str, list[Event]]:
    """Replicates that differ by their seed alone."""
    found: dict[str, list[Event]] = {}
    for each in kept:
        if each["replicate"]:
            found.setdefault(_training(each), []).append(each)
    return found


def _weights(point: Point) -> list[float]:
    return list(point.weights.values()) if point.kind == "static_weights" else []


def _replicate(of: Event) -> Replicate:
    resampled = unpacked(at_length(of).get("resampled", {}))
    return Replicate(of["replicate"], of["seed"], of["metrics"], failure_in(of), of["until"], resampled)


def _in_order(replicates: Iterable[Replicate]) -> tuple[Replicate, ...]:
    return tuple(sorted(replicates, key=lambda one: (one.replicate, one.until or math.inf)))
