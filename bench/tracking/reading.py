"""Fronts of tracked runs, read back from MLflow alone and merged where they are about the same data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from bench.frontier.frontier import frontier
from bench.frontier.pareto import weakest_reference
from bench.frontier.points import confirmed
from bench.objectives import Objective
from bench.records import Failure, Replicate, TrialRecord
from bench.tracking.node import Node
from bench.tracking.store import Store, TrackingError, plain_address
from bench.tracking.values import DIAGNOSIS, OBJECTIVES, UNTIL, objectives_of

FIXED = ["run", "dataset", "fingerprint", "space", "trial", "architecture", "picked", "run_id"]
LEFT_OUT = ("curve/", f"{DIAGNOSIS}/")
PARENTS = "tags.`seesaw.kind` = 'parent'"
COMPARED = "tags.`seesaw.kind` = 'trial' and tags.`front.rank` != 'none'"
REPLICATES = "tags.`seesaw.kind` = 'replicate'"


@dataclass(frozen=True)
class Tracked:
    """A point that its own run compared, and the run in MLflow that holds it."""

    run: str
    dataset: str
    fingerprint: str
    objectives: tuple[Objective, ...]
    reference: dict[str, float]
    record: TrialRecord
    node: Node


@dataclass(frozen=True)
class Placed:
    """A point of a merged front, and how sure that is among all that was merged; None where it is not known."""

    tracked: Tracked
    p_nondominated: float | None


@dataclass(frozen=True)
class Merged:
    """Fronts, their hypervolumes by (data set, fingerprint), and sentences on what was not compared."""

    front: tuple[Placed, ...]
    hypervolumes: dict[tuple[str, str], float]
    notes: tuple[str, ...]


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
    found = _merged(tracked)
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


def _merged(points: Sequence[Tracked]) -> Merged:
    """The front of each group of points with the same data set, fingerprint and objectives."""
    groups: dict[tuple[str, str, tuple[Objective, ...]], list[Tracked]] = {}
    for point in sorted(points, key=lambda each: (each.run, each.record.number)):
        groups.setdefault((point.dataset, point.fingerprint, point.objectives), []).append(point)
    front: list[Placed] = []
    volumes, notes = {}, _apart(list(groups.items()))
    for (dataset, fingerprint, objectives), group in groups.items():
        numbered = [replace(point.record, number=at) for at, point in enumerate(group)]
        reference = weakest_reference(objectives, [point.reference for point in group])
        found = frontier(numbered, objectives, reference)
        trials = found.by_trial  # without the composite of single-task models, which no run has
        volumes[dataset, fingerprint] = found.hypervolume
        for row in trials[trials["rank"] == trials["rank"].min()].to_dict("records"):
            chance = row["p_nondominated"]
            front.append(Placed(group[int(row["trial"])], None if pd.isna(chance) else float(chance)))
        sure = {group[point.number].run for point in found.points if point.number is not None and confirmed(point)}
        once = {point.run for point in group} - sure
        if once and found.basis == "replicates":
            notes.append(f"{dataset}: not confirmed, and not compared with what is: {', '.join(sorted(once))}")
    return Merged(tuple(front), volumes, tuple(notes))


def _apart(groups: Sequence[tuple[tuple[str, str, tuple[Objective, ...]], list[Tracked]]]) -> list[str]:
    """Why runs on one data set were not merged."""
    notes = []
    for dataset in dict.fromkeys(key[0] for key, _ in groups):
        of = [(key, sorted({point.run for point in group})) for key, group in groups if key[0] == dataset]
        if len(of) > 1:
            prints = len({key[1] for key, _ in of}) > 1
            why = "the data were prepared differently" if prints else "their objectives differ"
            told = "; ".join(f"{key[1]}: {', '.join(runs)}" for key, runs in of)
            notes.append(f"{dataset}: not merged, since {why} ({told})")
    return notes
