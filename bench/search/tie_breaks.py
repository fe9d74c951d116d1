"""Which of several trials that do not dominate each other is the better one."""

from __future__ import annotations

from collections.abc import Callable

import moocore
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TieBreak = Callable[[Floats, Floats], Floats]
"""(points (N, M), reference (M,)) -> merit (N,), larger is better.

The points are mutually non-dominated, distinct, in falling lexicographic order, and larger is better throughout.
"""
NET = 256
"""So many points of a front are taken one after the other to cover it; a larger one has most of them beside each other.
"""
COMPARED = 64
"""Of a front in four or more objectives, so many have their contributions compared: these take time exponential in the
number of objectives (five, 1,000 points: 8 s), and there nearly every trial is on a front."""


def hypervolume(points: Floats, reference: Floats) -> Floats:
    """What the front would lose of its hypervolume without each point (Beume, Naujoks, Emmerich, EJOR 2007).

    A point that does not beat the reference in every objective has none. At low rungs that is most of them: behind the
    others, they are taken as `epsilon_net` would. In four or more objectives only the first `COMPARED` that beat it, as
    `epsilon_net` takes them, have theirs compared, among themselves.
    """
    if points.shape[1] == 1:  # moocore wants two objectives; on a line there is one non-dominated point
        return np.ones(len(points))
    compared = np.arange(len(points))
    if points.shape[1] > 3 and (inside := np.flatnonzero((points > reference).all(axis=1))).size > COMPARED:
        compared = inside[np.argsort(-epsilon_net(points[inside], reference), kind="stable")[:COMPARED]]
    merit = np.zeros(len(points))
    merit[compared] = moocore.hv_contributions(points[compared], ref=reference, maximise=True)
    without = merit <= 0
    if without.any():
        merit[without] = epsilon_net(points[without], reference) - 1.0
    return merit


def epsilon_net(points: Floats, reference: Floats) -> Floats:
    """Minus the place in a sequence that covers the front evenly (Schmucker et al. 2021, arXiv:2106.12639).

    The first is the point with the largest sum, then always the point farthest from those already taken. Objectives
    are scaled to the front's extent. After `NET` points the others come as far as they are from these.
    """
    scaled = _scaled(points)
    merit = np.empty(len(points))
    taken = int(np.argmax(scaled.sum(axis=1)))
    distance = np.full(len(points), np.inf)
    for place in range(min(len(points), NET)):
        merit[taken] = -place
        distance = np.minimum(distance, np.linalg.norm(scaled - scaled[taken], axis=1))
        distance[taken] = -1.0
        taken = int(np.argmax(distance))
    left = distance >= 0
    merit[left] = -NET - 1 + distance[left] / max(1.0, distance.max())
    return merit


def _scaled(points: Floats) -> Floats:
    low, high = points.min(axis=0), points.max(axis=0)
    return np.asarray((points - low) / np.where(high > low, high - low, 1.0))
