"""Fronts of tracked runs, read from MLflow alone and merged for runs on the same data."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence

import pandas as pd

from bench.app.tracking.store import MlflowStore, StoredRun, TrackingError
from bench.app.tracking.values import DIAGNOSIS, OBJECTIVES, REFERENCE, UNTIL
from bench.core.objectives import Objective
from bench.core.records import Failure, Replicate, TrialRecord
from bench.core.rows import CONFIRM
from bench.ledger.heads import frontier
from bench.ledger.pareto import weakest_reference
from bench.ledger.points import confirmed

FIXED = ["run", "dataset", "fingerprint", "space", "trial", "architecture", "picked", "run_id"]
MergeKey = tuple[str, str, str]
"""Data set, fingerprint of the prepared data, and objectives: runs with equal keys are merged."""


def frontier_of(experiment: str, uri: str) -> pd.DataFrame:
    """The front of an experiment, merged over all its runs that have one and are on the same data.

    Runs with the same data set, fingerprint of the prepared data and objectives form a group with
    one front, whose points no point of the group dominates. In a search by rungs a trial stands for
    its best placed point.

    Columns: `run, dataset, fingerprint, space, trial, architecture, picked, run_id`, then metrics
    and costs under their names (`valid/income.auc` of the search, `confirm/income.auc.mean`, ...),
    then the configuration under its dotted names, as text. `front.p_nondominated` is among all
    merged points. `attrs` has `notes`, sentences on points that were not merged, and `hypervolume`
    of the merged fronts, by data set and fingerprint.

    Raises UserError if there is no such experiment, TrackingError if the store is missing or cannot
    be reached.
    """
    store = MlflowStore(uri)
    if store.is_missing:  # MLflow would create one
        raise TrackingError(f"there is no MLflow store at {store.uri}")
    at = store.experiment(experiment)
    parents = {
        node.run_id: node.tags
        for node in StoredRun.search(store, at, "tags.`seesaw.kind` = 'parent'")
    }
    replicates: dict[tuple[str, ...], list[Replicate]] = defaultdict(list)
    for node in StoredRun.search(store, at, "tags.`seesaw.kind` = 'replicate'"):
        failure = (
            Failure("bug", node.tags["seesaw.failure"]) if "seesaw.failure" in node.tags else None
        )
        number, seed = int(node.tags["seesaw.replicate"]), int(node.tags["seesaw.seed"])
        replicates[_point(node)].append(Replicate(number, seed, node.metrics, failure))
    groups: dict[MergeKey, list[StoredRun]] = defaultdict(list)
    compared = StoredRun.search(
        store, at, "tags.`seesaw.kind` = 'trial' and tags.`front.rank` != 'none'"
    )
    for node in sorted(
        compared, key=lambda each: (each.tags["seesaw.run"], int(each.tags["seesaw.trial"]))
    ):
        parent = parents.get(node.tags["seesaw.parent"], {})
        if OBJECTIVES in parent:
            groups[
                parent["seesaw.dataset"], parent["seesaw.fingerprint"], parent[OBJECTIVES]
            ].append(node)
    notes = _apart(groups)
    rows: list[dict[str, object]] = []
    volumes: dict[tuple[str, str], float] = {}
    for key, nodes in groups.items():
        records = [
            TrialRecord(
                number,
                "completed",
                params={},
                config=dict(node.params),
                architecture=node.tags["seesaw.architecture"],
                metrics=node.metrics,
                replicates=tuple(replicates[_point(node)]),
            )
            for number, node in enumerate(nodes)
        ]
        objectives = [Objective(*of) for of in json.loads(key[2])]
        references = [json.loads(parents[node.tags["seesaw.parent"]][REFERENCE]) for node in nodes]
        front = frontier(records, objectives, weakest_reference(objectives, references))
        volumes[key[:2]] = front.hypervolume
        trials = front.by_trial  # without the composite of single-task models, which has no run
        rank = front.table["rank"].astype(float)  # NaN for points that were not compared
        rows += [
            _row(nodes[trial], key, float(front.table["p_nondominated"].iloc[at]))
            for trial, at in trials.items()
            if rank.iloc[at] == rank.iloc[list(trials.values())].min()
        ]
        sure = [
            node
            for node, record in zip(nodes, records, strict=True)
            if any(map(confirmed, record.points))
        ]
        once = set(_runs(nodes)) - set(_runs(sure))
        if once and front.split == CONFIRM:
            notes.append(
                f"{key[0]}: not confirmed, and not compared with what is: {', '.join(sorted(once))}"
            )
    rest = dict.fromkeys(name for row in rows for name in row if name not in FIXED)
    table = pd.DataFrame(rows, columns=[*FIXED, *rest])
    table = table.sort_values(["dataset", "fingerprint", "run", "trial"], ignore_index=True)
    if unended := sorted(tags["seesaw.run"] for tags in parents.values() if OBJECTIVES not in tags):
        notes.append(f"without a front yet, and left out: {', '.join(unended)}")
    table.attrs |= {"notes": notes, "hypervolume": volumes}
    return table


def _row(node: StoredRun, key: MergeKey, chance: float) -> dict[str, object]:
    tags = node.tags
    of = (
        tags["seesaw.run"],
        *key[:2],
        tags["seesaw.space"],
        int(tags["seesaw.trial"]),
        tags["seesaw.architecture"],
    )
    metrics = {
        name: at
        for name, at in sorted(node.metrics.items())
        if not name.startswith(("curve/", DIAGNOSIS))
    }
    fixed = dict(zip(FIXED, (*of, tags["seesaw.picked"] == "true", node.run_id), strict=True))
    return {**fixed, **metrics, "front.p_nondominated": chance, **dict(sorted(node.params.items()))}


def _apart(groups: Mapping[MergeKey, Sequence[StoredRun]]) -> list[str]:
    notes = []
    for dataset in sorted({key[0] for key in groups}):
        of = {key: ", ".join(_runs(nodes)) for key, nodes in groups.items() if key[0] == dataset}
        if len(of) > 1:
            prints = len({key[1] for key in of}) > 1
            why = "the data were prepared differently" if prints else "their objectives differ"
            notes.append(
                f"{dataset}: not merged, since {why} "
                f"({'; '.join(f'{key[1]}: {of[key]}' for key in of)})"
            )
    return notes


def _runs(nodes: Sequence[StoredRun]) -> list[str]:
    return sorted({node.tags["seesaw.run"] for node in nodes})


def _point(node: StoredRun) -> tuple[str, ...]:
    return node.tags["seesaw.parent"], node.tags["seesaw.trial"], node.tags[UNTIL]
