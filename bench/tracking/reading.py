"""Fronts of tracked runs, read back from MLflow alone and merged where they are about the same data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from bench.frontier.frontier import frontier
from bench.frontier.pareto import weakest_reference
from bench.frontier.points import confirmed
from bench.records import Failure, Replicate, TrialRecord
from bench.tracking.runs import Node
from bench.tracking.store import MlflowStore, TrackingError, plain_address
from bench.tracking.values import DIAGNOSIS, OBJECTIVES, UNTIL, objectives_of

FIXED = ["run", "dataset", "fingerprint", "space", "trial", "architecture", "picked", "run_id"]
LEFT_OUT = ("curve/", f"{DIAGNOSIS}/")
PARENTS = "tags.`seesaw.kind` = 'parent'"
COMPARED = "tags.`seesaw.kind` = 'trial' and tags.`front.rank` != 'none'"
REPLICATES = "tags.`seesaw.kind` = 'replicate'"


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
    uri = plain_address(uri)
    scheme, _, file = uri.partition(":///")
    if scheme == "sqlite" and not Path(file).is_file():  # MLflow would make one
        raise TrackingError(f"there is no MLflow store at {uri}")
    store = MlflowStore(uri)
    at = store.experiment(experiment)
    parents = Node.search(store, at, PARENTS)
    ended = {node.run_id: node for node in parents if OBJECTIVES in node.tags}
    replicates: dict[tuple[str, str], list[Node]] = {}
    for node in Node.search(store, at, REPLICATES):
        replicates.setdefault((node.tags["seesaw.parent"], node.tags["seesaw.trial"]), []).append(node)
    groups: dict[tuple[str, str, str], Points] = {}
    for node in sorted(Node.search(store, at, COMPARED), key=lambda each: _place(each.tags)):
        if (parent := ended.get(node.tags["seesaw.parent"])) is not None:
            key = parent.tags["seesaw.dataset"], parent.tags["seesaw.fingerprint"], parent.tags[OBJECTIVES]
            own = replicates.get((parent.run_id, node.tags["seesaw.trial"]), [])
            groups.setdefault(key, []).append((node, _record(node, own)))
    notes = _apart(groups)
    rows: list[dict[str, Any]] = []
    volumes: dict[tuple[str, str], float] = {}
    for (dataset, fingerprint, _), points in groups.items():
        volumes[dataset, fingerprint] = _merge(dataset, fingerprint, points, ended, rows, notes)
    rest = dict.fromkeys(name for row in rows for name in row if name not in FIXED)
    table = pd.DataFrame(rows, columns=[*FIXED, *rest])
    table = table.sort_values(["dataset", "fingerprint", "run", "trial"], ignore_index=True)
    if unended := sorted(node.tags["seesaw.run"] for node in parents if node.run_id not in ended):
        notes.append(f"without a front yet, and left out: {', '.join(unended)}")
    table.attrs |= {"notes": notes, "hypervolume": volumes}
    return table


def _merge(
    dataset: str,
    fingerprint: str,
    points: Points,
    parents: Mapping[str, Node],
    rows: list[dict[str, Any]],
    notes: list[str],
) -> float:
    """The hypervolume of points on the same data; their front is added to `rows`, what was not compared to `notes`."""
    compared = [objectives_of(parents[node.tags["seesaw.parent"]].tags) for node, _ in points]
    objectives = compared[0][0]
    found = frontier(
        [replace(record, number=at) for at, (_, record) in enumerate(points)],
        objectives,
        weakest_reference(objectives, [reference for _, reference in compared]),
    )
    trials = found.by_trial  # without the composite of single-task models, which no run has
    for row in trials[trials["rank"] == trials["rank"].min()].to_dict("records"):
        node, record = points[int(row["trial"])]
        metrics = {name: value for name, value in sorted(node.metrics.items()) if not name.startswith(LEFT_OUT)}
        tags, chance = node.tags, row["p_nondominated"]
        of = tags["seesaw.run"], dataset, fingerprint, tags["seesaw.space"]
        fixed = (*of, record.number, record.architecture, tags["seesaw.picked"] == "true", node.run_id)
        sure = {"front.p_nondominated": math.nan if pd.isna(chance) else float(chance)}
        rows.append({**dict(zip(FIXED, fixed, strict=True)), **metrics, **sure, **dict(sorted(node.params.items()))})
    runs = {node.tags["seesaw.run"] for node, _ in points}
    once = runs - {node.tags["seesaw.run"] for node, record in points if any(map(confirmed, record.points))}
    if once and found.basis == "replicates":
        notes.append(f"{dataset}: not confirmed, and not compared with what is: {', '.join(sorted(once))}")
    return found.hypervolume


def _place(tags: Mapping[str, str]) -> tuple[str, int]:
    return tags["seesaw.run"], int(tags["seesaw.trial"])


def _record(node: Node, replicates: Sequence[Node]) -> TrialRecord:
    tags = node.tags
    return TrialRecord(
        number=int(tags["seesaw.trial"]),
        state="completed",
        params={},
        config=dict(node.params),
        architecture=tags["seesaw.architecture"],
        metrics=node.metrics,
        replicates=tuple(_replicate(each) for each in replicates if each.tags[UNTIL] == tags[UNTIL]),
    )


def _replicate(node: Node) -> Replicate:
    tags = node.tags
    failure = Failure("bug", tags["seesaw.failure"]) if "seesaw.failure" in tags else None
    return Replicate(int(tags["seesaw.replicate"]), int(tags["seesaw.seed"]), node.metrics, failure)


def _apart(groups: Mapping[tuple[str, str, str], Points]) -> list[str]:
    """Why runs on one data set were not merged."""
    notes = []
    for dataset in dict.fromkeys(key[0] for key in groups):
        of = {key: sorted({node.tags["seesaw.run"] for node, _ in groups[key]}) for key in groups if key[0] == dataset}
        if len(of) > 1:
            prints = len({key[1] for key in of}) > 1
            why = "the data were prepared differently" if prints else "their objectives differ"
            named = "; ".join(f"{key[1]}: {', '.join(runs)}" for key, runs in of.items())
            notes.append(f"{dataset}: not merged, since {why} ({named})")
    return notes
