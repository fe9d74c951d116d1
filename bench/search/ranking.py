"""Trials from best to worst by several objectives: by non-dominated rank, and within a rank by a tie break.

The order is a function of the values: which trial came first decides only between trials of equal values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.frontier.dominance import UNRANKED, ranks
from bench.objectives import Objective
from bench.search.tie_breaks import Floats, TieBreak, hypervolume

__all__ = ["Floats", "Indices", "Order", "best_first"]

Indices = NDArray[np.int64]


class Order:
    """Rows of values (N, M) from best to worst, of which a rank is put in order only when somebody asks for it.

    By non-dominated rank, then by the tie break, then by the objectives in turn. Copies of a point add nothing to a
    set that has it: they come at the end of their rank, in the order of the rows. Rows that are not finite are last.
    With thousands of trials there are hundreds of ranks, and who decides seldom wants more than a few of them.

    Attributes:
        measured: how many rows are finite.
    """

    def __init__(
        self,
        values: Floats,
        objectives: Sequence[Objective],
        reference: Mapping[str, float],
        tie_break: TieBreak = hypervolume,
    ) -> None:
        signs = np.array([objective.sign for objective in objectives])
        self._values, self._tie_break = values * signs, tie_break
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
            merit = self._tie_break(points[~copy], self._worst)[np.cumsum(~copy) - 1]
            self._order[at] = members[np.lexsort((-merit, copy))]
            self._settled[rank] = True
        return at


def best_first(values: Floats, objectives: Sequence[Objective], reference: Mapping[str, float]) -> Indices:
    """All rows of `values` (N, M) in their `Order`: (N,)."""
    return Order(values, objectives, reference).at(np.arange(len(values)))
