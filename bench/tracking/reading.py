"""Reads fronts back from MLflow alone: no run folder, no storage of the search, no file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from bench.records import Failure, Replicate, TrialRecord
from bench.tracking.address import plain_address
from bench.tracking.diagnosis import ALL
from bench.tracking.merging import Placed, Tracked, merged
from bench.tracking.node import Node
from bench.tracking.store import Store, TrackingError
from bench.tracking.values import OBJECTIVES, UNTIL, objectives_of

FIXED = ["run", "dataset", "fingerprint", "space", "trial", "architecture", "picked", "run_id"]
LEFT_OUT = ("curve/", f"{ALL}/")
PARENTS = "tags.`seesaw.kind` = 'parent'"
COMPARED = "tags.`seesaw.kind` = 'trial' and tags.`front.rank` != 'none'"
REPLICATES = "tags.`seesaw.kind` = 'replicate'"


def frontier_of(experiment: str, uri: str) -> pd.DataFrame:
    """The front of an experiment, over all its runs that have one: those on the same data are merged.

    Runs belong together where data set, fingerprint of the prepared data and objectives are the same; each such group
    has a front of its own, on which no point of any of its runs is dominated. In a search by rungs a trial stands for
    its best placed point.

    Columns: `run, dataset, fingerprint, space, trial, architecture, picked, run_id`, then metrics and costs under their
    names (`valid/income.auc` of the search, `confirm/income.auc.mean`, ...), of which `front.p_nondominated` is among
    all that was merged, and the configuration under its dotted names, as text. `attrs["notes"]` has sentences on what
    was not merged or left out, `attrs["hypervolume"]` the merged fronts' hypervolumes by data set and fingerprint.

    Raises:
        UserError: no such experiment.
        TrackingError: there is no such store, or it cannot be reached.
    """
    uri = plain_address(uri)
    scheme, _, file = uri.partition(":///")
    if scheme == "sqlite" and not Path(file).is_file():  # MLflow would make one
        raise TrackingError(f"there is no MLflow store at {uri}")
    store = Store.connect(uri)
    at = store.experiment(experiment)
    parents = Node.search(store, at, PARENTS)
    ended = {node.run_id: node for node in parents if OBJECTIVES in node.tags}
    replicates: dict[tuple[str, str], list[Node]] = {}
    for node in Node.search(store, at, REPLICATES):
        replicates.setdefault((node.tags["seesaw.parent"], node.tags["seesaw.trial"]), []).append(node)
    tracked = [
        _tracked(node, ended[parent], replicates.get((parent, node.tags["seesaw.trial"]), []))
        for node in Node.search(store, at, COMPARED)
        if (parent := node.tags["seesaw.parent"]) in ended
    ]
    found = merged(tracked)
    rows = [_row(placed) for placed in found.front]
    rest = dict.fromkeys(name for row in rows for name in row if name not in FIXED)
    table = pd.DataFrame(rows, columns=[*FIXED, *rest])
    table = table.sort_values(["dataset", "fingerprint", "run", "trial"], ignore_index=True)
    unended = sorted(node.tags["seesaw.run"] for node in parents if node.run_id not in ended)
    left_out = [f"without a front yet, and left out: {', '.join(unended)}"] if unended else []
    table.attrs |= {"notes": [*found.notes, *left_out], "hypervolume": found.hypervolumes}
    return table


def _tracked(node: Node, parent: Node, replicates: list[Node]) -> Tracked:
    tags, until = node.tags, node.tags.get(UNTIL, "none")
    record = TrialRecord(
        number=int(tags["seesaw.trial"]),
        state="completed",
        params={},
        config=dict(node.params),
        architecture=tags["seesaw.architecture"],
        metrics=node.metrics,
        replicates=tuple(_replicate(each) for each in replicates if each.tags.get(UNTIL, "none") == until),
    )
    objectives, reference = objectives_of(parent.tags)
    of = parent.tags["seesaw.run"], parent.tags["seesaw.dataset"], parent.tags["seesaw.fingerprint"]
    return Tracked(*of, objectives, reference, record, node)


def _replicate(node: Node) -> Replicate:
    tags = node.tags
    failure = Failure("bug", tags["seesaw.failure"]) if "seesaw.failure" in tags else None
    return Replicate(int(tags["seesaw.replicate"]), int(tags["seesaw.seed"]), node.metrics, failure)


def _row(placed: Placed) -> dict[str, Any]:
    of, node = placed.tracked, placed.tracked.node
    metrics = {name: value for name, value in sorted(node.metrics.items()) if not name.startswith(LEFT_OUT)}
    return {
        "run": of.run,
        "dataset": of.dataset,
        "fingerprint": of.fingerprint,
        "space": node.tags["seesaw.space"],
        "trial": of.record.number,
        "architecture": of.record.architecture,
        "picked": node.tags["seesaw.picked"] == "true",
        "run_id": node.run_id,
        **metrics,
        "front.p_nondominated": math.nan if placed.p_nondominated is None else placed.p_nondominated,
        **dict(sorted(node.params.items())),
    }
