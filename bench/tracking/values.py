"""What runs of MLflow should have, as plain values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bench.objectives import CUT, LISTS
from bench.records import Failure, RungResult, TrialRecord
from bench.results.diagnosis import numbers
from bench.results.history import History

RUNNING = "RUNNING"
STATUS = {"completed": "FINISHED", "failed": "FAILED", "pruned": "KILLED"}
"""From a finished trial's state to the status of its run."""
UNTIL = "seesaw.until"
"""Tag of a trial and of a replicate: training samples at which the point was stopped, `none` for full length."""
VERDICT, PICKED = "seesaw.verdict", "seesaw.picked"
"""Tags of a parent, and columns of the table of runs: MLflow would put metrics before them, and them off the screen."""
VIEW = "seesaw"
"""Name of the view that has these columns."""
DIAGNOSIS = "diagnosis/"
OBJECTIVES, REFERENCE = "seesaw.objectives", "seesaw.reference"
"""Tags of a parent: what its front compares (name and direction), and the hypervolume's reference, as JSON."""
UNPLACED = {"front.on_front": "false", "front.rank": "none", "front.p_nondominated": "none", PICKED: "false"}
"""The place of a trial that did not complete."""
Texts = Mapping[str, str]
NONE: Texts = {}

_RANKED = re.compile(rf"\b({'|'.join(LISTS)})@{CUT}")
_THERE = re.compile(rf"\b({'|'.join(LISTS)})_at_{CUT.replace('(%?)', '((?:_percent)?)')}")
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


class Value(NamedTuple):
    """One of a metric; `time` is in seconds since 1970, 0 for the beginning of its run."""

    name: str
    value: float
    step: int = 0
    time: float = 0.0


Key = tuple[str, ...]
"""Of a run among those of a data set: `()` of the parent, `(trial,)`, or `(trial, replicate, until)`."""


def key_of(tags: Texts) -> Key:
    """The key of a run below a parent."""
    of = (tags["seesaw.trial"],)
    return (*of, tags["seesaw.replicate"], tags[UNTIL]) if "seesaw.replicate" in tags else of


class Wanted(NamedTuple):
    """A run of MLflow as it should be. Values of one metric are in the order of their steps.

    Attributes:
        status: None where it may be what it is.
        started, ended: in seconds since 1970; 0 for the time at which it is sent.
    """

    key: Key
    name: str
    tags: Texts
    params: Texts
    values: list[Value]
    status: str | None
    started: float = 0.0
    ended: float = 0.0


class Front(NamedTuple):
    """What the results of a search add to its runs.

    Attributes:
        placed: values and tags of each trial that was compared, by number.
        values, tags, files: of the parent; files are texts or bytes by name.
    """

    placed: Mapping[int, tuple[list[Value], Texts]]
    values: list[Value]
    tags: Texts
    files: Mapping[str, str | bytes]


def runs_of(record: TrialRecord, placed: Sequence[Value] = (), place: Texts = NONE) -> list[Wanted]:
    """The run of a trial and those of its replicates; none where there is no result yet.

    The parameters are the whole configuration by dotted names, searched or not. The run of a trial that goes on by
    rungs begins with its first rung, and is `RUNNING` until the trial is over. `placed` and `place`: see `Front`.
    """
    if record.state not in STATUS and not record.rungs:
        return []
    name, ended = f"{record.architecture} trial {record.number}", record.started and record.started + record.seconds
    tags = {"seesaw.kind": "trial", "seesaw.state": record.state, **_tags(record, record.failure), **place}
    params = {key: str(value) for key, value in record.config.items()}
    status = STATUS.get(record.state, RUNNING)
    found = [Wanted(key_of(tags), name, tags, params, [*_values(record), *placed], status, record.started, ended)]
    for each in record.replicates:
        own = {"seesaw.replicate": str(each.replicate), "seesaw.seed": str(each.seed), UNTIL: word(each.until)}
        tags = {"seesaw.kind": "replicate", **own, **_tags(record, each.failure)}
        title = f"{name} · seed {each.replicate}" + (f" to {each.until} samples" if each.until else "")
        values = [Value(*of) for of in each.metrics.items()]
        found.append(Wanted(key_of(tags), title, tags, {}, values, "FAILED" if each.failure else "FINISHED"))
    return found


def _tags(record: TrialRecord, failure: Failure | None) -> dict[str, str]:
    tags = {"seesaw.trial": str(record.number), "seesaw.architecture": record.architecture}
    return tags | ({"seesaw.failure": failure.reason, "seesaw.failure_kind": failure.kind} if failure else {})


def _values(record: TrialRecord) -> list[Value]:
    """Metrics and costs under their keys, `diagnosis/<name>`, `speed/<name>` once the trial is over, and the learning
    curve as `curve/<name>` by samples. In a search by rungs metrics and the diagnosis have a value for each rung, too.
    """
    found, when = [], record.started
    for rung in record.rungs or (RungResult(0, 0, record.metrics, 0.0, record.diagnosis),):
        when += rung.seconds if when else 0.0
        of = rung.metrics | {DIAGNOSIS + name: value for name, value in numbers(rung.diagnosis).items()}
        found += [Value(name, value, rung.samples, when) for name, value in of.items()]
    if record.state in STATUS:  # when: a trial that goes on has another speed later, and the latest counts
        found += [Value(f"speed/{name}", value, time=when) for name, value in record.speed.items()]
    for at in record.curve:
        found += [Value(f"curve/{name}", value, int(at["samples"])) for name, value in at.items() if name != "samples"]
    return found


def volumes(history: History) -> list[Value]:
    """The hypervolume of all trials up to number n, by n. In a search by rungs, that of all trials at all their rungs,
    by the training samples of all jobs with a result so far.
    """
    if history.by_rungs:
        return [Value("hypervolume.by_samples", at.hypervolume, at.samples, at.ended) for at in history.rows]
    return [Value("hypervolume", at.hypervolume, at.trial, at.ended) for at in history.rows]


def word(value: object) -> str:
    """A truth value, a length or nothing as a tag: `true`, `16000`, `none`."""
    return str(value).lower()
