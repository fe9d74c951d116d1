"""Ranges of figures and the line of the front: what a reader needs to see, in natural units."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from bench.report.findings import Id
from bench.report.view import Axis, Reference, Trial

CORNERS = 49
"""Of an ellipse's edge, first and last the same."""
MOST_BELOW = 4.0
"""A figure opens with a range at most this many times what the front and the baseline span."""


def near(trials: Sequence[Trial], i: int, sign: float, baseline: Reference | None) -> tuple[float, float] | None:
    """The range that figures open with, from worst to best.

    It holds the front, its error bars, the baseline, and the better three quarters of the trials where they are close.
    """
    values = [sign * value for trial in trials if (value := trial.values[i]) is not None]
    if not values:
        return None
    whiskers = [
        sign * value + way * (reach(trial, i) or 0.0)
        for trial in trials
        if trial.on_front and (value := trial.values[i]) is not None
        for way in (-1, 1)
    ]
    front = [sign * value for trial in trials if trial.on_front and (value := trial.values[i]) is not None]
    needed = [*front, *whiskers, *([sign * baseline.value] if baseline else [])]
    top, worst_needed = max([*values, *needed]), min(needed or values)
    bulk = float(np.quantile(values, 0.25))
    floor = top - MOST_BELOW * (top - worst_needed) if top > worst_needed else bulk
    low = min(worst_needed, max(bulk, floor))
    pad = 0.06 * (top - low) or 0.01 * abs(top) or 1.0
    return sign * (low - pad), sign * (top + pad)


def step(front: Sequence[Id], axes: Sequence[Axis], trials: Sequence[Trial]) -> tuple[tuple[float, float], ...]:
    """Corners of the edge of what the front dominates in two objectives, out to the worst value of any trial.

    `front` is best in the first objective first, so each next point is worse in it and better in the second.
    """
    if len(axes) != 2 or not front:
        return ()
    places = {trial.id: trial.values for trial in trials}
    known = [(x, y) for x, y in (places[id] for id in front) if x is not None and y is not None]
    return corners(known, worst(axes, trials))


def corners(points: Sequence[tuple[float, float]], end: tuple[float, float]) -> tuple[tuple[float, float], ...]:
    """Of the edge of what non-dominated points dominate, out to `end` in both; best in the first objective first."""
    if not points:
        return ()
    found = [(points[0][0], end[1]), points[0]]
    for before, point in itertools.pairwise(points):
        found += [(point[0], before[1]), point]
    return (*found, (end[0], points[-1][1]))


def worst(axes: Sequence[Axis], trials: Sequence[Trial]) -> tuple[float, float]:
    """The worst value of any trial in the first two objectives, or the end of what figures open with."""
    x, y = (
        axis.sign
        * min(
            [axis.sign * value for trial in trials if (value := trial.values[i]) is not None]
            + ([axis.sign * axis.near[0]] if axis.near else [])
        )
        for i, axis in enumerate(axes[:2])
    )
    return x, y


def ellipse(trial: Trial, i: int, j: int) -> list[tuple[float, float]]:
    """The edge of a confirmed trial's region in two objectives, closed; empty where that is not known."""
    x, y = trial.values[i], trial.values[j]
    if trial.region is None or x is None or y is None:
        return []
    across = math.sqrt(trial.region[i][i])
    slant = trial.region[i][j] / across if across else 0.0
    rest = math.sqrt(max(trial.region[j][j] - slant**2, 0.0))
    turns = np.linspace(0, 2 * np.pi, CORNERS)
    return [(x + across * math.cos(a), y + slant * math.cos(a) + rest * math.sin(a)) for a in turns]


def reach(trial: Trial, i: int) -> float | None:
    """How far a trial's error bar goes in an objective: as far as its region, else as its interval."""
    if trial.region is not None:
        return math.sqrt(trial.region[i][i])
    spread = trial.confirm[i]
    return None if spread is None else spread.half_width
