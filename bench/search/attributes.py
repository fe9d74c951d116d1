"""A trial's record as the user attributes of an Optuna trial, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from optuna.trial import FrozenTrial

from bench.objectives import Objective
from bench.records import Failure, Outcome, Replicate, TrialRecord, TrialResult


def attributes_of(outcome: Outcome | Failure, objectives: tuple[Objective, ...]) -> dict[str, Any]:
    """What is kept of an outcome, as plain JSON values.

    A result without a finite value for every objective counts as a failure; its measurements are kept.
    """
    if isinstance(outcome, Failure):
        return _plain(None, outcome)
    failure = outcome.failure or (_objection(outcome.result, objectives) if outcome.result else None)
    when = {"started": outcome.started, "seconds": outcome.seconds, "seed": outcome.job.seed}
    return when | _plain(outcome.result, failure)


def values_in(attributes: Mapping[str, Any], objectives: tuple[Objective, ...]) -> list[float] | None:
    """The values of the objectives on validation, in order; None for a failure."""
    if attributes["failure"]:
        return None
    return [attributes["metrics"][objective.key("valid")] for objective in objectives]


def is_finished(trial: FrozenTrial) -> bool:
    """Whether the trial has an outcome."""
    return "failure" in trial.user_attrs


def failure_in(attributes: Mapping[str, Any]) -> Failure | None:
    """The failure that is kept, if any."""
    failure = attributes.get("failure")
    return Failure(**failure) if failure else None


def record_of(trial: FrozenTrial, replicates: tuple[Replicate, ...]) -> TrialRecord:
    """The record of an asked trial."""
    of = trial.user_attrs
    failure = failure_in(of)
    return TrialRecord(
        number=trial.number,
        state="failed" if failure else "completed" if is_finished(trial) else "running",
        params=dict(trial.params),
        config=of.get("full_config", of["config"]),
        architecture=of["architecture"],
        metrics=of.get("metrics", {}),
        speed=of.get("speed", {}),
        curve=of.get("curve", []),
        failure=failure,
        replicates=replicates,
        baseline=of["baseline"],
        started=of.get("started", 0.0),
        seconds=of.get("seconds", 0.0),
    )


def _objection(result: TrialResult, objectives: tuple[Objective, ...]) -> Failure | None:
    for objective in objectives:
        key = objective.key("valid")
        if key not in result.metrics:
            return Failure("bug", f"expected a value of {key}, found none among the trial's metrics")
        if not math.isfinite(result.metrics[key]):
            return Failure("diverged", f"expected a finite value of {key}, found {result.metrics[key]}")
    return None


def _plain(result: TrialResult | None, failure: Failure | None) -> dict[str, Any]:
    plain: dict[str, Any] = {"metrics": {}, "speed": {}, "curve": []}
    if result:
        plain = {
            "metrics": {key: float(value) for key, value in result.metrics.items()},
            "speed": {key: float(value) for key, value in result.speed.items()},
            "curve": [{key: float(value) for key, value in point.items()} for point in result.curve],
            "full_config": result.config,
        }
    return plain | {"failure": {"kind": failure.kind, "reason": failure.reason} if failure else None}
