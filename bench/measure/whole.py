"""Outcomes of all rows as one ranking, sorted no deeper than the cuts need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.intrinsics import jit
from bench.measure.lists import AREA, NDCG, SHARE, Floats, Wanted
from bench.measure.lists.area import won
from bench.measure.lists.gains import discounts, top
from bench.measure.resamples import PIECE, Drawn

Ints = NDArray[np.int64]
_SLACK = 6.0  # standard deviations of the rows on a resample by which a cut may lie deeper than on the rows as they are


class Whole:
    """Prepared rows, all with the same tasks observed.

    Args:
        gains: (C, N), at least 0, none NaN.
        wanted: outcomes, each of one column of gains.
        weights: (N,), as many rows each row stands for; only with shares in per cent and areas. None for one each.
    """

    def __init__(self, gains: NDArray[np.float32], wanted: Sequence[Wanted], weights: Floats | None = None) -> None:
        self._gains, self._rows = gains, gains.shape[1]
        self._of_rows = np.empty(0) if weights is None else weights
        self._mass = float(self._rows if weights is None else weights.sum())
        self._columns = np.array([each.column for each in wanted], np.int64)
        self._kinds = np.array([each.kind for each in wanted], np.int64)
        self._percent = np.array([each.percent for each in wanted], bool)
        self._wanted = np.array([each.cut for each in wanted], float)
        self._cuts = np.minimum(self._cuts_of(np.array([self._mass]))[:, 0], self._mass)
        self._discounts = discounts(int(max(self._cuts[self._kinds == NDCG], default=0)))
        self._ordered = weights is not None or bool((self._kinds >= AREA).any())
        self._depth = self._rows if self._ordered else int(np.ceil(max(self._cuts, default=0)))
        self._best = self._ideal()
        self._drawn: Drawn | None = None

    def _cuts_of(self, rows: Floats) -> Floats:
        """(M, R): cuts in rows, for numbers of rows (R,)."""
        return np.where(self._percent[:, None], self._wanted[:, None] / 100 * rows, self._wanted[:, None])

    def _ideal(self) -> Floats:
        """(M,) what the walks are divided by; NaN where the outcome is not defined."""
        found = np.full(len(self._kinds), np.nan)
        for m, (kind, column) in enumerate(zip(self._kinds, self._columns, strict=True)):
            own = self._gains[column].astype(float)
            once = self._of_rows if len(self._of_rows) else np.ones(len(own))
            positives, total = float(once[own > 0].sum()), float(own @ once)
            if kind == NDCG and positives and own.min() < own.max():
                best = -np.sort(-own)[: int(self._cuts[m])]
                found[m] = best @ np.diff(self._discounts[: len(best) + 1])
            elif kind == SHARE and positives:
                found[m] = total
            elif kind >= AREA and 0 < positives < self._mass:
                found[m] = 2.0 * positives * (self._mass - positives)
        return found

    def draw(self, drawn: Drawn, rows: Ints) -> None:
        """Sets the resamples, and which of their rows these rows are (N,)."""
        self._drawn, self._place = drawn, rows
        self._spread = drawn.spread(rows)
        areas = self._kinds >= AREA
        own = self._gains[self._columns].astype(float)
        own[areas] = own[areas] > 0
        columns = np.concatenate([np.ones((1, self._rows)), own])
        totals, *sums = drawn.sums(rows, (columns * self._of_rows if len(self._of_rows) else columns).T).T
        self._drawn_cuts = self._cuts_of(totals)
        self._drawn_discounts = discounts(int(max(self._wanted[self._kinds == NDCG], default=0)))
        self._drawn_best = np.full((len(self._kinds), drawn.resamples), np.nan)
        for m, (kind, total) in enumerate(zip(self._kinds, sums, strict=True)):
            if kind == NDCG:
                defined = _varies(own[m], drawn, rows)
                best = self._walked(own[m], slice(m, m + 1))[0]
            elif kind == SHARE:
                defined, best = total > 0, total
            else:
                defined, best = (total > 0) & (total < totals), 2 * total * (totals - total)
            self._drawn_best[m, defined] = best[defined]

    def values(self, scores: Floats) -> Floats:
        """(M,) of scores (N,)."""
        places = _best(scores, self._depth)
        ranked = scores[places]
        walked = np.empty(len(self._kinds))
        for m, kind in enumerate(self._kinds):
            own = self._gains[self._columns[m]]
            rows = ranked, places, len(places), own
            if kind <= SHARE:
                walked[m] = top(*rows, kind, self._cuts[m], self._discounts, self._of_rows)
            else:
                walked[m] = won(*rows, self._of_rows)
        return walked / self._best

    def resampled(self, scores: Floats) -> Floats:
        """(1 + B, M): values, and those on each resample."""
        drawn = self._walked(scores, slice(None)) / self._drawn_best
        return np.concatenate([self.values(scores)[None], drawn.T])

    def _walked(self, scores: Floats, wanted: slice) -> Floats:
        """(M, B): the walks on each resample of the wanted outcomes."""
        assert self._drawn is not None
        kinds, columns, cuts = self._kinds[wanted], self._columns[wanted], self._drawn_cuts[wanted]
        deepest = float(np.minimum(cuts, self._rows).max(initial=0))
        deep = self._rows if self._ordered else int(deepest + _SLACK * np.sqrt(self._spread * deepest) + 16)
        while True:
            places, walk = _best(scores, deep), Walk(kinds, columns, cuts, self._drawn_discounts)
            for start in range(0, len(places), PIECE):
                piece = places[start : start + PIECE + 1]
                weights: NDArray[Any] = self._drawn.of(self._place[piece[:PIECE]])
                if len(self._of_rows):
                    weights = weights * self._of_rows[piece[:PIECE], None]
                walk.on(scores[piece], piece, weights, self._gains)
                if not self._ordered and (walk.before >= cuts).all():
                    return walk.found
            if len(places) == self._rows:
                return walk.found
            deep = 2 * len(places)


class Walk:
    """A walk down all rows by descending score, piece by piece, for R resamples at once.

    Args:
        kinds, columns: (M,), as of `Wanted`.
        cuts: (M, R), in rows.
        discounts: see `bench.measure.lists.gains.discounts`.

    Attributes:
        before: (R,) rows so far, without those of a run of equal scores that may go on.
        found: (M, R), the worth of these rows.
    """

    def __init__(self, kinds: Ints, columns: Ints, cuts: Floats, discounts: Floats) -> None:
        self._rules = columns, kinds, cuts, discounts
        self.before, self.found = np.zeros(cuts.shape[1]), np.zeros(cuts.shape)
        # of the run of equal scores at hand: rows, gains, whether it goes on, and the positives before it
        self._run = np.zeros(cuts.shape[1]), np.zeros(cuts.shape), np.zeros(1, bool), np.zeros(cuts.shape)

    def on(self, ranked: Floats, places: Ints, weights: NDArray[Any], gains: NDArray[np.float32]) -> None:
        """Goes on over rows.

        Args:
            ranked: scores of the next rows (n,), and of the one after these unless they are the last.
            places: of the same rows in the gains.
            weights: (n, R), how often each row is there.
            gains: (C, N).
        """
        _walk(ranked, places, weights, gains, *self._rules, self.before, *self._run, self.found)


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


@jit()
def _walk(
    ranked: Floats,
    places: Ints,
    weights: NDArray[Any],
    gains: NDArray[np.float32],
    columns: Ints,
    kinds: Ints,
    cuts: Floats,
    discounts: Floats,
    before: Floats,
    rows: Floats,
    gained: Floats,
    tied: NDArray[np.bool_],
    above: Floats,
    found: Floats,
) -> None:
    resamples = weights.shape[1]
    for at in range(len(weights)):
        count = weights[at]
        last = at + 1 == len(ranked) or ranked[at + 1] != ranked[at]
        if last and not tied[0]:  # most rows are alone: a run of their own
            for m in range(len(kinds)):
                gain = np.float64(gains[columns[m], places[at]])
                if kinds[m] > SHARE:
                    _pass(bool(gain > 0), count, above[m], found[m])
                elif gain > 0:
                    _take(gain, kinds[m] == NDCG, count, before, cuts[m], discounts, found[m])
            for b in range(resamples):
                before[b] += count[b]
            continue
        tied[0] = not last
        for b in range(resamples):
            rows[b] += count[b]
        for m in range(len(kinds)):
            own = np.float64(gains[columns[m], places[at]])
            gain = np.float64(own > 0) if kinds[m] > SHARE else own
            if gain > 0:
                for b in range(resamples):
                    gained[m, b] += count[b] * gain
        if not last:
            continue
        for m in range(len(kinds)):
            for b in range(resamples):
                if kinds[m] > SHARE:
                    found[m, b] += (rows[b] - gained[m, b]) * (2 * above[m, b] + gained[m, b])
                    above[m, b] += gained[m, b]
                elif gained[m, b] > 0:
                    start, end = min(before[b], cuts[m, b]), min(before[b] + rows[b], cuts[m, b])
                    taken = discounts[int(end)] - discounts[int(start)] if kinds[m] == NDCG else end - start
                    found[m, b] += gained[m, b] / rows[b] * taken
                gained[m, b] = 0.0
        for b in range(resamples):
            before[b] += rows[b]
            rows[b] = 0.0


@jit()
def _pass(positive: bool, count: NDArray[Any], above: Floats, found: Floats) -> None:
    """Adds to twice the pairs won (B,), and to the positives above (B,), what a row that is alone brings."""
    if positive:
        for b in range(len(count)):
            above[b] += count[b]
    else:
        for b in range(len(count)):
            found[b] += 2.0 * above[b] * count[b]


@jit()
def _take(
    gain: float,
    discounted: bool,
    count: NDArray[Any],
    before: Floats,
    cut: Floats,
    discounts: Floats,
    found: Floats,
) -> None:
    """Adds to what is in the cut (B,) the gain of a row that is alone, as often as it is drawn."""
    if discounted:
        for b in range(len(count)):
            if count[b] and before[b] < cut[b]:
                end = min(before[b] + count[b], cut[b])
                found[b] += gain * (discounts[int(end)] - discounts[int(before[b])])
    else:
        for b in range(len(count)):
            found[b] += gain * (min(before[b] + count[b], cut[b]) - min(before[b], cut[b]))
