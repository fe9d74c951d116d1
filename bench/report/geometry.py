"""Ranges of figures and the line of the front: what a reader needs to see, in natural units."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from bench.report.view import Axis, Id, Reference, Trial

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
        sign * spread.mean + way * (spread.half_width or 0.0)
        for trial in trials
        if trial.on_front and (spread := trial.valid[i]) is not None
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
    x_axis, y_axis = axes
    shown = [trial.values for trial in trials]
    worst_x, worst_y = (
        axis.sign * min([axis.sign * v for row in shown if (v := row[i]) is not None] + [axis.sign * axis.near[0]])
        for i, axis in ((0, x_axis), (1, y_axis))
        if axis.near is not None
    )
    corners = [(known[0][0], worst_y), known[0]]
    for before, point in itertools.pairwise(known):
        corners += [(point[0], before[1]), point]
    return (*corners, (worst_x, known[-1][1]))
