"""Trials from best to worst by several objectives: by non-dominated rank, and within a rank by one of `TIE_BREAKS`.

The order is a function of the values: which trial came first decides only between trials of equal values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import moocore
import numpy as np
from numpy.typing import NDArray

from bench.errors import unknown
from bench.frontier.dominance import UNRANKED, ranks
from bench.objectives import Objective

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

TieBreak = Callable[[Floats, Floats], Floats]
"""(points (N, M), reference (M,)) -> merit (N,), larger is better.

The points are mutually non-dominated, distinct, in falling lexicographic order, and larger is better throughout.
"""


def hypervolume(points: Floats, reference: Floats) -> Floats:
    """What the front would lose of its hypervolume without each point (Beume, Naujoks, Emmerich, EJOR 2007).

    A point that does not beat the reference in every objective has none. At low rungs that is most of them: behind the
    others, they are taken as `epsilon_net` would.
    """
    if points.shape[1] == 1:  # moocore wants two objectives; on a line there is one non-dominated point
        return np.ones(len(points))
    merit = np.array(moocore.hv_contributions(points, ref=reference, maximise=True), dtype=np.float64)
    without = merit <= 0
    if without.any():
        merit[without] = epsilon_net(points[without], reference) - 1.0
    return merit


def epsilon_net(points: Floats, reference: Floats) -> Floats:
    """Minus the place in a sequence that covers the front evenly (Schmucker et al. 2021, arXiv:2106.12639).

    The first is the point with the largest sum, then always the point farthest from those already taken. Objectives
    are scaled to the front's extent.
    """
    scaled = _scaled(points)
    merit = np.empty(len(points))
    taken = int(np.argmax(scaled.sum(axis=1)))
    distance = np.full(len(points), np.inf)
    for place in range(len(points)):
        merit[taken] = -place
        distance = np.minimum(distance, np.linalg.norm(scaled - scaled[taken], axis=1))
        distance[taken] = -1.0
        taken = int(np.argmax(distance))
    return merit


def crowding(points: Floats, reference: Floats) -> Floats:
    """NSGA-II's crowding distance; infinite at both ends of every objective (Deb et al., IEEE TEC 2002)."""
    scaled = _scaled(points)
    merit = np.zeros(len(points))
    for column in scaled.T:
        order = np.argsort(column, kind="stable")
        merit[order[1:-1]] += column[order[2:]] - column[order[:-2]]
        merit[order[[0, -1]]] = np.inf
    return merit


TIE_BREAKS: dict[str, TieBreak] = {
    "hypervolume": hypervolume,
    "epsilon_net": epsilon_net,
    "crowding": crowding,
}


def best_first(
    values: Floats, objectives: Sequence[Objective], reference: Mapping[str, float], tie_break: str = "hypervolume"
) -> Indices:
    """Rows of `values` (N, M) from best to worst: (N,).

    By non-dominated rank, then by the tie break, then by the objectives in turn. Copies of a point add nothing to a
    set that has it: they come at the end of their rank, in the order of the rows. Rows that are not finite are last.

    Raises:
        UserError: no such tie break.
    """
    if tie_break not in TIE_BREAKS:
        raise unknown("tie break", tie_break, TIE_BREAKS)
    signs = np.array([objective.sign for objective in objectives])
    worst = np.array([reference[objective.name] for objective in objectives]) * signs
    # Sorted first, so that nothing below can depend on the order of the rows. Downwards, copies in their own order.
    rows = np.lexsort((*(-values * signs).T[::-1],)) if len(values) else np.empty(0, dtype=np.int64)
    sorted_values = values[rows] * signs
    rank = ranks(values, objectives)[rows]
    order = []
    for level in range(rank.max(initial=UNRANKED) + 1):
        members = np.flatnonzero(rank == level)
        points = sorted_values[members]
        copy = np.zeros(len(points), dtype=bool)
        copy[1:] = (points[1:] == points[:-1]).all(axis=1)
        merit = TIE_BREAKS[tie_break](points[~copy], worst)[np.cumsum(~copy) - 1]
        order.append(rows[members[np.lexsort((-merit, copy))]])
    return np.concatenate([*order, np.sort(rows[rank == UNRANKED])]).astype(np.int64)


def _scaled(points: Floats) -> Floats:
    low, high = points.min(axis=0), points.max(axis=0)
    return np.asarray((points - low) / np.where(high > low, high - low, 1.0))
