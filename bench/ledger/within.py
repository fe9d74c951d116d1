"""Tells whether a model ranks rows within groups, or tells groups apart alone.

Both areas under the curve stand side by side: over all rows, where a group with many positives
counts for as much as the order within it, and within groups (GAUC). A feed ranks within a group.
There a model that knows its users and not its items is no better than chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from bench.core.errors import listed
from bench.core.objectives import key_on
from bench.core.records import Point
from bench.core.rows import CONFIRM
from bench.core.schema import Task
from bench.ledger.effect import Effect
from bench.ledger.errors.evidence import evidence_by_id
from bench.ledger.errors.intervals import intervals_by_id

AreaTable = tuple[list[str], list[list[str]]]
"""Headers and rows of texts."""
CHANCE = 0.5
"""The area of a random order."""


@dataclass(frozen=True)
class TaskAreas:
    """Areas under the curve of a task on confirmation rows: over `rows`, and within `groups`
    (GAUC).
    """

    rows: Effect
    groups: Effect


def areas_of(points: Sequence[Point], tasks: Sequence[Task]) -> dict[str, dict[str, TaskAreas]]:
    """By id of a point with replicates its areas, by binary task; nothing where no point has two
    replicates.
    """
    areas: dict[str, dict[str, TaskAreas]] = {}
    for task in tasks:
        own = f"{task.name}.ctcvr" if task.parent else task.name
        keys = [key_on(f"{own}.{metric}", CONFIRM) for metric in ("auc", "gauc")]
        over, within = (intervals_by_id(evidence_by_id(points, [key])) for key in keys)
        for point in over.keys() & within.keys():
            areas.setdefault(point, {})[task.name] = TaskAreas(over[point], within[point])
    return areas


def area_table(
    areas: Mapping[str, Mapping[str, TaskAreas]], table: pd.DataFrame, group: str
) -> AreaTable:
    """Headers and rows of texts, a row for each point: of each task both areas, and the interval
    within groups.

    Args:
        table: of a frontier, for the names of points.
        group: the column whose values are groups.
    """
    tasks = dict.fromkeys(task for own in areas.values() for task in own)
    headers = [name for task in tasks for name in (f"{task}, all rows", f"{task}, within {group}")]
    names = dict(zip(table["point"], table["name"], strict=True))
    return ["point", *headers], [
        [names[point], *(text for task in tasks for text in _texts(own.get(task)))]
        for point, own in areas.items()
    ]


def _texts(of: TaskAreas | None) -> tuple[str, str]:
    if of is None:
        return "", ""
    return (
        f"{of.rows.value:.4f}",
        f"{of.groups.value:.4f} ({of.groups.low:.4f} to {of.groups.high:.4f})",
    )


def warning(areas: Mapping[str, Mapping[str, TaskAreas]], point: str, group: str) -> str:
    """A sentence where a point's order within groups cannot be told from a random one; else empty.

    Args:
        group: the column whose values are groups.
    """
    blind = [
        f"{task} (AUC {each.rows.value:.2f}, within {group} {each.groups.value:.2f}, "
        f"90% interval {each.groups.low:.2f} to {each.groups.high:.2f})"
        for task, each in areas.get(point, {}).items()
        if each.groups.low <= CHANCE
    ]
    told = (
        f"It tells each {group} from others, but its order within one cannot be told from chance in"
    )
    return f"{told} {listed(blind)}." if blind else ""
