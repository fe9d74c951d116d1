"""Keeps serving points, and measures their front.

Only these are resampled, measured on test, drawn and shown. All is decided by means over replicates
on confirmation rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from bench.core.arrays import Floats, Mask
from bench.core.objectives import Objective
from bench.ledger.effect import Effect
from bench.ledger.errors.intervals import reflected
from bench.ledger.pareto import hypervolume, nondominated
from bench.ledger.served.measuring import Place

VOLUMES = 400
"""Draws that a hypervolume's interval takes."""


def volume_of(
    means: Floats,
    draws: Floats,
    outcomes: Sequence[Objective],
    random: Floats,
    ideal: Floats,
    interval: bool,
) -> Effect:
    """Hypervolume of points (S, M) over the outcomes of a random order, as a share of what the
    ideal has over them.

    The ideal ranks each task by its labels.

    Args:
        interval: whether to give one.
    """
    room = np.where(ideal > random, ideal - random, np.nan)
    reference = {objective.name: 0.0 for objective in outcomes}
    volume = hypervolume((means - random) / room, outcomes, reference)
    if not interval:
        return Effect(volume)
    thinned = draws[:: max(1, len(draws) // VOLUMES)]
    drawn_volumes = [hypervolume((drawn - random) / room, outcomes, reference) for drawn in thinned]
    return reflected(volume, np.array(drawn_volumes))


MOST_ON_FRONT, MOST_OF_CANDIDATE = 40, 6
"""The most kept points: of the front, and of each candidate's own front."""
MOST_OF_CANDIDATES = 60
"""Kept points of all candidates' own fronts together, about; at least 2 each."""


def unequal(values: Sequence[Floats]) -> Mask:
    """(C, K), which settings of a candidate are the first with their outcomes.

    Weights that give the same order in every replicate (n, K, M) count once, and undefined ones not
    at all.
    """
    distinct = np.zeros((len(values), values[0].shape[1]), dtype=bool)
    for candidate, outcomes in enumerate(values):
        by_setting = np.moveaxis(outcomes, 1, 0).reshape(outcomes.shape[1], -1)
        defined = np.flatnonzero(np.isfinite(by_setting).all(axis=1))
        _, first = np.unique(by_setting[defined], axis=0, return_index=True)
        distinct[candidate, defined[first]] = True
    return distinct


def on_front(means: Floats, valid: Mask, outcomes: Sequence[Objective]) -> Mask:
    """(C, K), which of the valid serving points with means (C, K, M) no other dominates."""
    mask = np.zeros(valid.shape, dtype=bool)
    mask[valid] = nondominated(means[valid], outcomes)
    return mask


def kept(
    means: Floats,
    valid: Mask,
    outcomes: Sequence[Objective],
    current: Place,
    always: Iterable[Place] = (),
) -> list[Place]:
    """The places of the kept points, in order; the current one is among them.

    Args:
        means: (C, K, M).
        valid: (C, K).
        current: of each candidate the points that have as much of an outcome as the current one are
            kept, too.
        always: places that are kept in any case.
    """
    places = np.argwhere(valid)
    values = means[valid]
    front = np.flatnonzero(nondominated(values, outcomes))
    reach = np.ptp(values[front], axis=0)
    scaled = values / np.where(reach > 0, reach, 1.0)
    chosen = set(front[spread(scaled[front], MOST_ON_FRONT)].tolist())
    most_of_candidate = max(2, min(MOST_OF_CANDIDATE, MOST_OF_CANDIDATES // len(means)))
    for candidate in range(len(means)):
        rows = np.flatnonzero(places[:, 0] == candidate)
        if len(rows):
            own_front = rows[nondominated(values[rows], outcomes)]
            chosen.update(own_front[spread(scaled[own_front], most_of_candidate)].tolist())
            chosen.update(own_front[_neighbours(values[own_front], means[current])].tolist())
    chosen_places = {Place(*place) for place in places[list(chosen)].tolist()}
    return sorted(chosen_places | {current, *always})


def spread(values: Floats, limit: int) -> list[int]:
    """At most `limit` rows of values (N, M): the best in each column, then each the farthest from
    the others.
    """
    if len(values) <= limit:
        return list(range(len(values)))
    best_of_columns = dict.fromkeys(values.argmax(axis=0).tolist())
    chosen = list(best_of_columns)[:limit]
    nearest = np.min([_squared_distances(values, row) for row in chosen], axis=0)
    while len(chosen) < limit:
        farthest = int(nearest.argmax())
        chosen.append(farthest)
        nearest = np.minimum(nearest, _squared_distances(values, farthest))
    return sorted(chosen)


def _squared_distances(values: Floats, row: int) -> Floats:
    return np.asarray(((values - values[row]) ** 2).sum(axis=1))


def _neighbours(values: Floats, levels: Floats) -> list[int]:
    """In each outcome the rows of the values (N, M) that are nearest to a level (M,), on either
    side.
    """
    neighbours: set[int] = set()
    for differences in (values - levels).T:
        for side in (differences >= 0, differences < 0):
            if side.any():
                rows = np.flatnonzero(side)
                nearest = np.abs(differences[rows]).argmin()
                neighbours.add(int(rows[nearest]))
    return sorted(neighbours)
