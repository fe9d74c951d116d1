"""Outcomes over all rows as one ranking, exact under ties; sorted no deeper than the cuts need."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.outcomes.drawn import PIECE, Drawn
from bench.outcomes.poisson import Counts
from bench.outcomes.tops import AREA, NDCG, SHARE, Floats, Wanted, discounts, top, won

Ints = NDArray[np.int64]
_SLACK = 6.0  # standard deviations of the rows on a resample by which a cut may lie deeper than on the rows as they are


class Whole:
    """Prepared rows, all with the same tasks observed.

    Args:
        gains: (C, N), at least 0, none NaN.
        wanted: outcomes, each of one column of gains.
    """

    def __init__(self, gains: NDArray[np.float32], wanted: Sequence[Wanted]) -> None:
        self._gains, self._rows = gains, gains.shape[1]
        self._columns = np.array([each.column for each in wanted], np.int64)
        self._kinds = np.array([each.kind for each in wanted], np.int64)
        self._percent = np.array([each.percent for each in wanted], bool)
        self._wanted = np.array([each.cut for each in wanted], float)
        self._cuts = np.minimum(self._cuts_of(np.array([self._rows]))[:, 0], self._rows)
        self._discounts = discounts(int(max(self._cuts[self._kinds == NDCG], default=0)))
        ordered = bool((self._kinds >= AREA).any())
        self._depth = self._rows if ordered else int(np.ceil(max(self._cuts, default=0)))
        self._best = self._ideal()
        self._drawn: Drawn | None = None

    def _cuts_of(self, rows: NDArray[np.int64]) -> Floats:
        """(M, R): cuts in rows, of so many rows (R,)."""
        return np.where(self._percent[:, None], self._wanted[:, None] / 100 * rows, self._wanted[:, None])

    def _ideal(self) -> Floats:
        """(M,) what the walks are divided by; NaN where the outcome is not defined."""
        found = np.full(len(self._kinds), np.nan)
        for m, (kind, column) in enumerate(zip(self._kinds, self._columns, strict=True)):
            own = self._gains[column].astype(float)
            positives, total = np.count_nonzero(own), own.sum()
            if kind == NDCG and positives and own.min() < own.max():
                best = -np.sort(-own)[: int(self._cuts[m])]
                found[m] = best @ np.diff(self._discounts[: len(best) + 1])
            elif kind == SHARE and positives:
                found[m] = total
            elif kind >= AREA and 0 < positives < len(own):
                found[m] = 2.0 * positives * (len(own) - positives)
        return found

    def draw(self, drawn: Drawn, rows: Ints) -> None:
        """Sets the resamples, and which of their rows these rows are (N,)."""
        self._drawn, self._place = drawn, rows
        self._spread = drawn.spread(rows)
        totals = drawn.sums(rows, np.ones((self._rows, 1)))[:, 0]
        self._drawn_cuts = self._cuts_of(np.rint(totals).astype(np.int64))
        self._drawn_discounts = discounts(int(max(self._wanted[self._kinds == NDCG], default=0)))
        self._drawn_best = np.full((len(self._kinds), drawn.resamples), np.nan)
        for m, (kind, column) in enumerate(zip(self._kinds, self._columns, strict=True)):
            own = self._gains[column].astype(float)
            seen = np.stack([own, own > 0], axis=1)
            total, positives = drawn.sums(rows, seen).T
            if kind == NDCG:
                defined = _varies(own, drawn, rows)
                best = self._walked(own, slice(m, m + 1))[0]
            elif kind == SHARE:
                defined, best = positives > 0, total
            else:
                negatives = totals - positives
                defined, best = (positives > 0) & (negatives > 0), 2 * positives * negatives
            self._drawn_best[m, defined] = best[defined]

    def values(self, scores: Floats) -> Floats:
        """(M,) of scores (N,)."""
        places = _best(scores, self._depth)
        ranked = scores[places]
        walked = np.empty(len(self._kinds))
        for m, kind in enumerate(self._kinds):
            own = self._gains[self._columns[m]]
            if kind <= SHARE:
                walked[m] = top(ranked, places, len(places), own, kind, self._cuts[m], self._discounts)
            else:
                walked[m] = won(ranked, places, len(places), own)
        return walked / self._best

    def resampled(self, scores: Floats) -> Floats:
        """(1 + B, M): values, and those on each resample."""
        drawn = self._walked(scores, slice(None)) / self._drawn_best
        return np.concatenate([self.values(scores)[None], drawn.T])

    def _walked(self, scores: Floats, wanted: slice) -> Floats:
        """(M, B): the walks on each resample of the wanted outcomes."""
        assert self._drawn is not None
        kinds, columns, cuts = self._kinds[wanted], self._columns[wanted], self._drawn_cuts[wanted]
        ordered = bool((kinds >= AREA).any())
        deepest = float(np.minimum(cuts, self._rows).max(initial=0))
        deep = self._rows if ordered else int(deepest + _SLACK * np.sqrt(self._spread * deepest) + 16)
        resamples, by_rank = self._drawn.resamples, self._drawn_discounts
        while True:
            places = _best(scores, deep)
            found, before = np.zeros(cuts.shape), np.zeros(resamples)
            # of the run of equal scores at hand: rows, gains, and whether there are any
            rows, gained, some = np.zeros(resamples), np.zeros(cuts.shape), np.zeros(len(kinds), bool)
            above = np.zeros(cuts.shape)  # positives before the run
            for start in range(0, len(places), PIECE):
                piece = places[start : start + PIECE + 1]  # the one more tells whether the last run goes on
                weights = self._drawn.of(self._place[piece[:PIECE]])
                rows_of = (scores[piece], piece, weights, self._gains)
                _walk(*rows_of, columns, kinds, cuts, by_rank, before, rows, gained, some, above, found)
                if not ordered and (before >= cuts).all():
                    return found
            if len(places) == self._rows:
                return found
            deep = 2 * len(places)


def _best(scores: Floats, many: int) -> Ints:
    """Rows of the best scores in descending order: `many`, and all whose score equals the last one's."""
    if many < len(scores):
        bar = np.partition(scores, len(scores) - many)[len(scores) - many] if many else np.inf
        rows = np.flatnonzero(scores >= bar)
        return rows[np.argsort(-scores[rows])]
    return np.argsort(-scores)


def _varies(gains: Floats, drawn: Drawn, rows: Ints) -> NDArray[np.bool_]:
    """(B,): whether a resample has two different gains."""
    least, most = np.full(drawn.resamples, np.inf), np.full(drawn.resamples, -np.inf)
    for start in range(0, len(rows), PIECE):
        there = drawn.of(rows[start : start + PIECE]) > 0
        own = gains[start : start + PIECE, None]
        least = np.minimum(least, np.where(there, own, np.inf).min(0))
        most = np.maximum(most, np.where(there, own, -np.inf).max(0))
    return most > least


@njit(cache=True, nogil=True)
def _walk(
    ranked: Floats,
    places: Ints,
    weights: Counts,
    gains: NDArray[np.float32],
    columns: Ints,
    kinds: Ints,
    cuts: Floats,
    discounts: Floats,
    before: Floats,
    rows: Floats,
    gained: Floats,
    some: NDArray[np.bool_],
    above: Floats,
    found: Floats,
) -> None:
    """Walks on over weighted rows, for all resamples at once; `ranked` may have one row more, to look ahead."""
    resamples = weights.shape[1]
    for at in range(len(weights)):
        for b in range(resamples):
            rows[b] += weights[at, b]
        for m in range(len(kinds)):
            own = np.float64(gains[columns[m], places[at]])
            gain = np.float64(own > 0) if kinds[m] > SHARE else own
            if gain > 0:
                some[m] = True
                for b in range(resamples):
                    gained[m, b] += weights[at, b] * gain
        if at + 1 < len(ranked) and ranked[at + 1] == ranked[at]:
            continue
        for m in range(len(kinds)):
            if kinds[m] > SHARE:
                for b in range(resamples):
                    found[m, b] += (rows[b] - gained[m, b]) * (2 * above[m, b] + gained[m, b])
                    above[m, b] += gained[m, b]
            elif some[m]:
                for b in range(resamples):
                    if gained[m, b] > 0:
                        first = min(before[b], cuts[m, b])
                        last = min(before[b] + rows[b], cuts[m, b])
                        taken = discounts[int(last)] - discounts[int(first)] if kinds[m] == NDCG else last - first
                        found[m, b] += gained[m, b] / rows[b] * taken
            if some[m]:
                some[m] = False
                for b in range(resamples):
                    gained[m, b] = 0.0
        for b in range(resamples):
            before[b] += rows[b]
            rows[b] = 0.0
