"""Outcomes of all rows as one ranking, sorted no deeper than the cuts need."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats, Ints
from bench.core.system.intrinsics import jit
from bench.measure.lists import AREA, NDCG, PLACES, SHARE, WantedOutcome
from bench.measure.lists.area import won
from bench.measure.lists.gains import discounts, top
from bench.measure.lists.variety import variety
from bench.measure.resamples import PIECE, Once, Resamples

_SLACK = 6.0  # standard deviations of the rows on a resample by which a cut may lie deeper than on the rows as they are


class Whole:
    """Prepared rows, all with the same tasks observed.

    Args:
        gains: (C, N), at least 0, none NaN.
        wanted: outcomes, each of one column of gains.
        weights: (N,), as many rows each row stands for; only with shares in per cent and areas. None for one each.
    """

    def __init__(
        self, gains: NDArray[np.float32], wanted: Sequence[WantedOutcome], weights: Floats | None = None
    ) -> None:
        self._gains, self._weights, self._wanted = gains, weights, wanted
        self._columns = np.array([each.column for each in wanted], np.int64)
        self._kinds = np.array([each.kind for each in wanted], np.int64)
        self._ordered = weights is not None or bool((self._kinds >= AREA).any())
        self._once = self._prepared(Once(), np.arange(gains.shape[1]))

    def draw(self, drawn: Resamples, rows: Ints) -> None:
        """Sets the resamples, and which of their rows these rows are (N,)."""
        self._drawn = self._prepared(drawn, rows)

    def values(self, scores: Floats) -> Floats:
        """(M,) of scores (N,)."""
        cuts, norms, weights = self._once.cuts[:, 0], self._once.discounts, self._weights
        places = _best(scores, len(scores) if self._ordered else math.ceil(cuts.max(initial=0)))
        ranked, of_rows, values = scores[places], np.empty(0) if weights is None else weights, np.empty(len(cuts))
        for m, kind in enumerate(self._kinds):
            own = ranked, places, len(places), self._gains[self._columns[m]]
            values[m] = won(*own, of_rows) if kind >= AREA else top(*own, kind, cuts[m], norms, of_rows)
        return values / self._once.best[:, 0]

    def resampled(self, scores: Floats) -> Floats:
        """(1 + B, M): values, and those on each resample."""
        drawn = self._walked(scores, self._drawn, slice(None)) / self._drawn.best
        return np.concatenate([self.values(scores)[None], drawn.T])

    def _prepared(self, drawn: Resamples | Once, rows: Ints) -> _Prepared:
        ones = np.ones(len(rows)) if self._weights is None else self._weights
        own = (self._gains[column] > 0 if kind >= AREA else self._gains[column].astype(float)
               for kind, column in zip(self._kinds, self._columns, strict=True))  # fmt: skip
        totals, *sums = drawn.sums(rows, chain([ones], (ones * each for each in own))).T
        cuts = np.array([each.rows(totals) for each in self._wanted])
        norms = discounts(int(cuts[self._kinds == NDCG].max(initial=0)))
        prepared = _Prepared(drawn, rows, drawn.spread(rows), cuts, norms, np.full(cuts.shape, np.nan))
        for m, (kind, total) in enumerate(zip(self._kinds, sums, strict=True)):
            if kind == NDCG:
                gains = self._gains[self._columns[m]].astype(float)
                defined, best = _varies(gains, drawn, rows), self._walked(gains, prepared, slice(m, m + 1))[0]
            elif kind == SHARE:
                defined, best = total > 0, total
            elif kind == PLACES:
                defined, best = totals > 0, cuts[m]
            else:
                defined, best = (total > 0) & (total < totals), 2 * total * (totals - total)
            prepared.best[m, defined] = best[defined]
        return prepared

    def _walked(self, scores: Floats, of: _Prepared, wanted: slice) -> Floats:
        """(M, R): the walks of the wanted outcomes."""
        kinds, columns, cuts, rows = self._kinds[wanted], self._columns[wanted], of.cuts[wanted], len(of.rows)
        for places in _deeper(scores, rows if self._ordered else float(cuts.max(initial=0)), of.spread):
            walk = Walk(kinds, columns, cuts, of.discounts)
            for start in range(0, len(places), PIECE):
                piece = places[start : start + PIECE + 1]
                weights: NDArray[Any] = of.drawn.of(of.rows[piece[:PIECE]])
                if self._weights is not None:
                    weights = weights * self._weights[piece[:PIECE], None]
                walk.on(scores[piece], piece, weights, self._gains)
                if not self._ordered and (walk.before >= cuts).all():
                    return walk.found
        return walk.found


class _Prepared(NamedTuple):
    """What outcomes need on R resamples: cuts in rows, and what walks are divided by (M, R), NaN where undefined."""

    drawn: Resamples | Once
    rows: Ints
    spread: float
    cuts: Floats
    discounts: Floats
    best: Floats


class Varied:
    """Prepared rows, all with a value: of how many values the first rows of all are.

    Args:
        codes: (C, N), of values, from 0.
        wanted: outcomes, each of one column of codes.
    """

    def __init__(self, codes: NDArray[np.float32], wanted: Sequence[WantedOutcome]) -> None:
        self._codes, self._wanted = codes, wanted
        self._size = 1 + int(codes[[each.column for each in wanted]].max(initial=0))
        self._once = self._prepared(Once(), np.arange(codes.shape[1]))

    def draw(self, drawn: Resamples, rows: Ints) -> None:
        """Sets the resamples, and which of their rows these rows are (N,)."""
        self._drawn = self._prepared(drawn, rows)

    def values(self, scores: Floats) -> Floats:
        """(M,) of scores (N,)."""
        return self._walked(scores, *self._once)[0, :]

    def resampled(self, scores: Floats) -> Floats:
        """(1 + B, M): values, and those on each resample."""
        return np.concatenate([self.values(scores)[None], self._walked(scores, *self._drawn)])

    def _prepared(self, drawn: Resamples | Once, rows: Ints) -> tuple[Resamples | Once, Ints, Floats, float]:
        """Resamples, rows, cuts (R, M) in rows, and the variance of the number of rows."""
        totals = drawn.sums(rows, [np.ones(len(rows))])
        cuts = np.concatenate([each.rows(totals) for each in self._wanted], axis=1)
        return drawn, rows, cuts, drawn.spread(rows)

    def _walked(self, scores: Floats, drawn: Resamples | Once, rows: Ints, cuts: Floats, spread: float) -> Floats:
        """(R, M)."""
        for places in _deeper(scores, float(cuts.max(initial=0)), spread):
            counts = np.ascontiguousarray(drawn.of(rows[places]).T)
            if (counts.sum(axis=1) >= cuts.max(axis=1)).all():
                break
        values, scratch = np.full(cuts.shape, np.nan), np.zeros((3, self._size), np.int64)
        for m, each in enumerate(self._wanted):
            of = scores[places], places, len(places), self._codes[each.column]
            for b in np.flatnonzero(cuts[:, m]):
                values[b, m] = variety(*of, counts[b], cuts[b, m], scratch) / cuts[b, m]
        return values


class Walk:
    """A walk down all rows by descending score, piece by piece, for R resamples at once.

    Args:
        kinds, columns: (M,), as of `WantedOutcome`.
        cuts: (M, R), in rows.
        discounts: see `bench.measure.lists.gains.discounts`.

    Attributes:
        before: (R,) rows so far, without those of a run of equal scores that may go on.
        out: (M, R), the worth of these rows.
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


def _deeper(scores: Floats, cut: float, spread: float) -> Iterator[Ints]:
    """Rows of the best scores: at first as many as a cut may need on any resample, then more, at last all."""
    deep = math.ceil(cut + _SLACK * np.sqrt(spread * cut))
    while True:
        yield (places := _best(scores, deep))
        if len(places) == len(scores):
            return
        deep = 2 * len(places) + 16


def _best(scores: Floats, many: int) -> Ints:
    """Rows of the best scores in descending order: `many`, and all whose score equals the last one's."""
    if many < len(scores):
        bar = np.partition(scores, len(scores) - many)[len(scores) - many] if many else np.inf
        rows = np.flatnonzero(scores >= bar)
        return rows[np.argsort(-scores[rows])]
    return np.argsort(-scores)


def _varies(gains: Floats, drawn: Resamples | Once, rows: Ints) -> NDArray[np.bool_]:
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
    out: Floats,
) -> None:
    resamples = weights.shape[1]
    for at in range(len(weights)):
        count = weights[at]
        last = at + 1 == len(ranked) or ranked[at + 1] != ranked[at]
        if last and not tied[0]:  # most rows are alone: a run of their own
            for m in range(len(kinds)):
                gain = np.float64(gains[columns[m], places[at]])
                if kinds[m] > SHARE:
                    _pass(bool(gain > 0), count, above[m], out[m])
                elif gain > 0:
                    _take(gain, kinds[m] == NDCG, count, before, cuts[m], discounts, out[m])
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
                    out[m, b] += (rows[b] - gained[m, b]) * (2 * above[m, b] + gained[m, b])
                    above[m, b] += gained[m, b]
                elif gained[m, b] > 0:
                    start, end = min(before[b], cuts[m, b]), min(before[b] + rows[b], cuts[m, b])
                    taken = discounts[int(end)] - discounts[int(start)] if kinds[m] == NDCG else end - start
                    out[m, b] += gained[m, b] / rows[b] * taken
                gained[m, b] = 0.0
        for b in range(resamples):
            before[b] += rows[b]
            rows[b] = 0.0


@jit()
def _pass(positive: bool, count: NDArray[Any], above: Floats, out: Floats) -> None:
    """Adds to twice the pairs won (B,), and to the positives above (B,), what a row that is alone brings."""
    if positive:
        for b in range(len(count)):
            above[b] += count[b]
    else:
        for b in range(len(count)):
            out[b] += 2.0 * above[b] * count[b]


@jit()
def _take(
    gain: float, discounted: bool, count: NDArray[Any], before: Floats, cut: Floats, discounts: Floats, out: Floats
) -> None:
    """Adds to what is in the cut (B,) the gain of a row that is alone, as often as it is drawn."""
    if discounted:
        for b in range(len(count)):
            if count[b] and before[b] < cut[b]:
                end = min(before[b] + count[b], cut[b])
                out[b] += gain * (discounts[int(end)] - discounts[int(before[b])])
    else:
        for b in range(len(count)):
            out[b] += gain * (min(before[b] + count[b], cut[b]) - min(before[b], cut[b]))
