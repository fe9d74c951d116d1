"""What a worker says of a job: one line of JSON, which can neither run nor hide code."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from bench.records import Failure, Job, Outcome, TrialResult


def encode(outcome: Outcome) -> str:
    """The outcome without its job, on one line; a result that is no plain values becomes a failure."""
    when = {"started": outcome.started, "seconds": outcome.seconds}
    try:
        result = None if outcome.result is None else asdict(outcome.result)
        failure = None if outcome.failure is None else asdict(outcome.failure)
        return json.dumps({"result": result, "failure": failure, **when}, default=_plain)
    except Exception as error:
        reason = f"expected a result of plain values, found {type(error).__name__}: {error}"
        return json.dumps({"result": None, "failure": {"kind": "bug", "reason": reason}, **when})


def decode(job: Job, line: str | bytes) -> Outcome:
    """The outcome of a job.

    Raises:
        ValueError: the line was not made by `encode`.
    """
    try:
        fields: dict[str, Any] = json.loads(line)
        result = None if fields["result"] is None else TrialResult(**fields["result"])
        failure = None if fields["failure"] is None else Failure(**fields["failure"])
        outcome = Outcome(job, result, failure, float(fields["started"]), float(fields["seconds"]))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"expected an outcome, found {line[:80]!r}") from error
    if (result is None) == (failure is None):
        raise ValueError(f"expected either a result or a failure, found {line[:80]!r}")
    return outcome


def _plain(value: Any) -> Any:
    """A scalar of numpy or torch as Python's own."""
    if callable(item := getattr(value, "item", None)):
        return item()
    raise TypeError(f"a value of type {type(value).__name__}")
