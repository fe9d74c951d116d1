"""Outcomes over all rows as one ranking, where a row of weight w stands for w equal rows; exact under ties.

Shares of rows and areas under the curve alone: a place among the first k is one row's, whatever it weighs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.outcomes.bootstrap import PIECE, Drawn
from bench.outcomes.whole import AREA, Floats, Wanted

Ints = NDArray[np.int64]


class WeightedWhole:
    """Prepared rows, all with the same tasks observed; used as `bench.outcomes.whole.Whole` is.

    Args:
        gains: (C, N), at least 0, none NaN.
        wanted: outcomes, each of one column of gains: shares with a cut in per cent, and areas.
        weights: (N,).
    """

    def __init__(self, gains: NDArray[np.float32], wanted: Sequence[Wanted], weights: Floats) -> None:
        self._areas = np.array([each.kind >= AREA for each in wanted])
        self._cuts = np.array([each.cut / 100 for each in wanted])
        own = gains[[each.column for each in wanted]].astype(float)
        own[self._areas] = own[self._areas] > 0
        self._weights, self._gained = weights, own * weights
        self._drawn: Drawn | None = None
        self._totals = np.append(weights.sum(), self._gained.sum(1))[:, None]  # (1 + M, 1 + B)

    def draw(self, drawn: Drawn, rows: Ints) -> None:
        """Sets the resamples, and which of their rows these rows are (N,)."""
        self._drawn, self._place = drawn, rows
        columns = np.concatenate([self._weights[None], self._gained]).T
        self._totals = np.concatenate([self._totals, drawn.sums(rows, columns).T], axis=1)

    def values(self, scores: Floats) -> Floats:
        """(M,) of scores (N,)."""
        found: Floats = self._walked(scores, self._totals[:, :1])[0]
        return found

    def resampled(self, scores: Floats) -> Floats:
        """(1 + B, M): values, and those on each resample."""
        return self._walked(scores, self._totals)

    def _walked(self, scores: Floats, totals: Floats) -> Floats:
        order = np.argsort(-scores, kind="stable")
        ranked = scores[order]
        last = np.append(ranked[1:] != ranked[:-1], True)
        rows, gained = totals[0], totals[1:]
        cuts = self._cuts[:, None] * rows
        shape = (len(cuts), len(rows))
        found, above, tied, before, run = np.zeros(shape), np.zeros(shape), np.zeros(shape), *np.zeros((2, len(rows)))
        for start in range(0, len(order), PIECE):
            piece = order[start : start + PIECE]
            counts = np.ones((len(piece), len(rows)))
            if self._drawn is not None and len(rows) > 1:
                counts[:, 1:] = self._drawn.of(self._place[piece])
            own = (self._weights[piece], self._gained[:, piece], last[start : start + PIECE])
            _walk(counts, *own, self._areas, cuts, before, run, above, tied, found)
        best = np.where(self._areas[:, None], 2 * gained * (rows - gained), gained)
        with np.errstate(all="ignore"):
            return np.where(best > 0, found / best, np.nan).T


@njit(cache=True, nogil=True)
def _walk(
    counts: Floats,
    weights: Floats,
    gained: Floats,
    last: NDArray[np.bool_],
    areas: NDArray[np.bool_],
    cuts: Floats,
    before: Floats,
    run: Floats,
    above: Floats,
    tied: Floats,
    found: Floats,
) -> None:
    """Walks on down the ranking, for all resamples at once.

    Of the run of equal scores at hand `run` (B,) has the rows and `tied` (M, B) the gains; `before` and `above` have
    those of better scores.
    """
    for at in range(len(counts)):
        count = counts[at]
        run += weights[at] * count
        for m in range(len(areas)):
            if gained[m, at] > 0:
                tied[m] += gained[m, at] * count
        if not last[at]:
            continue
        for m in range(len(areas)):
            for b in range(len(run)):
                gain = tied[m, b]
                if areas[m]:
                    found[m, b] += (run[b] - gain) * (2 * above[m, b] + gain)
                    above[m, b] += gain
                elif gain > 0:
                    inside = min(before[b] + run[b], cuts[m, b]) - min(before[b], cuts[m, b])
                    found[m, b] += gain / run[b] * inside
                tied[m, b] = 0.0
        before += run
        run[:] = 0.0
