"""Fronts of tracked runs, read from MLflow alone and merged for runs on the same data."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from bench.app.tracking.mlflow_store import MlflowStore, StoredRun, TrackingError
from bench.app.tracking.target_state import DIAGNOSIS, OBJECTIVES, REFERENCE, UNTIL
from bench.core.objectives import Objective
from bench.core.records import Failure, Replicate, TrialRecord
from bench.core.rows import CONFIRM
from bench.ledger.heads import Frontier, frontier
from bench.ledger.pareto import weakest_reference
from bench.ledger.points import confirmed

FIXED = ["run", "dataset", "fingerprint", "space", "trial", "architecture", "picked", "run_id"]


class MergeKey(NamedTuple):
    """Runs with equal keys are merged; `objectives` is JSON."""

    dataset: str
    fingerprint: str
    objectives: str

    @property
    def parsed(self) -> list[Objective]:
        """The objectives."""
        pairs = json.loads(self.objectives)
        return [Objective(name, direction) for name, direction in pairs]


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
    experiment_id = store.experiment(experiment)
    parents = {
        node.run_id: node.tags
        for node in StoredRun.search(store, experiment_id, "tags.`seesaw.kind` = 'parent'")
    }
    replicates = _replicates(store, experiment_id)
    groups = _mergeable(store, experiment_id, parents)
    notes = _not_merged(groups)
    rows: list[dict[str, object]] = []
    volumes: dict[tuple[str, str], float] = {}
    for key, nodes in groups.items():
        records = [_record(number, node, replicates) for number, node in enumerate(nodes)]
        references = [json.loads(parents[node.tags["seesaw.parent"]][REFERENCE]) for node in nodes]
        front = frontier(records, key.parsed, weakest_reference(key.parsed, references))
        volumes[key.dataset, key.fingerprint] = front.hypervolume
        rows += _front_rows(front, nodes, key)
        unconfirmed = _unconfirmed(nodes, records)
        if unconfirmed and front.split == CONFIRM:
            notes.append(
                f"{key.dataset}: not confirmed, and not compared with what is: "
                f"{', '.join(unconfirmed)}"
            )
    unended = sorted(tags["seesaw.run"] for tags in parents.values() if OBJECTIVES not in tags)
    if unended:
        notes.append(f"without a front yet, and left out: {', '.join(unended)}")
    table = pd.DataFrame(rows, columns=None if rows else FIXED)
    table = table.sort_values(["dataset", "fingerprint", "run", "trial"], ignore_index=True)
    table.attrs |= {"notes": notes, "hypervolume": volumes}
    return table


def _replicates(store: MlflowStore, experiment_id: str) -> dict[tuple[str, ...], list[Replicate]]:
    """All replicates of an experiment, by `_point`."""
    replicates: defaultdict[tuple[str, ...], list[Replicate]] = defaultdict(list)
    for node in StoredRun.search(store, experiment_id, "tags.`seesaw.kind` = 'replicate'"):
        failure = None
        if "seesaw.failure" in node.tags:
            failure = Failure("bug", node.tags["seesaw.failure"])
        number, seed = int(node.tags["seesaw.replicate"]), int(node.tags["seesaw.seed"])
        replicates[_point(node)].append(Replicate(number, seed, node.metrics, failure))
    return replicates


def _mergeable(
    store: MlflowStore, experiment_id: str, parents: Mapping[str, Mapping[str, str]]
) -> dict[MergeKey, list[StoredRun]]:
    """Compared trials of runs with a front, grouped, by run and trial."""
    compared = StoredRun.search(
        store, experiment_id, "tags.`seesaw.kind` = 'trial' and tags.`front.rank` != 'none'"
    )
    compared.sort(key=lambda node: (node.tags["seesaw.run"], int(node.tags["seesaw.trial"])))
    groups: defaultdict[MergeKey, list[StoredRun]] = defaultdict(list)
    for node in compared:
        parent = parents.get(node.tags["seesaw.parent"], {})
        if OBJECTIVES in parent:
            key = MergeKey(
                parent["seesaw.dataset"], parent["seesaw.fingerprint"], parent[OBJECTIVES]
            )
            groups[key].append(node)
    return groups


def _record(
    number: int, node: StoredRun, replicates: Mapping[tuple[str, ...], Sequence[Replicate]]
) -> TrialRecord:
    return TrialRecord(
        number,
        "completed",
        params={},
        config=dict(node.params),
        architecture=node.tags["seesaw.architecture"],
        metrics=node.metrics,
        replicates=tuple(replicates.get(_point(node), ())),
    )


def _front_rows(
    front: Frontier, nodes: Sequence[StoredRun], key: MergeKey
) -> list[dict[str, object]]:
    """Rows of the trials with the lowest rank."""
    row_of_trial = front.by_trial  # without the composite of single-task models, which has no run
    rank = front.table["rank"].astype(float)  # NaN for points that were not compared
    lowest = rank.iloc[list(row_of_trial.values())].min()
    rows = []
    for trial, row in row_of_trial.items():
        if rank.iloc[row] == lowest:
            chance = float(front.table["p_nondominated"].iloc[row])
            rows.append(_row(nodes[trial], key, chance))
    return rows


def _row(node: StoredRun, key: MergeKey, chance: float) -> dict[str, object]:
    tags = node.tags
    row: dict[str, object] = {
        "run": tags["seesaw.run"],
        "dataset": key.dataset,
        "fingerprint": key.fingerprint,
        "space": tags["seesaw.space"],
        "trial": int(tags["seesaw.trial"]),
        "architecture": tags["seesaw.architecture"],
        "picked": tags["seesaw.picked"] == "true",
        "run_id": node.run_id,
    }
    for name, value in sorted(node.metrics.items()):
        if not name.startswith(("curve/", DIAGNOSIS)):
            row[name] = value
    row["front.p_nondominated"] = chance
    return row | dict(sorted(node.params.items()))


def _unconfirmed(nodes: Sequence[StoredRun], records: Sequence[TrialRecord]) -> list[str]:
    """Names of the runs without any confirmed point."""
    with_confirmed = [
        node
        for node, record in zip(nodes, records, strict=True)
        if any(map(confirmed, record.points))
    ]
    return sorted(set(_runs(nodes)) - set(_runs(with_confirmed)))


def _not_merged(groups: Mapping[MergeKey, Sequence[StoredRun]]) -> list[str]:
    """A sentence for each data set whose runs form several groups."""
    notes = []
    for dataset in sorted({key.dataset for key in groups}):
        keys = [key for key in groups if key.dataset == dataset]
        if len(keys) > 1:
            why = "their objectives differ"
            if len({key.fingerprint for key in keys}) > 1:
                why = "the data were prepared differently"
            names = [f"{key.fingerprint}: {', '.join(_runs(groups[key]))}" for key in keys]
            notes.append(f"{dataset}: not merged, since {why} ({'; '.join(names)})")
    return notes


def _runs(nodes: Sequence[StoredRun]) -> list[str]:
    return sorted({node.tags["seesaw.run"] for node in nodes})


def _point(node: StoredRun) -> tuple[str, ...]:
    return node.tags["seesaw.parent"], node.tags["seesaw.trial"], node.tags[UNTIL]
