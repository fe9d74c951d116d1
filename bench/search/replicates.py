"""Replicates as the trials of an Optuna study of their own."""

from __future__ import annotations

import math
from collections.abc import Iterable

import optuna
from optuna.trial import FrozenTrial, TrialState

from bench.objectives import Objective
from bench.records import TRAINED, Outcome, Point, Replicate, Scalar, training_of
from bench.search.attributes import attributes_of, failure_in, values_in
from bench.search.packing import unpacked


def as_trial(outcome: Outcome, objectives: tuple[Objective, ...]) -> FrozenTrial:
    """What is kept of a retraining."""
    attributes = attributes_of(outcome, objectives)
    values = values_in(attributes, objectives)
    job = outcome.job
    attributes |= {"kind": job.kind, "trial": job.trial, "replicate": job.replicate, "until": job.until}
    if job.trial is None:
        attributes["asked"] = job.config
    state = TrialState.FAIL if values is None else TrialState.COMPLETE
    return optuna.trial.create_trial(state=state, values=values, user_attrs=attributes)


def by_training(kept: Iterable[FrozenTrial]) -> dict[str, tuple[Replicate, ...]]:
    """Replicates by `Point.training`, by number."""
    return {training: _in_order(map(_replicate, those)) for training, those in _together(kept).items()}


def by_trial(kept: Iterable[FrozenTrial]) -> dict[int, tuple[Replicate, ...]]:
    """Replicates by the number of the trial that they repeat, by number and length; not those of baselines."""
    found: dict[int, list[Replicate]] = {}
    for each in kept:
        if each.user_attrs["trial"] is not None:
            found.setdefault(each.user_attrs["trial"], []).append(_replicate(each))
    return {number: _in_order(those) for number, those in found.items()}


def of_others(kept: Iterable[FrozenTrial]) -> list[Point]:
    """Points that are no trials of the search, each with its replicates, in the order of `bench.records.TRAINED`.

    A baseline may have been trained by several configurations or to several lengths, as what it was derived from moved
    when a search went on; each is a point of its own, the latest last. Retuned static weights have one for each
    weight, in order of weights.
    """
    together = _together(each for each in kept if each.user_attrs["trial"] is None)
    points = [
        Point(
            kind=(of := those[0].user_attrs)["kind"],
            config=dict(of["asked"]),
            architecture=of["asked"]["sharing.kind"] if of["kind"] == "current" else of["kind"],
            until=of["until"],
            replicates=_in_order(map(_replicate, those)),
        )
        for those in together.values()
    ]
    return sorted(points, key=lambda each: (TRAINED.index(each.kind), *_weights(each)))


def of_tries(kept: Iterable[FrozenTrial]) -> list[tuple[dict[str, Scalar], dict[str, float]]]:
    """Configurations that baselines were tuned by, and their metrics on validation; empty for one that failed."""
    tried = [each.user_attrs for each in kept if not each.user_attrs["replicate"]]
    return [(of["asked"], of["metrics"]) for of in tried]


def _together(kept: Iterable[FrozenTrial]) -> dict[str, list[FrozenTrial]]:
    """Replicates that differ by their seed alone."""
    found: dict[str, list[FrozenTrial]] = {}
    for each in kept:
        of = each.user_attrs
        if of["replicate"]:
            training = training_of(of["kind"], of["trial"], of["until"], of.get("asked", {}))
            found.setdefault(training, []).append(each)
    return found


def _weights(point: Point) -> list[float]:
    return list(point.weights.values()) if point.kind == "static_weights" else []


def _replicate(kept: FrozenTrial) -> Replicate:
    of = kept.user_attrs
    resampled = unpacked(of.get("resampled", {}))
    return Replicate(of["replicate"], of["seed"], of["metrics"], failure_in(of), of.get("until"), resampled)


def _in_order(replicates: Iterable[Replicate]) -> tuple[Replicate, ...]:
    return tuple(sorted(replicates, key=lambda one: (one.replicate, one.until or math.inf)))
