"""Ranks trials from best to worst by several objectives, also across different rungs.

The order is a function of the values: which trial came first decides only between trials of equal values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import moocore
import numpy as np
from numpy.typing import NDArray

from bench.frontier.pareto import UNRANKED, ranks
from bench.objectives import Objective

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

NET = 256
"""Points of a front that are ordered one after the other to cover it; in a larger front most lie beside each other."""
COMPARED = 64
"""Points of a front in four or more objectives whose contributions are compared. Contributions take time exponential in
the number of objectives (five, 1,000 points: 8 s), and there nearly every trial is on a front."""


class Order:
    """Rows of values (N, M) from best to worst. Rows of one rank are sorted lazily.

    By non-dominated rank, then by `merits`, then by the objectives in turn. Copies of a point add nothing to a
    set that has it: they come at the end of their rank, in the order of the rows. Rows that are not finite are last.
    With thousands of trials there are hundreds of ranks, and who decides seldom wants more than a few of them.

    Attributes:
        measured: how many rows are finite.
    """

    def __init__(self, values: Floats, objectives: Sequence[Objective], reference: Mapping[str, float]) -> None:
        signs = np.array([objective.sign for objective in objectives])
        self._values = values * signs
        self._worst = np.array([reference[objective.name] for objective in objectives]) * signs
        rank = ranks(values, objectives)
        last = rank.max(initial=UNRANKED) + 1
        rank[rank == UNRANKED] = last
        # Sorted first, so that nothing below can depend on the order of the rows. Downwards, copies in their own order.
        down = np.lexsort((*(-self._values).T[::-1], rank)) if len(values) else np.empty(0, dtype=np.int64)
        self._ends = np.bincount(rank, minlength=last + 1).cumsum()[:last]
        self.measured = int(self._ends[-1]) if last else 0
        self._order = np.concatenate([down[: self.measured], np.sort(down[self.measured :])]).astype(np.int64)
        self._rank, self._settled = rank, np.zeros(last, dtype=bool)

    def at(self, places: Indices) -> Indices:
        """The rows at places, which count from the best at 0."""
        inside = places[places < self.measured]
        for rank in np.unique(np.searchsorted(self._ends, inside, side="right")):
            self._settle(int(rank))
        return self._order[places]

    def first(self, named: NDArray[np.bool_]) -> tuple[int, int] | None:
        """The place and the row of the best that a mask (N,) names; None where it names no finite one."""
        rank = int(self._rank[named].min(initial=len(self._settled)))
        if rank == len(self._settled):
            return None
        at = self._settle(rank)
        place = at.start + int(np.argmax(named[self._order[at]]))
        return place, int(self._order[place])

    def _settle(self, rank: int) -> slice:
        """Puts a rank in order; its places."""
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


def best_first(values: Floats, objectives: Sequence[Objective], reference: Mapping[str, float]) -> Indices:
    """All rows of `values` (N, M) in their `Order`: (N,)."""
    return Order(values, objectives, reference).at(np.arange(len(values)))


def merits(points: Floats, reference: Floats) -> Floats:
    """What the front would lose of its hypervolume without each point (Beume, Naujoks, Emmerich, EJOR 2007): (N,).

    The points (N, M) do not dominate each other; larger is better, as in the reference (M,) and in what is returned.
    A point that does not beat the reference in every objective has none. At low rungs that is most of them: behind the
    others, they are taken as `epsilon_net` would. In four or more objectives only the first `COMPARED` that beat it, as
    `epsilon_net` takes them, have theirs compared, among themselves.
    """
    if points.shape[1] == 1:  # moocore wants two objectives; on a line there is one non-dominated point
        return np.ones(len(points))
    compared = np.arange(len(points))
    if points.shape[1] > 3 and (inside := np.flatnonzero((points > reference).all(axis=1))).size > COMPARED:
        compared = inside[np.argsort(-epsilon_net(points[inside]), kind="stable")[:COMPARED]]
    merit = np.zeros(len(points))
    merit[compared] = moocore.hv_contributions(points[compared], ref=reference, maximise=True)
    without = merit <= 0
    if without.any():
        merit[without] = epsilon_net(points[without]) - 1.0
    return merit


def epsilon_net(points: Floats) -> Floats:
    """Minus the place in a sequence that covers the front evenly (Schmucker et al. 2021, arXiv:2106.12639).

    The first is the point with the largest sum, then always the point farthest from those already taken. Objectives
    are scaled to the front's extent. After `NET` points the others come as far as they are from these.
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
"""Bounds of a step's slope, above 0 so that no order is lost."""
RECENT = 128
"""Trials that took a step, the last ones, from which the step's line is computed."""
EQUAL = 1e-12
"""Values no further apart say nothing about a slope."""


@dataclass(frozen=True)
class Ahead:
    """Predicts values at full length from each rung, by objective: slope * value + offset; (rungs, M) each."""

    slopes: Floats
    offsets: Floats

    def at(self, rung: int | Indices, values: Floats) -> Floats:
        """Values (.., M) of a rung, or of one rung each, at full length."""
        return np.asarray(self.slopes[rung] * values + self.offsets[rung])


def to_full_length(results: Sequence[Sequence[Sequence[float]]], objectives: int) -> Ahead:
    """What a value at each rung that a trial has reached is expected to become.

    Curves come together: what is far behind at a low rung is less so at full length. A step to the next rung is a
    straight line through those that took it, by medians (Theil 1950, Sen 1968): the median of the slopes between
    any two, and of what is left. That they are the better ones does no harm: they were chosen by the lower value. The
    slope is drawn towards 1, by as much as one more trial would; steps that no trial has taken change nothing.

    Args:
        results: for each trial its objectives at each rung that it reached, one rung at least.
    """
    values = _by_rung(results, objectives)
    slopes, offsets = np.ones(values.shape[1:]), np.zeros(values.shape[1:])
    for rung in range(len(slopes) - 2, -1, -1):
        before, after = values[:, rung], values[:, rung + 1]
        both = np.isfinite(before).all(axis=1) & np.isfinite(after).all(axis=1)
        slope, offset = _step(before[both], after[both])
        slopes[rung], offsets[rung] = slopes[rung + 1] * slope, slopes[rung + 1] * offset + offsets[rung + 1]
    return Ahead(slopes, offsets)


def _step(before: Floats, after: Floats) -> tuple[Floats, Floats]:
    """Slope and offset of each objective: (M,) each. Of many trials the last `RECENT` are looked at."""
    before, after = before[-RECENT:], after[-RECENT:]
    count = len(before)
    if not count:
        return np.ones(before.shape[1]), np.zeros(before.shape[1])
    one, other = np.triu_indices(count, 1)
    run, rise = before[other] - before[one], after[other] - after[one]
    slope = np.ones(before.shape[1])
    for m in range(len(slope)):
        apart = np.abs(run[:, m]) > EQUAL
        if apart.any():
            slope[m] += (np.median(rise[apart, m] / run[apart, m]) - 1.0) * (count / (count + 1))
    slope = np.clip(slope, *SLOPES)
    return slope, np.median(after - slope * before, axis=0)


def full_length(results: Sequence[Sequence[Sequence[float]]], objectives: int) -> Floats:
    """What each trial's objectives would be at full length, as far as that is known: (N, objectives).

    A trial's last values, moved as `to_full_length` says. The order of trials at one rung stays as it is; so a trial
    that was not let go on is neither punished for its rung nor left out.
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
    results: Sequence[Sequence[Sequence[float]]], objectives: Sequence[Objective], reference: Mapping[str, float]
) -> Indices:
    """All trials in the order of what they would be at full length, those without a result last: (N,)."""
    reached = np.array([bool(rungs) for rungs in results], dtype=bool)
    values = np.full((len(results), len(objectives)), np.nan)
    values[reached] = full_length([rungs for rungs in results if rungs], len(objectives))
    return best_first(values, objectives, reference)
