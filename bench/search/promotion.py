"""Ranks trials by several objectives, also across rungs, and promotes them. Plain values in, plain
values out.

The order depends on the values; which trial came first decides only between equal ones.

Promotion to the next rung is ASHA for several objectives. Li et al., MLSys 2020: of the n trials
with a result at a rung, the best floor(n / eta) may continue. A free slot takes such a trial from
the highest rung that has one, else a new configuration. Nothing waits for a rung to fill, and no
trial is discarded: it may continue when more results are in. Schmucker et al. 2021
(arXiv:2106.12639): with several objectives, the order is by non-dominated rank, and within a rank
by hypervolume contribution (`Order`). Three rules are ours:

* A rung lets at most floor(n / eta) trials continue; each may have its own eta, and with 1 all
  continue. The original promotes every trial among the best now, besides those promoted earlier;
  under a sampler that learns, these are many more.
* A trial that dominates all others at its rung, once there are eta of them, always continues.
* A floor. A kind of sharing whose models learn slowly would never reach full length. So the best of
  each kind's first `tries` trials is promoted, rung by rung to the top, whatever other kinds
  achieve. At the lowest rung the floor waits until all of these trials have a result or have
  failed; above, until those of them that were promoted have. If one of them was promoted by merit
  at a rung, the floor does nothing there; if it fails later, the next best is promoted. Promotions
  by the floor do not count towards the rung's quota, neither as places taken nor as results. The
  floor costs at most a `share` of all training samples at any time, so it cannot use up a short
  search. Without failures it ends at one trial of full length for each kind.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import moocore
import numpy as np

from bench.core.arrays import Floats, Ints, Mask
from bench.core.objectives import Objective
from bench.ledger.pareto import UNRANKED, measured, ranks
from bench.search.standing import RungStep, Standings

NET = 256
"""Points of a front that are ordered one by one to cover it; in a larger front most others are
close to these.
"""
COMPARED = 64
"""Points of a front in four or more objectives whose contributions are compared. Their time is
exponential in the number of objectives (five, 1,000 points: 8 s), and there nearly every trial is
on a front."""


class Ranked(NamedTuple):
    """A row of values and its position in an order, 0 being the best."""

    position: int
    row: int


class Order:
    """Rows of values (N, M) from best to worst; each rank is sorted lazily. `measured` counts the
    finite rows.

    Sorted by non-dominated rank, then by `merits`, then by the objectives in turn. Copies of a
    point come last in their rank, in the order of the rows, as they add nothing to a set. Rows that
    are not finite are last. With thousands of trials there are hundreds of ranks, of which most
    decisions need a few.
    """

    def __init__(
        self, values: Floats, objectives: Sequence[Objective], reference: Mapping[str, float]
    ) -> None:
        signs = np.array([objective.sign for objective in objectives])
        self._values = values * signs
        self._worst = np.array([reference[objective.name] for objective in objectives]) * signs
        rank = ranks(values, objectives)
        last = rank.max(initial=UNRANKED) + 1
        rank[rank == UNRANKED] = last
        self._rank = rank
        self._ends = np.bincount(rank, minlength=last + 1).cumsum()[:last]
        self._sorted = np.zeros(last, dtype=bool)
        self.measured = int(self._ends[-1]) if last else 0
        self._order = self._descending()

    def _descending(self) -> Ints:
        """Rows by rank, then by their values from the largest, so that nothing else depends on
        their order; copies and unranked rows stay in the order of the rows.
        """
        if not len(self._values):
            return np.empty(0, dtype=np.int64)
        order = np.lexsort((*(-self._values).T[::-1], self._rank))
        order[self.measured :].sort()
        return order

    def rows_at(self, positions: Ints) -> Ints:
        """Rows at positions, counted from the best at 0."""
        finite = positions[positions < self.measured]
        for rank in np.unique(np.searchsorted(self._ends, finite, side="right")):
            self._sort(int(rank))
        return self._order[positions]

    def best_of(self, mask: Mask) -> Ranked | None:
        """The best row in a mask (N,); None if it has no finite one."""
        rank = int(self._rank[mask].min(initial=len(self._sorted)))
        if rank == len(self._sorted):
            return None
        places = self._sort(rank)
        position = places.start + int(np.argmax(mask[self._order[places]]))
        return Ranked(position, int(self._order[position]))

    def _sort(self, rank: int) -> slice:
        """Sorts the rows of a rank; returns their positions."""
        places = slice(int(self._ends[rank - 1]) if rank else 0, int(self._ends[rank]))
        if not self._sorted[rank]:
            rows = self._order[places]
            points = self._values[rows]
            copy = np.zeros(len(points), dtype=bool)
            copy[1:] = (points[1:] == points[:-1]).all(axis=1)
            merit = merits(points[~copy], self._worst)[np.cumsum(~copy) - 1]
            self._order[places] = rows[np.lexsort((-merit, copy))]
            self._sorted[rank] = True
        return places


def best_first(
    values: Floats, objectives: Sequence[Objective], reference: Mapping[str, float]
) -> Ints:
    """All rows of `values` (N, M) in their `Order`: (N,)."""
    return Order(values, objectives, reference).rows_at(np.arange(len(values)))


def merits(points: Floats, reference: Floats) -> Floats:
    """Hypervolume contribution of each point of a front (Beume, Naujoks, Emmerich, EJOR 2007):
    (N,).

    The points (N, M) do not dominate each other; larger is better, also in the reference (M,) and
    the result. A point that does not beat the reference in every objective, as most at low rungs,
    has none: these follow the others, in the order of `epsilon_net`. In four or more objectives
    only the first `COMPARED` of `epsilon_net` that beat the reference are compared, among
    themselves.
    """
    objectives = points.shape[1]
    if objectives == 1:  # moocore needs two; with one there is one non-dominated point
        return np.ones(len(points))
    compared = np.arange(len(points))
    if objectives > 3:
        inside = np.flatnonzero((points > reference).all(axis=1))
        if inside.size > COMPARED:
            net = np.argsort(-epsilon_net(points[inside]), kind="stable")
            compared = inside[net[:COMPARED]]
    merit = np.zeros(len(points))
    merit[compared] = moocore.hv_contributions(points[compared], ref=reference, maximise=True)
    without = merit <= 0
    if without.any():
        merit[without] = epsilon_net(points[without]) - 1.0
    return merit


def epsilon_net(points: Floats) -> Floats:
    """Minus the position in a sequence that covers the front evenly (Schmucker et al. 2021,
    arXiv:2106.12639).

    The first is the point with the largest sum, then always the point farthest from those already
    taken. Objectives are scaled to the front's extent. After `NET` points the others follow by
    their distance from these.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    scaled = (points - low) / np.where(high > low, high - low, 1.0)
    merit = np.empty(len(points))
    taken = int(np.argmax(scaled.sum(axis=1)))
    distance = np.full(len(points), np.inf)
    for place in range(min(len(points), NET)):
        merit[taken] = -place
        distance = np.minimum(distance, np.linalg.norm(scaled - scaled[taken], axis=1))
        distance[taken] = -1.0
        taken = int(np.argmax(distance))
    after_net = distance >= 0
    merit[after_net] = -NET - 1 + distance[after_net] / max(1.0, distance.max())
    return merit


SLOPES = (0.02, 5.0)
"""Bounds of a step's slope, above 0 to preserve the order."""
RECENT = 128
"""Number of last trials that took a step, from which its line is fitted."""
EQUAL = 1e-12
"""Values closer than this, relative to the largest, are ignored for a slope."""


@dataclass(frozen=True)
class Extrapolation:
    """Predicts values at full length from each rung: slope * value + offset; (rungs, M) each."""

    slopes: Floats
    offsets: Floats

    def predict(self, rung: int | Ints, values: Floats) -> Floats:
        """Values (.., M) of a rung, or of one rung each, at full length."""
        return np.asarray(self.slopes[rung] * values + self.offsets[rung])


def to_full_length(results: Sequence[Sequence[Sequence[float]]], objectives: int) -> Extrapolation:
    """Fits how values at each rung develop to full length; `results` has a trial's objectives at
    each rung, one or more.

    Curves converge: differences at a low rung shrink. A step to the next rung is a line through the
    trials that took it, by medians (Theil 1950, Sen 1968): the median of the slopes between any
    two, then of the residuals. That these trials are the better ones does no harm: they were
    selected by the lower rung's value. The slope is shrunk towards 1, by as much as one more trial
    would; a step that no trial has taken is the identity.
    """
    values = _by_rung(results, objectives)
    slopes, offsets = np.ones(values.shape[1:]), np.zeros(values.shape[1:])
    for rung in range(len(slopes) - 2, -1, -1):
        before, after = values[:, rung], values[:, rung + 1]
        took_step = np.isfinite(before).all(axis=1) & np.isfinite(after).all(axis=1)
        slope, offset = _line(before[took_step], after[took_step])
        slopes[rung] = slopes[rung + 1] * slope
        offsets[rung] = slopes[rung + 1] * offset + offsets[rung + 1]
    return Extrapolation(slopes, offsets)


def _line(before: Floats, after: Floats) -> tuple[Floats, Floats]:
    """Slope and offset of each objective, (M,) each, from the last `RECENT` trials."""
    before, after = before[-RECENT:], after[-RECENT:]
    count, objectives = before.shape
    if not count:
        return np.ones(objectives), np.zeros(objectives)
    first, second = np.triu_indices(count, 1)
    run, rise = before[second] - before[first], after[second] - after[first]
    slope = np.ones(objectives)
    for m in range(objectives):
        distinct = np.abs(run[:, m]) > EQUAL * np.abs(before[:, m]).max()
        if distinct.any():
            median = np.median(rise[distinct, m] / run[distinct, m])
            slope[m] += (median - 1.0) * (count / (count + 1))
    slope = np.clip(slope, *SLOPES)
    return slope, np.median(after - slope * before, axis=0)


def full_length(results: Sequence[Sequence[Sequence[float]]], objectives: int) -> Floats:
    """Predicted objectives of each trial at full length: (N, objectives).

    Uses a trial's last values and `to_full_length`. It keeps the order of trials at one rung, and
    neither punishes nor leaves out a trial that was not promoted.
    """
    last_rung = np.array([len(rungs) - 1 for rungs in results], dtype=np.int64)
    last_values = _by_rung(results, objectives)[np.arange(len(results)), last_rung]
    return to_full_length(results, objectives).predict(last_rung, last_values)


def _by_rung(results: Sequence[Sequence[Sequence[float]]], objectives: int) -> Floats:
    values = np.full((len(results), max(map(len, results), default=1), objectives), np.nan)
    for trial, rungs in enumerate(results):
        values[trial, : len(rungs)] = rungs
    return values


def best_first_across_rungs(
    results: Sequence[Sequence[Sequence[float]]],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
) -> Ints:
    """All trials in the order of their predicted values at full length, those without a result
    last: (N,).
    """
    reached = np.array([bool(rungs) for rungs in results], dtype=bool)
    values = np.full((len(results), len(objectives)), np.nan)
    values[reached] = full_length([rungs for rungs in results if rungs], len(objectives))
    return best_first(values, objectives, reference)


@dataclass(frozen=True)
class Rules:
    """The rules of promotion, constant during a search.

    Attributes:
        rungs: training samples at each, rising.
        eta: reduction factors, at least 1: of each rung from the lowest, the last for all others.
        reference: of the hypervolume, by objective, fixed beforehand.
        tries: trials of each kind of sharing that the floor considers; 0 for no floor.
        share: of all training samples, the floor's limit, in [0, 1].
    """

    rungs: tuple[int, ...]
    eta: tuple[float, ...]
    objectives: tuple[Objective, ...]
    reference: Mapping[str, float]
    tries: int = 0
    share: float = 0.1

    def samples(self, rung: int) -> int:
        """Training samples from the rung below."""
        return self.rungs[rung] - (self.rungs[rung - 1] if rung else 0)

    def places(self, rung: int, settled: int) -> int:
        """Number of trials that may be promoted, of `settled` trials that are done with a rung."""
        return math.floor(settled / self.eta[min(rung, len(self.eta) - 1)])


def reduction_factors(objectives: int) -> tuple[float, ...]:
    """Default reduction factors, by rung from the lowest: the best in replays, see
    docs/studies/search.md.
    """
    return (6.0 if objectives < 3 else 4.0, 1.0)


def promotions(now: Standings, rules: Rules) -> Iterator[RungStep]:
    """Yields promotions as long as there are any, each after the ones before it; what follows is
    new configurations.

    The highest rung comes first; at a rung merit before the floor, and the better trial first.
    """
    step = _next(now, rules)
    while step:
        yield step
        now = Standings(standing.after(step) for standing in now.standings)
        step = _next(now, rules)


def _next(now: Standings, rules: Rules) -> RungStep | None:
    for rung in reversed(range(len(rules.rungs) - 1)):
        step = _promotion(now, rules, rung)
        if step:
            return step
    return None


def _promotion(now: Standings, rules: Rules, rung: int) -> RungStep | None:
    """The next promotion from a rung, by merit or by the floor."""
    waits = now.waiting & (now.reached == rung + 1)
    if not waits.any():
        return None
    values = now.values(rung)
    settled = (now.reached > rung) | (now.failed & (now.reached == rung))
    places = _places_by_merit(now, rules, rung, values, settled)
    unserved = _unserved(now, rules, rung, waits, settled)
    if not (places or unserved.any()):
        return None  # no trial can continue in any order, and sorting takes the time
    order = Order(values, rules.objectives, rules.reference)
    best = order.best_of(waits)
    if best and best.position < places:
        return RungStep(now.standings[best.row].number, rung + 1)
    served = order.best_of(unserved)
    if served:
        return RungStep(now.standings[served.row].number, rung + 1, floor=True)
    return None


def _places_by_merit(now: Standings, rules: Rules, rung: int, values: Floats, settled: Mask) -> int:
    """Number of the best trials at a rung of which one may continue; 0 if none may.

    Args:
        values: at the rung: (N, M).
        settled: trials that are done with the rung: (N,).
    """
    finite = measured(values)
    settled_by_merit = settled & ~now.promoted_by_floor(rung)
    places = rules.places(rung, int(settled_by_merit.sum()))
    promoted_by_merit = finite & (now.begun > rung + 1) & ~now.promoted_by_floor(rung + 1)
    if promoted_by_merit.sum() < places:
        return places
    if not rules.places(rung, int(settled.sum())):
        return 0
    signed = values[finite] * np.array([objective.sign for objective in rules.objectives])
    best_in_all = (signed == signed.max(axis=0, initial=-np.inf)).all(axis=1)
    dominates = best_in_all.sum() == 1  # of copies none dominates the others
    return int(dominates)


def _unserved(now: Standings, rules: Rules, rung: int, waits: Mask, settled: Mask) -> Mask:
    """First tries of those kinds for which the floor may promote one from a rung: (N,)."""
    unserved = np.zeros(len(now), dtype=bool)
    cost = rules.samples(rung + 1)
    spent = 0
    for granted in now.granted.values():
        spent += sum(map(rules.samples, granted))
    if spent + cost > rules.share * (now.samples(rules.rungs) + cost):
        return unserved
    undecided = (now.begun > rung) & ~settled
    served = (now.begun > rung + 1) & ~now.failed
    for rows in now.kinds.values():
        tries = rows[: rules.tries]
        if len(tries) == rules.tries and not (undecided | served)[tries].any():
            unserved[tries] = waits[tries]
    return unserved
