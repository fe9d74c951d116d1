"""Fronts of tracked runs, read back from MLflow alone and merged where they are about the same data."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from bench.frontier.frontier import frontier
from bench.frontier.pareto import weakest_reference
from bench.frontier.points import confirmed
from bench.objectives import Objective
from bench.records import Failure, Replicate, TrialRecord
from bench.tracking.runs import Node
from bench.tracking.store import MlflowStore, TrackingError
from bench.tracking.values import DIAGNOSIS, OBJECTIVES, REFERENCE, UNTIL

FIXED = ["run", "dataset", "fingerprint", "space", "trial", "architecture", "picked", "run_id"]
LEFT_OUT = ("curve/", f"{DIAGNOSIS}/")
PARENTS = "tags.`seesaw.kind` = 'parent'"
COMPARED = "tags.`seesaw.kind` = 'trial' and tags.`front.rank` != 'none'"
REPLICATES = "tags.`seesaw.kind` = 'replicate'"

Key = tuple[str, str, str]
"""Data set, fingerprint of the prepared data, and objectives: what runs must share to be merged."""
Points = list[tuple[Node, TrialRecord]]
"""Trials that their own run compared, and their runs in MLflow."""


def frontier_of(experiment: str, uri: str) -> pd.DataFrame:
    """The front of an experiment, over all its runs that have one: those on the same data are merged.

    Runs belong together where data set, fingerprint of the prepared data and objectives are the same; each such group
    has a front of its own, on which no point of any of its runs is dominated. In a search by rungs a trial stands for
    its best placed point.

    Columns: `run, dataset, fingerprint, space, trial, architecture, picked, run_id`, then metrics and costs under their
    names (`valid/income.auc` of the search, `confirm/income.auc.mean`, ...), then the configuration under its dotted
    names, as text. `front.p_nondominated` is among all merged points. `attrs["notes"]` has sentences on points that
    were not merged; `attrs["hypervolume"]` has the merged fronts' hypervolumes by data set and fingerprint.

    Raises:
        UserError: no such experiment.
        TrackingError: there is no such store, or it cannot be reached.
    """
    store = MlflowStore(uri)
    if store.is_missing:  # MLflow would make one
        raise TrackingError(f"there is no MLflow store at {store.uri}")
    at = store.experiment(experiment)
    parents = {node.run_id: node.tags for node in Node.search(store, at, PARENTS)}
    replicates: dict[tuple[str, ...], list[Replicate]] = defaultdict(list)
    for node in Node.search(store, at, REPLICATES):
        replicates[_point(node.tags)].append(_replicate(node))
    groups: dict[Key, Points] = defaultdict(list)
    compared = Node.search(store, at, COMPARED)
    for node in sorted(compared, key=lambda each: (each.tags["seesaw.run"], int(each.tags["seesaw.trial"]))):
        parent = parents.get(node.tags["seesaw.parent"], {})
        if OBJECTIVES in parent:
            key = parent["seesaw.dataset"], parent["seesaw.fingerprint"], parent[OBJECTIVES]
            groups[key].append((node, _record(node, replicates[_point(node.tags)])))
    notes = _apart(groups)
    rows: list[dict[str, Any]] = []
    volumes = {key[:2]: _merge(key, points, parents, rows, notes) for key, points in groups.items()}
    rest = dict.fromkeys(name for row in rows for name in row if name not in FIXED)
    table = pd.DataFrame(rows, columns=[*FIXED, *rest])
    table = table.sort_values(["dataset", "fingerprint", "run", "trial"], ignore_index=True)
    if unended := sorted(tags["seesaw.run"] for tags in parents.values() if OBJECTIVES not in tags):
        notes.append(f"without a front yet, and left out: {', '.join(unended)}")
    table.attrs |= {"notes": notes, "hypervolume": volumes}
    return table


def _merge(
    key: Key, points: Points, parents: Mapping[str, Mapping[str, str]], rows: list[dict[str, Any]], notes: list[str]
) -> float:
    """The hypervolume of points on the same data; their front is added to `rows`, what was not compared to `notes`."""
    objectives = [Objective(name, direction) for name, direction in json.loads(key[2])]
    references = [json.loads(parents[node.tags["seesaw.parent"]][REFERENCE]) for node, _ in points]
    records = [replace(record, number=at) for at, (_, record) in enumerate(points)]
    found = frontier(records, objectives, weakest_reference(objectives, references))
    trials = found.by_trial  # without the composite of single-task models, which no run has
    for row in trials[trials["rank"] == trials["rank"].min()].to_dict("records"):
        node, record = points[int(row["trial"])]
        of = node.tags["seesaw.run"], *key[:2], node.tags["seesaw.space"]
        fixed = (*of, record.number, record.architecture, node.tags["seesaw.picked"] == "true", node.run_id)
        metrics = {name: value for name, value in sorted(node.metrics.items()) if not name.startswith(LEFT_OUT)}
        metrics["front.p_nondominated"] = math.nan if pd.isna(row["p_nondominated"]) else float(row["p_nondominated"])
        rows.append({**dict(zip(FIXED, fixed, strict=True)), **metrics, **dict(sorted(node.params.items()))})
    runs = _runs(points)
    once = set(runs) - set(_runs([each for each in points if any(map(confirmed, each[1].points))]))
    if once and found.basis == "replicates":
        notes.append(f"{key[0]}: not confirmed, and not compared with what is: {', '.join(sorted(once))}")
    return found.hypervolume


def _apart(groups: Mapping[Key, Points]) -> list[str]:
    """Why runs on one data set were not merged."""
    notes = []
    for dataset in sorted({key[0] for key in groups}):
        of = {key: ", ".join(_runs(points)) for key, points in groups.items() if key[0] == dataset}
        if len(of) > 1:
            prints = len({key[1] for key in of}) > 1
            why = "the data were prepared differently" if prints else "their objectives differ"
            notes.append(f"{dataset}: not merged, since {why} ({'; '.join(f'{key[1]}: {of[key]}' for key in of)})")
    return notes


def _runs(points: Points) -> list[str]:
    """The names of their runs, sorted."""
    return sorted({node.tags["seesaw.run"] for node, _ in points})


def _point(tags: Mapping[str, str]) -> tuple[str, ...]:
    """What a confirmed point and its replicates share."""
    return tags["seesaw.parent"], tags["seesaw.trial"], tags[UNTIL]


def _record(node: Node, replicates: Sequence[Replicate]) -> TrialRecord:
    number, kind = int(node.tags["seesaw.trial"]), node.tags["seesaw.architecture"]
    return TrialRecord(number, "completed", {}, dict(node.params), kind, node.metrics, replicates=tuple(replicates))


def _replicate(node: Node) -> Replicate:
    tags = node.tags
    failure = Failure("bug", tags["seesaw.failure"]) if "seesaw.failure" in tags else None
    return Replicate(int(tags["seesaw.replicate"]), int(tags["seesaw.seed"]), node.metrics, failure)
