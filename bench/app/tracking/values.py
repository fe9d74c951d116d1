"""The target state of runs in MLflow, as plain values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bench.core.objectives import CUT, LISTS
from bench.core.records import Failure, RungResult, TrialRecord
from bench.ledger.diagnosis import numbers
from bench.ledger.history import History

RUNNING = "RUNNING"
STATUS = {"completed": "FINISHED", "failed": "FAILED", "pruned": "KILLED"}
"""State of a finished trial -> status of its run."""
UNTIL = "seesaw.until"
"""Tag of a trial and of a replicate: training samples at which the point stopped, `none` for full
length.
"""
VERDICT, PICKED = "seesaw.verdict", "seesaw.picked"
"""Tags of a parent, and columns of the table of runs: otherwise MLflow's metrics would push them
off the screen.
"""
VIEW = "seesaw"
"""Name of the view with these columns."""
DIAGNOSIS = "diagnosis/"
OBJECTIVES, REFERENCE = "seesaw.objectives", "seesaw.reference"
"""Tags of a parent: the objectives of its front (name and direction), and the hypervolume's
reference, as JSON.
"""
UNPLACED = {
    "front.on_front": "false",
    "front.rank": "none",
    "front.p_nondominated": "none",
    PICKED: "false",
}
"""Tags of a trial that did not complete."""
Texts = Mapping[str, str]
NONE: Texts = {}

_COST, _LAST = "cost/", "what it costs/"


def outward(name: str) -> str:
    """A metric's name in MLflow, which allows no `@` and `%`, and sorts charts by the part before
    the slash.

    `valid/like.recall@10%` becomes `valid/like.recall_at_10_percent`, and `cost/latency_ms` becomes
    `what it costs/latency_ms`, so that costs come last.
    """
    plain = re.sub(
        rf"{_list()}@{CUT}", lambda cut: f"{cut[1]}_at_{cut[2]}{'_percent' if cut[3] else ''}", name
    )
    return _LAST + plain.removeprefix(_COST) if plain.startswith(_COST) else plain


def inward(name: str) -> str:
    """Inverse of `outward`."""
    there = CUT.replace("(%?)", "((?:_percent)?)")
    ours = re.sub(
        rf"{_list()}_at_{there}", lambda cut: f"{cut[1]}@{cut[2]}{'%' if cut[3] else ''}", name
    )
    return _COST + ours.removeprefix(_LAST) if ours.startswith(_LAST) else ours


def _list() -> str:
    """A pattern of a metric of lists, before its cut."""
    return rf"\b((?:{'|'.join(LISTS)})[\d.]*)"


class MetricValue(NamedTuple):
    """A value of a metric; `time` is in seconds since 1970, 0 for the start of its run."""

    name: str
    value: float
    step: int = 0
    time: float = 0.0


RunKey = tuple[str, ...]
"""Key of a run within a data set: `()` of the parent, `(trial,)`, or `(trial, replicate,
until)`.
"""


def key_of(tags: Texts) -> RunKey:
    """The key of a run below a parent."""
    of = (tags["seesaw.trial"],)
    return (*of, tags["seesaw.replicate"], tags[UNTIL]) if "seesaw.replicate" in tags else of


class TargetRun(NamedTuple):
    """The target state of an MLflow run, of any status if None. Values of one metric are sorted by
    step.

    `started` and `ended` are in seconds since 1970; 0 for the time of sending.
    """

    key: RunKey
    name: str
    tags: Texts
    params: Texts
    values: list[MetricValue]
    status: str | None
    started: float = 0.0
    ended: float = 0.0


class Front(NamedTuple):
    """The results of a search for its runs.

    `placed` has values and tags of each compared trial, by number; the other fields are the
    parent's. Files are texts or bytes by name.
    """

    placed: Mapping[int, tuple[list[MetricValue], Texts]]
    values: list[MetricValue]
    tags: Texts
    files: Mapping[str, str | bytes]


def runs_of(
    record: TrialRecord, placed: Sequence[MetricValue] = (), place: Texts = NONE
) -> list[TargetRun]:
    """The runs of a trial and its replicates; empty if there is no result yet.

    The parameters are the whole configuration by dotted names. The run of a trial in a search by
    rungs starts with its first rung, and is `RUNNING` until the trial is over. `placed` and
    `place`: see `Front`.
    """
    if record.state not in STATUS and not record.rungs:
        return []
    name, ended = (
        f"{record.architecture} trial {record.number}",
        record.started and record.started + record.seconds,
    )
    tags = {
        "seesaw.kind": "trial",
        "seesaw.state": record.state,
        **_tags(record, record.failure),
        **place,
    }
    params = {key: str(value) for key, value in record.config.items()}
    status = STATUS.get(record.state, RUNNING)
    runs = [
        TargetRun(
            key_of(tags),
            name,
            tags,
            params,
            [*_values(record), *placed],
            status,
            record.started,
            ended,
        )
    ]
    for each in record.replicates:
        own = {
            "seesaw.replicate": str(each.replicate),
            "seesaw.seed": str(each.seed),
            UNTIL: word(each.until),
        }
        tags = {"seesaw.kind": "replicate", **own, **_tags(record, each.failure)}
        title = f"{name} · seed {each.replicate}" + (
            f" to {each.until} samples" if each.until else ""
        )
        values = [MetricValue(*of) for of in each.metrics.items()]
        runs.append(
            TargetRun(
                key_of(tags), title, tags, {}, values, "FAILED" if each.failure else "FINISHED"
            )
        )
    return runs


def _tags(record: TrialRecord, failure: Failure | None) -> dict[str, str]:
    tags = {"seesaw.trial": str(record.number), "seesaw.architecture": record.architecture}
    return tags | (
        {"seesaw.failure": failure.reason, "seesaw.failure_kind": failure.kind} if failure else {}
    )


def _values(record: TrialRecord) -> list[MetricValue]:
    """Metrics, costs, `diagnosis/<name>`, `speed/<name>` once the trial is over, and `curve/<name>`
    by samples.

    In a search by rungs metrics and the diagnosis have a value for each rung.
    """
    values, when = [], record.started
    for rung in record.rungs or (RungResult(0, 0, record.metrics, 0.0, record.diagnosis),):
        when += rung.seconds if when else 0.0
        of = rung.metrics | {
            DIAGNOSIS + name: value for name, value in numbers(rung.diagnosis).items()
        }
        values += [MetricValue(name, value, rung.samples, when) for name, value in of.items()]
    if record.state in STATUS:  # the speed of a trial that continues changes
        values += [
            MetricValue(f"speed/{name}", value, time=when) for name, value in record.speed.items()
        ]
    for at in record.curve:
        values += [
            MetricValue(f"curve/{name}", value, int(at["samples"]))
            for name, value in at.items()
            if name != "samples"
        ]
    return values


def volumes(history: History) -> list[MetricValue]:
    """The hypervolume of all trials up to number n, by n.

    In a search by rungs, that of all trials at all their rungs, by the training samples of all
    finished jobs so far.
    """
    if history.by_rungs:
        return [
            MetricValue("hypervolume.by_samples", at.hypervolume, at.samples, at.ended)
            for at in history.rows
        ]
    return [MetricValue("hypervolume", at.hypervolume, at.trial, at.ended) for at in history.rows]


def word(value: object) -> str:
    """A truth value, a length or nothing as a tag: `true`, `16000`, `none`."""
    return str(value).lower()
