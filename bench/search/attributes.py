"""What is kept of a trial as the user attributes of an Optuna trial, and the record that they make.

A trial has `config`, `architecture` and `baseline`, and for each rung r, counted from 0:

* `rung/<r>/asked`: the job's number in the search (`order`), and whether the floor let the trial go on (`floor`);
* `rung/<r>`: what came of that job;
* `rung/<r>/told`: that the decisions since then know it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import count, product, takewhile
from typing import Any

from optuna.trial import FrozenTrial

from bench.objectives import Objective
from bench.records import Failure, Outcome, Replicate, RungResult, State, TrialRecord, TrialResult
from bench.rows import SEARCH, TEST
from bench.search.packing import packed


def asked_key(rung: int) -> str:
    """Of what is kept when a job is begun."""
    return f"rung/{rung}/asked"


def outcome_key(rung: int) -> str:
    """Of what came of it."""
    return f"rung/{rung}"


def told_key(rung: int) -> str:
    """Of its being known."""
    return f"rung/{rung}/told"


def asked_rungs(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is kept of each job that was begun, from the lowest rung."""
    return [attributes[key] for key in takewhile(attributes.__contains__, map(asked_key, count()))]


def attributes_of(outcome: Outcome | Failure, objectives: tuple[Objective, ...]) -> dict[str, Any]:
    """What is kept of an outcome, as plain JSON values.

    A result without a finite value for every objective counts as a failure; its measurements are kept.
    """
    if isinstance(outcome, Failure):
        return _plain(None, outcome)
    failure = outcome.failure or _objection(outcome, objectives)
    when = {"started": outcome.started, "seconds": outcome.seconds, "seed": outcome.job.seed}
    return when | _plain(outcome.result, failure)


def values_in(attributes: Mapping[str, Any], objectives: tuple[Objective, ...]) -> tuple[float, ...] | None:
    """The values of the objectives on validation, in order; None for a failure."""
    if attributes["failure"]:
        return None
    return tuple(attributes["metrics"][objective.key(SEARCH)] for objective in objectives)


def failure_in(attributes: Mapping[str, Any]) -> Failure | None:
    """The failure that is kept, if any."""
    failure = attributes.get("failure")
    return Failure(**failure) if failure else None


def record_of(
    trial: FrozenTrial, replicates: tuple[Replicate, ...], ladder: Sequence[int] = (), over: bool = False
) -> TrialRecord:
    """The record of an asked trial.

    Args:
        ladder: training samples at each rung; empty where every trial is trained to full length.
        over: whether the search has ended, so that no trial goes on.
    """
    of = trial.user_attrs
    asked = asked_rungs(of)
    done = [of[outcome_key(rung)] for rung in range(len(asked)) if outcome_key(rung) in of]
    results = [outcome for outcome in done if not outcome["failure"]]
    failure = failure_in(done[-1]) if done else None
    last: dict[str, Any] = results[-1] if results else done[-1] if done else {}
    if failure:
        state: State = "pruned" if results else "failed"
    elif len(done) < len(asked):
        state = "running"
    elif len(done) == max(1, len(ladder)):
        state = "completed"
    else:
        state = "pruned" if over else "waiting"
    return TrialRecord(
        number=trial.number,
        state=state,
        params=dict(trial.params),
        config=last.get("full_config", of["config"]),
        architecture=of["architecture"],
        metrics=last.get("metrics", {}),
        speed=last.get("speed", {}),
        curve=last.get("curve", []),
        failure=failure,
        replicates=replicates,
        baseline=of["baseline"],
        started=done[0].get("started", 0.0) if done else 0.0,
        seconds=sum(outcome.get("seconds", 0.0) for outcome in done),
        rungs=tuple(
            RungResult(samples, begun["order"], outcome["metrics"], outcome["seconds"], outcome.get("diagnosis", {}))
            for samples, begun, outcome in zip(ladder, asked, results, strict=False)
        ),
        diagnosis=last.get("diagnosis", {}),
    )


def _objection(outcome: Outcome, objectives: tuple[Objective, ...]) -> Failure | None:
    metrics = {} if outcome.result is None else outcome.result.metrics
    for objective, split in product(objectives, [split for split in outcome.job.splits if split != TEST]):
        key = objective.key(split)
        if key not in metrics:
            return Failure("bug", f"expected a value of {key}, found none among the trial's metrics")
        if not math.isfinite(metrics[key]):
            return Failure("diverged", f"expected a finite value of {key}, found {metrics[key]}")
    return None


def _plain(result: TrialResult | None, failure: Failure | None) -> dict[str, Any]:
    plain: dict[str, Any] = {"metrics": {}, "speed": {}, "curve": []}
    if result:
        plain = {
            "metrics": {key: float(value) for key, value in result.metrics.items()},
            "speed": {key: float(value) for key, value in result.speed.items()},
            "curve": [{key: float(value) for key, value in point.items()} for point in result.curve],
            "full_config": result.config,
            "diagnosis": result.diagnosis,
        }
        if result.resampled:
            plain["resampled"] = packed(result.resampled)
    return plain | {"failure": {"kind": failure.kind, "reason": failure.reason} if failure else None}
