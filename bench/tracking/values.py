"""MLflow's values of a record, as plain values. This module knows only MLflow's limits and names of metrics."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from bench.frontier.history import History
from bench.records import Failure, RungResult, TrialRecord

RUNNING = "RUNNING"
STATUS = {"completed": "FINISHED", "failed": "FAILED", "pruned": "KILLED"}
"""From a finished trial's state to the status of its run."""
UNTIL = "seesaw.until"
"""Tag of a trial and of a replicate: training samples at which the point was stopped, `none` for full length."""
VIEW = "seesaw"
"""Name of the view that holds the runs table's columns."""
HYPERVOLUME, BY_SAMPLES = "hypervolume", "hypervolume.by_samples"
DIAGNOSIS = "diagnosis"
NONE: Mapping[str, str] = {}

_RANKED = re.compile(r"\b(ndcg|recall|value)@(\d+(?:\.\d+)?)(%?)")
_THERE = re.compile(r"\b(ndcg|recall|value)_at_(\d+(?:\.\d+)?)((?:_percent)?)")
_COST, _LAST = "cost/", "what it costs/"


def outward(name: str) -> str:
    """A metric's name in MLflow, which takes no `@` and `%`, and sorts charts by the part before the slash.

    `valid/like.recall@10%` is `valid/like.recall_at_10_percent` there. `cost/latency_ms` is `what it costs/latency_ms`,
    so that costs come last.
    """
    found = _RANKED.sub(lambda cut: f"{cut[1]}_at_{cut[2]}{'_percent' if cut[3] else ''}", name)
    return _LAST + found.removeprefix(_COST) if found.startswith(_COST) else found


def inward(name: str) -> str:
    """The inverse of `outward`."""
    found = _THERE.sub(lambda cut: f"{cut[1]}@{cut[2]}{'%' if cut[3] else ''}", name)
    return _COST + found.removeprefix(_LAST) if found.startswith(_LAST) else found


class Point(NamedTuple):
    """One value of a metric; `time` is in seconds since 1970, 0 for the beginning of its run."""

    name: str
    value: float
    step: int = 0
    time: float = 0.0


Key = tuple[str, ...]
"""Of a run among those of a data set: `()` of the parent, `(trial,)`, or `(trial, replicate, until)`."""


def key_of(tags: Mapping[str, str]) -> Key:
    """The key of a run below a parent."""
    of = (tags["seesaw.trial"],)
    return (*of, tags["seesaw.replicate"], tags[UNTIL]) if "seesaw.replicate" in tags else of


class Wanted(NamedTuple):
    """A run of MLflow as it should be. Points of one metric are in the order of their steps.

    Attributes:
        status: None where it may be what it is.
        started, ended: in seconds since 1970; 0 for the time at which it is sent.
    """

    key: Key
    name: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    points: list[Point]
    status: str | None
    started: float = 0.0
    ended: float = 0.0


def runs_of(record: TrialRecord, placed: Sequence[Point] = (), place: Mapping[str, str] = NONE) -> list[Wanted]:
    """The run of a trial and those of its replicates; none where there is no result yet.

    `Wanted.params` is the whole configuration by dotted names, searched or not. The run of a trial that goes on by
    rungs begins with its first rung, and is `RUNNING` until the trial is over.

    Args:
        placed, place: what a front says of the trial, see `bench.tracking.front.on_trials`.
    """
    if record.state not in STATUS and not record.rungs:
        return []
    name, ended = f"{record.architecture} trial {record.number}", record.started and record.started + record.seconds
    tags = {"seesaw.kind": "trial", "seesaw.state": record.state, **_tags(record, record.failure), **place}
    params = {key: str(value) for key, value in record.config.items()}
    status = STATUS.get(record.state, RUNNING)
    found = [Wanted(key_of(tags), name, tags, params, [*points(record), *placed], status, record.started, ended)]
    for each in record.replicates:
        numbers = {"seesaw.replicate": str(each.replicate), "seesaw.seed": str(each.seed), UNTIL: word(each.until)}
        tags = {"seesaw.kind": "replicate", **numbers, **_tags(record, each.failure)}
        title = f"{name} · seed {each.replicate}" + (f" to {each.until} samples" if each.until else "")
        values = finite(Point(*of) for of in each.metrics.items())
        found.append(Wanted(key_of(tags), title, tags, {}, values, "FAILED" if each.failure else "FINISHED"))
    return found


def _tags(record: TrialRecord, failure: Failure | None) -> dict[str, str]:
    tags = {"seesaw.trial": str(record.number), "seesaw.architecture": record.architecture}
    return tags | ({"seesaw.failure": failure.reason, "seesaw.failure_kind": failure.kind} if failure else {})


def points(record: TrialRecord) -> list[Point]:
    """Metrics and costs under their keys, `diagnosis/<name>`, `speed/<name>`, and the learning curve as `curve/<name>`
    by samples.

    In a search by rungs metrics and the diagnosis have a value for each rung that the trial reached, by samples.
    The speed is known once the trial is over. Values that are not finite are left out.
    """
    found, when = [], record.started
    rungs = record.rungs or (RungResult(0, 0, record.metrics, 0.0, record.diagnosis),)
    for rung in rungs:
        when += rung.seconds if when else 0.0
        found += [Point(*of, rung.samples, when) for of in (rung.metrics | diagnosis_numbers(rung.diagnosis)).items()]
    if record.state in STATUS:  # when: a trial that goes on has another speed later, and the latest counts
        found += [Point(f"speed/{name}", value, time=when) for name, value in record.speed.items()]
    for at in record.curve:
        found += [Point(f"curve/{name}", value, int(at["samples"])) for name, value in at.items() if name != "samples"]
    return finite(found)


def diagnosis_numbers(diagnosis: Mapping[str, Any]) -> dict[str, float]:
    """A diagnosis (`bench.records.TrialResult.diagnosis`) as `diagnosis/<what>/<of what>`; docs/tracking.md lists them.

    What is not defined is left out; truth values are 0 and 1.
    """
    if not diagnosis:
        return {}
    found: dict[str, float | None] = {"probes": diagnosis["probes"]}
    for pair in diagnosis["pairs"]:
        for block, angle in pair["blocks"].items():
            found |= {f"{name}/{'-'.join(pair['tasks'])}/{block}": angle[name] for name in ("cosine", "below_zero")}
    for task, of in diagnosis["tasks"].items():
        found |= {f"{name}/{task}": of[name] for name in ("loss", "loss_over_base", "weight")}
        found |= {f"{name}/{task}/{block}": of[name][block] for name in ("norm", "pull") for block in of[name]}
    for metric, course in diagnosis["course"].items():
        found |= {f"{name}/{metric}": course[name] for name in ("best", "best_samples", "lost")}
    for path, gate in diagnosis["experts"]["gates"].items():
        for at, task in enumerate(gate["of"]):
            of = task if gate["of"].count(task) == 1 else f"{task}.{at}"
            found |= {f"{name}/{path}/{of}": gate[name][at] for name in ("entropy", "collapsed")}
            found |= {f"share/{path}/{of}/{expert}": share for expert, share in enumerate(gate["share"][at])}
    for path, units in diagnosis["experts"]["units"].items():
        for name in ("dead", "silent"):
            found |= {f"{name}/{path}/{expert}": value for expert, value in enumerate(units[name])}
    return {f"{DIAGNOSIS}/{name}": float(value) for name, value in found.items() if value is not None}


def volumes(history: History) -> list[Point]:
    """The hypervolume after each job, the same whether it is logged live or later.

    `hypervolume` has for step n that of all trials up to number n. In a search by rungs, `hypervolume.by_samples` has
    that of all trials at all their rungs, by the training samples of all jobs with a result so far.
    """
    name = BY_SAMPLES if history.by_rungs else HYPERVOLUME
    return [Point(name, at.hypervolume, at.samples if history.by_rungs else at.trial, at.ended) for at in history.rows]


def word(value: object) -> str:
    """A truth value, a length or nothing as a tag: `true`, `16000`, `none`."""
    return str(value).lower()


def finite(points: Iterable[Point]) -> list[Point]:
    """Those whose value is a number: MLflow would store infinity as a large one."""
    return [point for point in points if math.isfinite(point.value)]
