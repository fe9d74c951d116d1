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

import moocore
import numpy as np
from numpy.typing import NDArray

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
        # Sorted first, so that nothing below depends on the order of the rows. Descending; copies
        # in their own order.
        down = (
            np.lexsort((*(-self._values).T[::-1], rank))
            if len(values)
            else np.empty(0, dtype=np.int64)
        )
        self._ends = np.bincount(rank, minlength=last + 1).cumsum()[:last]
        self.measured = int(self._ends[-1]) if last else 0
        self._order = np.concatenate(
            [down[: self.measured], np.sort(down[self.measured :])]
        ).astype(np.int64)
        self._rank, self._settled = rank, np.zeros(last, dtype=bool)

    def at(self, places: Ints) -> Ints:
        """Rows at positions, counted from the best at 0."""
        inside = places[places < self.measured]
        for rank in np.unique(np.searchsorted(self._ends, inside, side="right")):
            self._settle(int(rank))
        return self._order[places]

    def first(self, named: NDArray[np.bool_]) -> tuple[int, int] | None:
        """Position and row of the best row in a mask (N,); None if it has no finite one."""
        rank = int(self._rank[named].min(initial=len(self._settled)))
        if rank == len(self._settled):
            return None
        at = self._settle(rank)
        place = at.start + int(np.argmax(named[self._order[at]]))
        return place, int(self._order[place])

    def _settle(self, rank: int) -> slice:
        at = slice(int(self._ends[rank - 1]) if rank else 0, int(self._ends[rank]))
        if not self._settled[rank]:
            members = self._order[at]
            points = self._values[members]
            copy = np.zeros(len(points), dtype=bool)
            copy[1:] = (points[1:] == points[:-1]).all(axis=1)
            merit = merits(points[~copy], self._worst)[np.cumsum(~copy) - 1]
            self._order[at] = members[np.lexsort((-merit, copy))]
            self._settled[rank] = True
        return at


def best_first(
    values: Floats, objectives: Sequence[Objective], reference: Mapping[str, float]
) -> Ints:
    """All rows of `values` (N, M) in their `Order`: (N,)."""
    return Order(values, objectives, reference).at(np.arange(len(values)))


def merits(points: Floats, reference: Floats) -> Floats:
    """Hypervolume contribution of each point of a front (Beume, Naujoks, Emmerich, EJOR 2007):
    (N,).

    The points (N, M) do not dominate each other; larger is better, also in the reference (M,) and
    the result. A point that does not beat the reference in every objective, as most at low rungs,
    has none: these follow the others, in the order of `epsilon_net`. In four or more objectives
    only the first `COMPARED` of `epsilon_net` that beat the reference are compared, among
    themselves.
    """
    if (
        points.shape[1] == 1
    ):  # moocore needs two objectives; with one there is one non-dominated point
        return np.ones(len(points))
    compared = np.arange(len(points))
    if (
        points.shape[1] > 3
        and (inside := np.flatnonzero((points > reference).all(axis=1))).size > COMPARED
    ):
        compared = inside[np.argsort(-epsilon_net(points[inside]), kind="stable")[:COMPARED]]
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
    left = distance >= 0
    merit[left] = -NET - 1 + distance[left] / max(1.0, distance.max())
    return merit


SLOPES = (0.02, 5.0)
"""Bounds of a step's slope, above 0 to preserve the order."""
RECENT = 128
"""Number of last trials that took a step, from which its line is fitted."""
EQUAL = 1e-12
"""Values closer than this, relative to the largest, are ignored for a slope."""


@dataclass(frozen=True)
class Ahead:
    """Predicts values at full length from each rung, by objective: slope * value + offset; (rungs,
    M) each.
    """

    slopes: Floats
    offsets: Floats

    def at(self, rung: int | Ints, values: Floats) -> Floats:
        """Values (.., M) of a rung, or of one rung each, at full length."""
        return np.asarray(self.slopes[rung] * values + self.offsets[rung])


def to_full_length(results: Sequence[Sequence[Sequence[float]]], objectives: int) -> Ahead:
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
        both = np.isfinite(before).all(axis=1) & np.isfinite(after).all(axis=1)
        slope, offset = _step(before[both], after[both])
        slopes[rung], offsets[rung] = (
            slopes[rung + 1] * slope,
            slopes[rung + 1] * offset + offsets[rung + 1],
        )
    return Ahead(slopes, offsets)


def _step(before: Floats, after: Floats) -> tuple[Floats, Floats]:
    """Slope and offset of each objective, (M,) each, from the last `RECENT` trials."""
    before, after = before[-RECENT:], after[-RECENT:]
    count = len(before)
    if not count:
        return np.ones(before.shape[1]), np.zeros(before.shape[1])
    one, other = np.triu_indices(count, 1)
    run, rise = before[other] - before[one], after[other] - after[one]
    slope = np.ones(before.shape[1])
    for m in range(len(slope)):
        apart = np.abs(run[:, m]) > EQUAL * np.abs(before[:, m]).max()
        if apart.any():
            slope[m] += (np.median(rise[apart, m] / run[apart, m]) - 1.0) * (count / (count + 1))
    slope = np.clip(slope, *SLOPES)
    return slope, np.median(after - slope * before, axis=0)


def full_length(results: Sequence[Sequence[Sequence[float]]], objectives: int) -> Floats:
    """Predicted objectives of each trial at full length: (N, objectives).

    Uses a trial's last values and `to_full_length`. It keeps the order of trials at one rung, and
    neither punishes nor leaves out a trial that was not promoted.
    """
    last = np.array([len(rungs) - 1 for rungs in results], dtype=np.int64)
    values = _by_rung(results, objectives)
    return to_full_length(results, objectives).at(last, values[np.arange(len(results)), last])


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
    while step := _next(now, rules):
        yield step
        now = Standings(each.after(step) for each in now.every)


def _next(now: Standings, rules: Rules) -> RungStep | None:
    for rung in reversed(range(len(rules.rungs) - 1)):
        waits = now.waiting & (now.reached == rung + 1)
        if waits.any():
            values = now.values(rung)
            finite = measured(values)
            settled = (now.reached > rung) | (now.failed & (now.reached == rung))
            guests = sum(
                bool(settled[row]) for row, granted in now.granted.items() if rung in granted
            )
            places = rules.places(rung, int(settled.sum()) - guests)
            gone = finite & (now.begun > rung + 1)
            by_floor = [row for row, granted in now.granted.items() if rung + 1 in granted]
            free = gone.sum() - gone[by_floor].sum() < places
            enough = rules.places(rung, int(settled.sum())) > 0
            signed = values[finite] * np.array([objective.sign for objective in rules.objectives])
            at_best = (signed == signed.max(axis=0, initial=-np.inf)).all(axis=1)
            dominant = enough and int(at_best.sum()) == 1  # that one dominates all others
            unserved = _unserved(now, rules, rung, waits, settled)
            if not (free or dominant or unserved):
                continue  # no trial can continue in any order, and sorting takes the time
            order = Order(values, rules.objectives, rules.reference)
            best = order.first(waits)
            if best and best[0] < (places if free else 1 if dominant else 0):
                return RungStep(now.every[best[1]].number, rung + 1)
            named = np.zeros(len(now), dtype=bool)
            named[unserved] = True
            if best := order.first(named):
                return RungStep(now.every[best[1]].number, rung + 1, floor=True)
    return None


def _unserved(now: Standings, rules: Rules, rung: int, waits: Mask, settled: Mask) -> list[int]:
    """Rows of the first tries of those kinds for which the floor may promote one from a rung."""
    cost = rules.samples(rung + 1)
    taken = sum(rules.samples(each) for granted in now.granted.values() for each in granted)
    if taken + cost > rules.share * (now.samples(rules.rungs) + cost):
        return []
    undecided, served = (now.begun > rung) & ~settled, (now.begun > rung + 1) & ~now.failed
    unserved: list[int] = []
    for rows in now.kinds.values():
        tried = rows[: rules.tries]
        if len(tried) == rules.tries and not (undecided | served)[tried].any():
            unserved += [row for row in tried if waits[row]]
    return unserved
