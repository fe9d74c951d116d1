"""Keeps serving points, and computes their gains over the current point and P(non-dominated).

Only these are resampled, measured on test, drawn and shown. All is decided by means over replicates on confirmation
rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.objectives import Objective
from bench.results.effect import LEVEL, Effect
from bench.results.pareto import hypervolume, lattice, nondominated
from bench.results.statistics import error_of, reflected

Floats = NDArray[np.float64]
VOLUMES = 400
"""Draws that a hypervolume's interval takes."""
FARTHEST = 30.0
"""The most standard errors that a gain is said to be off: whatever lies beyond has a probability that rounds to 0."""
CLEAR = 0.95
"""From this share of draws on, a point is clearly dominated by another of its own candidate."""


def gains(values: NDArray[np.floating], current: int) -> Floats:
    """Differences of values (.., S, M) from the current point's, as fractions of its; NaN where it has none."""
    base = values[..., current : current + 1, :].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(base > 0, values / base - 1, np.nan)


def reach(drawn: NDArray[np.floating], rows: NDArray[np.floating], current: int) -> float:
    """By how many standard errors a gain on test may be off, at `LEVEL`, in any outcome of a point that was picked.

    Confirmation rows, which chose it, and test have the luck of seeds in common, and nothing else. So the point is
    taken to be, in each draw, the one whose seeds were luckiest by their share of its standard error, in an outcome or
    in several together: what a policy picks where all points are equally good. The worst such policy counts.

    Args:
        drawn: (D, S, M) draws of test outcomes; rows: the same with the rows' part of the errors alone.

    Returns:
        NaN without draws.
    """
    if not len(drawn):
        return np.nan
    errors, luck = gains(drawn, current), gains(rows, current)
    errors -= errors.mean(axis=0)
    luck = errors - (luck - luck.mean(axis=0))
    unit = error_of(errors)
    unit = np.where(unit > 1e-12, unit, np.inf)
    off, luck = np.nan_to_num(np.abs(errors / unit)).max(axis=2), np.nan_to_num(luck / unit)
    lucky = luck @ lattice(drawn.shape[2], 2).T  # (D, S, policies)
    lucky[:, np.isinf(unit).all(axis=1)] = -np.inf  # the current point and its equals: to pick them changes nothing
    chosen = lucky.argmax(axis=1)  # (D, policies)
    return min(FARTHEST, float(np.quantile(np.take_along_axis(off, chosen, axis=1), LEVEL, axis=0).max()))


def rivals(draws: Floats, points: Sequence[str]) -> NDArray[np.bool_]:
    """(S, S), whether the first of a pair counts where it dominates the second.

    Points of other candidates always do. Neighbouring weights of one candidate trade little for little, so that noise
    alone makes one dominate the other: a point of the same candidate counts where it dominates in `CLEAR` of draws.

    Args:
        points: the candidate of each.
    """
    names = np.array(points)
    found = np.asarray(names[:, None] != names[None])
    some = draws[:: max(1, len(draws) // VOLUMES)]
    for name in dict.fromkeys(points):
        own = np.flatnonzero(names == name)
        share = np.mean([_dominates(each) for each in some[:, own]], axis=0)
        found[np.ix_(own, own)] = share >= CLEAR
    return found


def share_nondominated(values: Floats, among: NDArray[np.bool_]) -> Floats:
    """(S,) in which share of draws (D, S, M) no rival (S, S) dominates each point; more is better in all outcomes."""
    return np.asarray(np.mean([~(_dominates(each) & among).any(axis=0) for each in values], axis=0))


def _dominates(values: Floats) -> NDArray[np.bool_]:
    """(S, S), whether the first of a pair of values (S, M) dominates the second."""
    enough = np.ones((len(values), len(values)), dtype=bool)
    more = ~enough
    for column in values.T:
        enough &= column[:, None] >= column[None]
        more |= column[:, None] > column[None]
    return enough & more


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


FRONT, NEAR, OWN = 40, 24, 6
"""The most kept points: of the front, close behind it, and of each candidate's own front."""
MOST_OWN = 90
"""Kept points of all candidates' own fronts together, about; at least 2 each."""
CLOSE = 2.0
"""Standard errors behind the front up to which a point may be on it."""


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
    """Places of at most `most` of the values (N, M): the best in each column, then each the farthest from the
    others."""
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
