"""Keeps serving points, and computes their gains over the current point.

Only these are resampled, measured on test, drawn and shown. All is decided by means over replicates on confirmation
rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.objectives import Objective
from bench.results.effect import Effect
from bench.results.pareto import hypervolume, nondominated
from bench.results.statistics import reflected

VOLUMES = 400
"""Draws that a hypervolume's interval takes."""


def gains(values: NDArray[np.floating], current: int) -> Floats:
    """Differences of values (.., S, M) from the current point's, as fractions of its; NaN where it has none."""
    base = values[..., current : current + 1, :].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(base > 0, values / base - 1, np.nan)


def volume_of(
    means: Floats, draws: Floats, outcomes: Sequence[Objective], random: Floats, ideal: Floats, known: bool
) -> Effect:
    """Hypervolume of points (S, M) over the outcomes of a random order, as a share of what the ideal has over them.

    The ideal ranks each task by its labels.

    Args:
        known: whether there is an interval.
    """
    room = np.where(ideal > random, ideal - random, np.nan)
    reference = dict.fromkeys((each.name for each in outcomes), 0.0)
    at = hypervolume((means - random) / room, outcomes, reference)
    if not known:
        return Effect(at)
    some = draws[:: max(1, len(draws) // VOLUMES)]
    return reflected(at, np.array([hypervolume((each - random) / room, outcomes, reference) for each in some]))


FRONT, OWN = 40, 6
"""The most kept points: of the front, and of each candidate's own front."""
MOST_OWN = 60
"""Kept points of all candidates' own fronts together, about; at least 2 each."""


def unequal(values: Sequence[Floats]) -> NDArray[np.bool_]:
    """(C, K), which settings of a candidate are the first with their outcomes.

    Weights that give the same order in every replicate (n, K, M) count once, and undefined ones not at all.
    """
    distinct = np.zeros((len(values), values[0].shape[1]), dtype=bool)
    for at, each in enumerate(values):
        rows = np.moveaxis(each, 1, 0).reshape(each.shape[1], -1)
        whole = np.flatnonzero(np.isfinite(rows).all(axis=1))
        distinct[at, whole[np.unique(rows[whole], axis=0, return_index=True)[1]]] = True
    return distinct


def on_front(means: Floats, valid: NDArray[np.bool_], outcomes: Sequence[Objective]) -> NDArray[np.bool_]:
    """(C, K), which of the valid serving points with means (C, K, M) no other dominates."""
    mask = np.zeros(valid.shape, dtype=bool)
    mask[valid] = nondominated(means[valid], outcomes)
    return mask


def kept(
    means: Floats,
    valid: NDArray[np.bool_],
    outcomes: Sequence[Objective],
    current: tuple[int, int],
    also: Iterable[tuple[int, int]] = (),
) -> list[tuple[int, int]]:
    """Places (candidate, setting) of the kept points, in order; the current one is among them.

    Args:
        means: (C, K, M).
        valid: (C, K).
        current: place of the current point. Of each candidate the points that have as much of an outcome as it has are
            kept, too.
        also: places that are kept in any case.
    """
    places = np.argwhere(valid)
    values = means[valid]
    front = np.flatnonzero(on_front(means, valid, outcomes)[valid])
    unit = np.ptp(values[front], axis=0)
    unit = np.where(unit > 0, unit, 1.0)
    chosen = set(front[spread(values[front] / unit, FRONT)].tolist())
    own = max(2, min(OWN, MOST_OWN // len(means)))
    for candidate in range(len(means)):
        mine = np.flatnonzero(places[:, 0] == candidate)
        if len(mine):
            best = mine[nondominated(values[mine], outcomes)]
            chosen |= set(best[spread(values[best] / unit, own)].tolist())
            chosen |= set(best[_beside(values[best], means[current])].tolist())
    points = {(int(c), int(k)) for c, k in places[sorted(chosen)]} | {current, *also}
    return sorted(points)


def spread(values: Floats, most: int) -> list[int]:
    """Places of at most `most` of the values (N, M): the best in each column, then each the farthest from the
    others."""
    if len(values) <= most:
        return list(range(len(values)))
    chosen = list(dict.fromkeys(values.argmax(axis=0).tolist()))[:most]
    apart = np.min([((values - values[at]) ** 2).sum(axis=1) for at in chosen], axis=0)
    while len(chosen) < most:
        at = int(apart.argmax())
        chosen.append(at)
        apart = np.minimum(apart, ((values - values[at]) ** 2).sum(axis=1))
    return sorted(chosen)


def _beside(values: Floats, at: Floats) -> list[int]:
    """In each outcome the places of the nearest value on either side."""
    neighbours: set[int] = set()
    for column, level in enumerate(at):
        apart = values[:, column] - level
        for side in (apart >= 0, apart < 0):
            if side.any():
                inside = np.flatnonzero(side)
                neighbours.add(int(inside[np.abs(apart[inside]).argmin()]))
    return sorted(neighbours)
