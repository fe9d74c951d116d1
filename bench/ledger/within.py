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
        head = f"{task.name}.ctcvr" if task.parent else task.name
        over_rows, in_groups = (
            intervals_by_id(evidence_by_id(points, [key_on(f"{head}.{metric}", CONFIRM)]))
            for metric in ("auc", "gauc")
        )
        for point, area in over_rows.items():
            if point in in_groups:
                areas.setdefault(point, {})[task.name] = TaskAreas(area, in_groups[point])
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
    tasks: dict[str, None] = {}
    for by_task in areas.values():
        tasks |= dict.fromkeys(by_task)
    headers = ["point"]
    for task in tasks:
        headers += [f"{task}, all rows", f"{task}, within {group}"]
    name_of = dict(zip(table["point"], table["name"], strict=True))
    rows = []
    for point, by_task in areas.items():
        row = [str(name_of[point])]
        for task in tasks:
            row += _texts(by_task.get(task))
        rows.append(row)
    return headers, rows


def _texts(areas: TaskAreas | None) -> tuple[str, str]:
    if areas is None:
        return "", ""
    groups = areas.groups
    return f"{areas.rows.value:.4f}", f"{groups.value:.4f} ({groups.low:.4f} to {groups.high:.4f})"


def warning(areas: Mapping[str, Mapping[str, TaskAreas]], point: str, group: str) -> str:
    """A sentence where a point's order within groups cannot be told from a random one; else empty.

    Args:
        group: the column whose values are groups.
    """
    blind = []
    for task, of_task in areas.get(point, {}).items():
        groups = of_task.groups
        if groups.low <= CHANCE:
            blind.append(
                f"{task} (AUC {of_task.rows.value:.2f}, within {group} {groups.value:.2f}, "
                f"90% interval {groups.low:.2f} to {groups.high:.2f})"
            )
    if not blind:
        return ""
    return (
        f"It tells each {group} from others, but its order within one cannot be told from chance "
        f"in {listed(blind)}."
    )
