"""Fronts of several tracked runs, merged where they are about the same data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from bench.frontier.estimates import confirmed
from bench.frontier.frontier import frontier
from bench.frontier.hypervolume import weakest_reference
from bench.objectives import Objective
from bench.records import TrialRecord
from bench.tracking.node import Node


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


def merged(points: Sequence[Tracked]) -> Merged:
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
