"""The target state of runs in MLflow, as plain values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bench.core.objectives import CUT, LISTS
from bench.core.records import Failure, Replicate, RungResult, TrialRecord
from bench.ledger.course import History
from bench.ledger.diagnosis import numbers

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


def _list_metric() -> str:
    """A pattern of a metric of lists, before its cut."""
    return rf"\b((?:{'|'.join(LISTS)})[\d.]*)"


def outward(name: str) -> str:
    """A metric's name in MLflow, which allows no `@` and `%`, and sorts charts by the part before
    the slash.

    `valid/like.recall@10%` becomes `valid/like.recall_at_10_percent`, and `cost/latency_ms` becomes
    `what it costs/latency_ms`, so that costs come last.
    """
    plain = re.sub(f"{_list_metric()}@{CUT}", _plain_cut, name)
    return _LAST + plain.removeprefix(_COST) if plain.startswith(_COST) else plain


def _plain_cut(cut: re.Match[str]) -> str:
    range_end = f"_to_{cut[3]}" if cut[3] else ""
    unit = "_percent" if cut[4] else ""
    return f"{cut[1]}_at_{cut[2]}{range_end}{unit}"


def inward(name: str) -> str:
    """Inverse of `outward`."""
    plain_cut = CUT.replace("(?:-", "(?:_to_").replace("(%?)", "((?:_percent)?)")
    ours = re.sub(f"{_list_metric()}_at_{plain_cut}", _cut, name)
    return _COST + ours.removeprefix(_LAST) if ours.startswith(_LAST) else ours


def _cut(plain: re.Match[str]) -> str:
    range_end = f"-{plain[3]}" if plain[3] else ""
    unit = "%" if plain[4] else ""
    return f"{plain[1]}@{plain[2]}{range_end}{unit}"


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
    trial = tags["seesaw.trial"]
    if "seesaw.replicate" not in tags:
        return (trial,)
    return trial, tags["seesaw.replicate"], tags[UNTIL]


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
    name = f"{record.architecture} trial {record.number}"
    tags = {
        "seesaw.kind": "trial",
        "seesaw.state": record.state,
        **_tags(record, record.failure),
        **place,
    }
    trial = TargetRun(
        key_of(tags),
        name,
        tags,
        params={key: str(value) for key, value in record.config.items()},
        values=[*_values(record), *placed],
        status=STATUS.get(record.state, RUNNING),
        started=record.started,
        ended=record.started and record.started + record.seconds,
    )
    return [trial, *(_replicate_run(record, name, replicate) for replicate in record.replicates)]


def _replicate_run(record: TrialRecord, trial: str, replicate: Replicate) -> TargetRun:
    """The run of a replicate of a trial, whose run has the name `trial`."""
    tags = {
        "seesaw.kind": "replicate",
        "seesaw.replicate": str(replicate.replicate),
        "seesaw.seed": str(replicate.seed),
        UNTIL: word(replicate.until),
        **_tags(record, replicate.failure),
    }
    length = f" to {replicate.until} samples" if replicate.until else ""
    return TargetRun(
        key_of(tags),
        f"{trial} · seed {replicate.replicate}{length}",
        tags,
        params={},
        values=[MetricValue(name, value) for name, value in replicate.metrics.items()],
        status="FAILED" if replicate.failure else "FINISHED",
    )


def _tags(record: TrialRecord, failure: Failure | None) -> dict[str, str]:
    tags = {"seesaw.trial": str(record.number), "seesaw.architecture": record.architecture}
    if failure:
        tags |= {"seesaw.failure": failure.reason, "seesaw.failure_kind": failure.kind}
    return tags


def _values(record: TrialRecord) -> list[MetricValue]:
    """Metrics, costs, `diagnosis/<name>`, `speed/<name>` once the trial is over, and `curve/<name>`
    by samples.

    In a search by rungs metrics and the diagnosis have a value for each rung.
    """
    values: list[MetricValue] = []
    time = record.started
    for rung in record.rungs or (RungResult(0, 0, record.metrics, 0.0, record.diagnosis),):
        if time:
            time += rung.seconds
        metrics = dict(rung.metrics)
        for name, value in numbers(rung.diagnosis).items():
            metrics[DIAGNOSIS + name] = value
        values += [MetricValue(name, value, rung.samples, time) for name, value in metrics.items()]
    if record.state in STATUS:  # the speed of a trial that continues changes
        for name, value in record.speed.items():
            values.append(MetricValue(f"speed/{name}", value, time=time))
    for point in record.curve:
        for name, value in point.items():
            if name != "samples":
                values.append(MetricValue(f"curve/{name}", value, int(point["samples"])))
    return values


def volumes(history: History) -> list[MetricValue]:
    """The hypervolume of all trials up to number n, by n.

    In a search by rungs, that of all trials at all their rungs, by the training samples of all
    finished jobs so far.
    """
    name = "hypervolume.by_samples" if history.by_rungs else "hypervolume"
    values = []
    for row in history.rows:
        step = row.samples if history.by_rungs else row.trial
        values.append(MetricValue(name, row.hypervolume, step, row.ended))
    return values


def word(value: object) -> str:
    """A truth value, a length or nothing as a tag: `true`, `16000`, `none`."""
    return str(value).lower()
