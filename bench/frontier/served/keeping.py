"""Which serving points are kept: the front, what may be on it, and each candidate's own best.

Only these are resampled, measured on test, drawn and shown. All is decided by means over replicates on confirmation
rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.frontier.dominance import nondominated
from bench.objectives import Objective

Floats = NDArray[np.float64]

FRONT, NEAR, OWN = 40, 24, 6
"""At most so many points of the front, so many close behind it, and so many of each candidate's own front."""
MOST_OWN = 90
"""Of all candidates' own fronts together about so many, and at least 2 each."""
CLOSE = 2.0
"""Points up to so many standard errors behind the front may be on it."""


def unequal(values: Sequence[Floats]) -> NDArray[np.bool_]:
    """(C, K), which settings of a candidate are the first with their outcomes.

    Weights that give the same order in every replicate (n, K, M) count once, and undefined ones not at all.
    """
    found = np.zeros((len(values), values[0].shape[1]), dtype=bool)
    for at, each in enumerate(values):
        rows = np.moveaxis(each, 1, 0).reshape(each.shape[1], -1)
        whole = np.flatnonzero(np.isfinite(rows).all(axis=1))
        found[at, whole[np.unique(rows[whole], axis=0, return_index=True)[1]]] = True
    return found


def on_front(means: Floats, valid: NDArray[np.bool_], outcomes: Sequence[Objective]) -> NDArray[np.bool_]:
    """(C, K), which of the valid serving points with means (C, K, M) no other dominates."""
    found = np.zeros(valid.shape, dtype=bool)
    found[valid] = nondominated(means[valid], outcomes)
    return found


def kept(
    means: Floats, valid: NDArray[np.bool_], error: Floats, outcomes: Sequence[Objective], current: tuple[int, int]
) -> list[tuple[int, int]]:
    """Places (candidate, setting) of the kept points, in order; the current one is among them.

    Args:
        means: (C, K, M).
        valid: (C, K).
        error: (M,), about the standard error of a difference between two candidates.
        current: place of the current point. Of each candidate the points that have as much of an outcome as it has are
            kept, too.
    """
    places = np.argwhere(valid)
    values = means[valid]
    front = np.flatnonzero(on_front(means, valid, outcomes)[valid])
    unit = np.ptp(values[front], axis=0)
    unit = np.where(unit > 0, unit, 1.0)
    chosen = set(front[spread(values[front] / unit, FRONT)].tolist())
    depth = behind(values, values[front], np.where(error > 0, error, 1e-9 * unit))
    near = [at for at in np.argsort(depth, kind="stable").tolist() if 0 < depth[at] <= CLOSE]
    near = near[: 4 * NEAR]
    chosen |= {near[at] for at in spread(values[near] / unit, NEAR)} if near else set()
    own = max(2, min(OWN, MOST_OWN // len(means)))
    for candidate in range(len(means)):
        mine = np.flatnonzero(places[:, 0] == candidate)
        if len(mine):
            best = mine[nondominated(values[mine], outcomes)]
            chosen |= set(best[spread(values[best] / unit, own)].tolist())
            chosen |= set(best[_beside(values[best], means[current])].tolist())
    found = {(int(c), int(k)) for c, k in places[sorted(chosen)]} | {current}
    return sorted(found)


def behind(values: Floats, front: Floats, unit: Floats) -> Floats:
    """(N,) by how many units a point of the front is ahead of each of the values (N, M) in all outcomes at once."""
    found = np.full(len(values), -np.inf)
    for point in front:
        found = np.maximum(found, ((point - values) / unit).min(axis=1))
    return found


def spread(values: Floats, most: int) -> list[int]:
    """Places of at most so many of the values (N, M), the best in each column first, then each as far as can be."""
    if len(values) <= most:
        return list(range(len(values)))
    found = list(dict.fromkeys(values.argmax(axis=0).tolist()))[:most]
    apart = np.min([((values - values[at]) ** 2).sum(axis=1) for at in found], axis=0)
    while len(found) < most:
        at = int(apart.argmax())
        found.append(at)
        apart = np.minimum(apart, ((values - values[at]) ** 2).sum(axis=1))
    return sorted(found)


def _beside(values: Floats, at: Floats) -> list[int]:
    """In each outcome the places of the nearest value on either side."""
    found: set[int] = set()
    for column, level in enumerate(at):
        apart = values[:, column] - level
        for side in (apart >= 0, apart < 0):
            if side.any():
                inside = np.flatnonzero(side)
                found.add(int(inside[np.abs(apart[inside]).argmin()]))
    return sorted(found)
