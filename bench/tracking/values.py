"""What is logged of a record, as plain values: nothing here knows MLflow, but for its limits."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import NamedTuple

import pandas as pd

from bench.frontier.frontier import Frontier
from bench.frontier.pick import Pick
from bench.objectives import Objective
from bench.records import Failure, Replicate, TrialRecord
from bench.rows import NAMES
from bench.tracking.diagnosis import numbers

LONGEST_TAG = 5000

STATUS = {"completed": "FINISHED", "failed": "FAILED", "pruned": "KILLED"}
"""From a finished trial's state to the status of its run."""

STATE, RUNGS, CURVE = "seesaw.state", "seesaw.rungs", "seesaw.curve"
"""Tags of a trial: its state, and how many rungs and evaluations have been logged."""


UNTIL = "seesaw.until"
"""Tag of a trial and of a replicate: training samples at which the point was stopped, `none` for full length."""
OBJECTIVES, REFERENCE = "seesaw.objectives", "seesaw.reference"
"""Tags of a parent: what its front compares (name and direction), and the hypervolume's reference, as JSON."""


class Point(NamedTuple):
    """One value of a metric; `time` is in seconds since 1970, 0 for the beginning of its run."""

    name: str
    value: float
    step: int = 0
    time: float = 0.0


def params(record: TrialRecord) -> dict[str, str]:
    """The whole configuration by dotted names, searched or not."""
    return {name: str(value) for name, value in record.config.items()}


def points(record: TrialRecord, rungs: int = 0, curve: int = 0, ended: bool = True) -> list[Point]:
    """Metrics and costs under their keys, `diagnosis/<name>`, `speed/<name>`, and the learning curve as `curve/<name>`
    by samples.

    In a search by rungs metrics and the diagnosis have a value for each rung that the trial reached, by samples.
    Values that are not finite are left out: MLflow would store infinity as a large number.

    Args:
        rungs: how many are there already.
        curve: how many evaluations are there already.
        ended: whether the trial is over; only then its speed is told.
    """
    found, when = [], record.started
    for reached, rung in enumerate(record.rungs):
        when += rung.seconds if when else 0.0
        if reached >= rungs:
            told = chain(rung.metrics.items(), numbers(rung.diagnosis))
            found += [Point(name, value, rung.samples, when) for name, value in told]
    if not record.rungs:
        found += [Point(name, value) for name, value in chain(record.metrics.items(), numbers(record.diagnosis))]
    if ended:
        found += [Point(f"speed/{name}", value) for name, value in record.speed.items()]
    for at in record.curve[curve:]:
        found += [Point(f"curve/{name}", value, int(at["samples"])) for name, value in at.items() if name != "samples"]
    return _finite(found)


def done(record: TrialRecord) -> dict[str, str]:
    """How much of a trial is logged once this record is."""
    return {RUNGS: str(len(record.rungs)), CURVE: str(len(record.curve))}


def count(tags: Mapping[str, str], name: str) -> int:
    """A number among tags, 0 where it is not there."""
    return int(tags.get(name, "0"))


def replicate_points(replicate: Replicate) -> list[Point]:
    """Metrics and costs under their keys."""
    return _finite(Point(name, value) for name, value in replicate.metrics.items())


def trial_tags(record: TrialRecord) -> dict[str, str]:
    """What a trial can be searched by."""
    return {
        "seesaw.kind": "trial",
        "seesaw.trial": str(record.number),
        STATE: record.state,
        "seesaw.architecture": record.architecture,
        "seesaw.sharing": record.sharing,
        "seesaw.funnel": record.funnel,
        "seesaw.balancing": record.balancing,
        "seesaw.baseline": flag(record.baseline),
        "seesaw.searched": ", ".join(record.params)[:LONGEST_TAG],
        **failure_tags(record.failure),
    }


def replicate_tags(record: TrialRecord, replicate: Replicate) -> dict[str, str]:
    """What a replicate can be searched by."""
    return {
        "seesaw.kind": "replicate",
        "seesaw.trial": str(record.number),
        "seesaw.replicate": str(replicate.replicate),
        "seesaw.seed": str(replicate.seed),
        UNTIL: stopped(replicate.until),
        "seesaw.architecture": record.architecture,
        **failure_tags(replicate.failure),
    }


def failure_tags(failure: Failure | None) -> dict[str, str]:
    """Why there is no result; none where there is one."""
    if failure is None:
        return {}
    return {"seesaw.failure": failure.reason[:LONGEST_TAG], "seesaw.failure_kind": failure.kind}


def front_of(frontier: Frontier, pick: Pick | None) -> dict[int, tuple[list[Point], dict[str, str]]]:
    """What the frontier says of each completed trial, by number: its replicate statistics, and its place as tags."""
    spread = [name for name in frontier.table if str(name).endswith((".mean", ".sd"))]
    found = {}
    for row in frontier.by_trial.to_dict("records"):
        numbers = {str(name): row[name] for name in spread} | {"front.p_nondominated": row["p_nondominated"]}
        tags = {
            "front.on_front": flag(row["on_front"]),
            "front.rank": "none" if pd.isna(row["rank"]) else str(row["rank"]),
            "front.p_nondominated": "none" if pd.isna(row["p_nondominated"]) else f"{row['p_nondominated']:.4f}",
            UNTIL: row["point"].partition("@")[2] or stopped(None),
            "seesaw.picked": flag(pick is not None and pick.trial == row["trial"]),
        }
        found[int(row["trial"])] = (_finite(Point(name, float(value)) for name, value in numbers.items()), tags)
    return found


UNPLACED = {
    "front.on_front": "false",
    "front.rank": "none",
    "front.p_nondominated": "none",
    "seesaw.picked": "false",
}
"""The place of a trial that did not complete."""


def front_tags(frontier: Frontier) -> dict[str, str]:
    """What a parent says of its front, so that fronts of several runs can be merged; and the rows that it is on."""
    named = [[objective.name, objective.direction] for objective in frontier.objectives]
    tags = {OBJECTIVES: json.dumps(named), REFERENCE: json.dumps(frontier.reference)}
    return tags | {"front.split": frontier.split, "front.rows": NAMES[frontier.split]}


def objectives_of(tags: Mapping[str, str]) -> tuple[tuple[Objective, ...], dict[str, float]]:
    """Objectives and reference from the tags of a parent."""
    objectives = tuple(Objective(name, direction) for name, direction in json.loads(tags[OBJECTIVES]))
    return objectives, json.loads(tags[REFERENCE])


def stopped(until: int | None) -> str:
    """A point's length as a tag."""
    return "none" if until is None else str(until)


def flag(value: bool) -> str:
    """A truth value as a tag."""
    return "true" if value else "false"


def _finite(points: Iterable[Point]) -> list[Point]:
    return [point for point in points if math.isfinite(point.value)]
