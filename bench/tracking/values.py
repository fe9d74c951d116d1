"""MLflow's values of a record and of a search's results, as plain values: what its runs should have."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from bench.frontier.frontier import Frontier
from bench.frontier.history import History
from bench.frontier.pick import Pick
from bench.fusion import in_words
from bench.records import Failure, RungResult, TrialRecord
from bench.rows import NAMES, TEST

if TYPE_CHECKING:
    from bench.frontier.served.served import Served

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
        placed, place: what a front says of the trial, see `on_trials`.
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


SERVED, TABLE, PICTURE = "serving_front.json", "frontier.json", "front.svg"
DIGEST, VERDICT = "seesaw.front_digest", "seesaw.verdict"
OBJECTIVES, REFERENCE = "seesaw.objectives", "seesaw.reference"
"""Tags of a parent: what its front compares (name and direction), and the hypervolume's reference, as JSON."""
CHOSEN = "chosen/"
"""Metrics of the pick on the parent; charts of this name come before all others."""


@dataclass(frozen=True)
class Found:
    """The results of a search.

    Attributes:
        picture: of the front, as SVG; empty without one.
        verdict: `kind` and `sentence`.
        commands: what a user may type next.
        policy: by which it is picked, as TOML.
        note: where that is not the suite's, a sentence that says so.
    """

    frontier: Frontier
    pick: Pick | None = None
    page: Path | None = None
    picture: str = ""
    verdict: Mapping[str, Any] | None = None
    served: Served | None = None
    commands: tuple[str, ...] = ()
    policy: str = ""
    note: str = ""


UNPLACED = {"front.on_front": "false", "front.rank": "none", "front.p_nondominated": "none", "seesaw.picked": "false"}
"""The place of a trial that did not complete."""


def on_trials(
    frontier: Frontier, pick: Pick | None, when: float = 0.0
) -> dict[int, tuple[list[Point], dict[str, str]]]:
    """What the front says of each trial that was compared, by number: replicate means and deviations as metrics, and
    its place as tags.

    Args:
        when: time of the metrics, in seconds since 1970; 0 is the beginning of the trial.
    """
    spread = [str(name) for name in frontier.table if str(name).endswith((".mean", ".sd"))]
    found = {}
    for row in frontier.by_trial.to_dict("records"):
        chance = float(row["p_nondominated"])
        numbers = {name: float(row[name]) for name in spread} | {"front.p_nondominated": chance}
        tags = {
            "front.on_front": word(row["on_front"]),
            "front.rank": "none" if pd.isna(row["rank"]) else str(row["rank"]),
            "front.p_nondominated": "none" if math.isnan(chance) else f"{chance:.4f}",
            UNTIL: row["point"].partition("@")[2] or word(None),
            "seesaw.picked": word(pick is not None and pick.trial == row["trial"]),
        }
        found[int(row["trial"])] = finite(Point(name, value, time=when) for name, value in numbers.items()), tags
    return found


def on_parent(
    found: Found, experiment: str, run: str, when: float = 0.0
) -> tuple[list[Point], dict[str, str], dict[str, str]]:
    """Metrics, tags and artifacts of the parent run; see docs/tracking.md. The tag `DIGEST` is of the artifacts.

    Args:
        experiment, run: their ids, for links.
        when: time of the metrics, in seconds since 1970.
    """
    frontier, pick, files = found.frontier, found.pick, _files(found)
    holds = pick.stability.holds if pick else None
    numbers = {f"{CHOSEN}{name}": value for name, value in _chosen(found).items()}
    numbers |= {"front.hypervolume": frontier.hypervolume, "front.size": float(frontier.table["on_front"].sum())}
    tables = [{"path": name, "type": "table"} for name in (SERVED, TABLE) if name in files]
    tags = {
        "mlflow.note.content": _description(found, f"#/experiments/{experiment}/runs/{run}/artifacts", run),
        "mlflow.loggedArtifacts": json.dumps(tables),  # MLflow shows these as tables
        VERDICT: str(found.verdict["kind"]) if found.verdict else "none",
        "seesaw.picked": pick.point if pick else "none",
        "seesaw.pick_reason": pick.reason if pick else "none",
        "seesaw.pick_by_rule": "unknown" if holds is None else f"{holds:.2f}",
        "seesaw.answer": frontier.answer.sentence if frontier.answer else "none",
        OBJECTIVES: json.dumps([[each.name, each.direction] for each in frontier.objectives]),
        REFERENCE: json.dumps(frontier.reference),
        "front.split": frontier.split,
        "front.rows": NAMES[frontier.split],
        DIGEST: hashlib.sha256(json.dumps(files).encode()).hexdigest(),
    }
    return [Point(name, value, time=when) for name, value in numbers.items()], tags, files


def columns(found: Found) -> str:
    """The view of the runs table, for MLflow: few columns, which decide."""
    shown = [f"tags.`{VERDICT}`", "tags.`seesaw.picked`"]
    shown += [f"metrics.`{outward(CHOSEN + name)}`" for name in _chosen(found) if not name.endswith(".gain")]
    return json.dumps({"selectedColumns": shown})


def _chosen(found: Found) -> dict[str, float]:
    """The pick's values by outcome and its gains over the current point, as fractions of that, both on test; without a
    served front its head metrics on the frontier's split."""
    pick, served = found.pick, found.served
    if pick is None:
        return {}
    heads = {each.name: each.key(found.frontier.split) for each in found.frontier.objectives}
    chosen = dict(pick.outcomes) or {name: pick.metrics[key] for name, key in heads.items() if key in pick.metrics}
    for row in served.table.to_dict("records") if served else ():
        if served and (row["point"], row["kind"], row["weights"]) == (pick.point, pick.kind, pick.weights):
            names = [f"{each.name}{end}" for end in ("", ".gain") for each in served.outcomes]
            chosen |= {name: float(row[f"{TEST}/{name}"]) for name in names}
    return {name: value for name, value in chosen.items() if value == value}


def _description(found: Found, files: str, run: str) -> str:
    """The run's description, in Markdown, with links to its files."""
    reason = found.pick.reason if found.pick else "Nothing is picked."
    links = {"served front": SERVED if found.served else "", "front of heads": TABLE}
    links |= {"page": found.page.name if found.page else "", "pick": "picked.json" if found.pick else ""}
    parts = [
        f"**{found.verdict['sentence'] if found.verdict else reason}**",
        " · ".join(f"[{name}]({files}/{file})" for name, file in links.items() if file),
        f"![front](get-artifact?path={PICTURE}&run_uuid={run})" if found.picture else "",
        reason if found.pick and found.verdict else "",
        found.note,
        "\n".join(f"- `{command}`" for command in found.commands),  # a block of code would widen the page
    ]
    return "\n\n".join(part for part in parts if part)


def _files(found: Found) -> dict[str, str]:
    """The artifacts by name."""
    files = {TABLE: _front_first(found.frontier.table)}
    if found.picture:
        files[PICTURE] = found.picture
    if found.served is not None:
        files[SERVED] = _front_first(_served(found.served))
    if found.pick:
        files["picked.json"] = json.dumps(found.pick.to_json() | {"policy": found.policy}, indent=2)
    if found.page:
        files[found.page.name] = found.page.read_text(encoding="utf-8")
    return files


def _front_first(table: pd.DataFrame) -> str:
    """A table as MLflow shows it, what is on the front before all else."""
    ordered = table.sort_values("on_front", ascending=False, kind="stable")
    return str(ordered.to_json(orient="split", index=False))


def _served(served: Served) -> pd.DataFrame:
    """The served front's table with weights in words; gains on test before the rest."""
    names = [each.name for each in served.outcomes]
    gains = [f"{TEST}/{name}.gain{end}" for end in ("", ".low", ".high") for name in names]
    first = ["name", "weights", *gains, "on_front", "p_nondominated", "kind", *(f"{TEST}/{name}" for name in names)]
    rest = [str(name) for name in served.table if name not in first]
    weights = [in_words(each) for each in served.table["weights"]]
    return served.table.assign(weights=weights)[[*first, *rest]].sort_values(gains[0], ascending=False)
