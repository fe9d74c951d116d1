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
from bench.measure.lists.area import won
from bench.measure.lists.base import (
    AREA,
    DISCOUNTED,
    Facts,
    GainSum,
    Walked,
    WantedOutcome,
    columns_of,
    forms_of,
    worths_of,
)
from bench.measure.lists.gains import top
from bench.measure.resamples import PIECE, Once, Resamples

# standard deviations of the rows on a resample by which a cut may lie deeper than on the rows as
# they are
_SLACK = 6.0


class Whole:
    """Prepared rows, all with the same tasks observed.

    Args:
        gains: (C, N), at least 0, none NaN.
        wanted: outcomes, each of one column of gains.
        weights: (N,), as many rows each row stands for; only with shares in per cent and areas.
            None for one each.
    """

    def __init__(
        self,
        gains: NDArray[np.float32],
        wanted: Sequence[WantedOutcome],
        weights: Floats | None = None,
    ) -> None:
        self._gains, self._weights, self._wanted = gains, weights, wanted
        self._columns, self._forms = columns_of(wanted), forms_of(wanted)
        self._ordered = weights is not None or bool((self._forms == AREA).any())
        self._once = self._prepared(Once(), np.arange(gains.shape[1]))

    def draw(self, drawn: Resamples, rows: Ints) -> None:
        """Sets the resamples, and which of their rows these rows are (N,)."""
        self._drawn = self._prepared(drawn, rows)

    def values(self, scores: Floats) -> Floats:
        """(M,) of scores (N,)."""
        cuts, worths, weights = self._once.cuts[:, 0], self._once.worths, self._weights
        places = _best(scores, len(scores) if self._ordered else math.ceil(cuts.max(initial=0)))
        ranked = scores[places]
        of_rows = np.empty(0) if weights is None else weights
        values = np.empty(len(cuts))
        for m, form in enumerate(self._forms):
            own = ranked, places, len(places), self._gains[self._columns[m]]
            if form == AREA:
                values[m] = won(*own, of_rows)
            else:
                values[m] = top(*own, form == DISCOUNTED, cuts[m], worths, m, of_rows)
        return values / self._once.best[:, 0]

    def resampled(self, scores: Floats) -> Floats:
        """(1 + B, M): values, and those on each resample."""
        drawn = self._walked(scores, self._drawn, slice(None)) / self._drawn.best
        return np.concatenate([self.values(scores)[None], drawn.T])

    def _prepared(self, drawn: Resamples | Once, rows: Ints) -> _Prepared:
        ones = np.ones(len(rows)) if self._weights is None else self._weights
        gains = (self._gains[column].astype(float) for column in self._columns)
        totals, *sums = drawn.sums(rows, chain([ones], (ones * column for column in gains))).T
        cuts = np.array([each.rows(totals) for each in self._wanted])
        worths = worths_of(self._wanted, cuts)
        prepared = _Prepared(
            drawn, rows, drawn.spread(rows), cuts, worths, np.full(cuts.shape, np.nan)
        )
        for m, outcome in enumerate(self._wanted):
            measure = outcome.measure
            if isinstance(measure, GainSum) and measure.divisor is None:
                own = self._gains[outcome.column].astype(float)
                best = self._walked(own, prepared, slice(m, m + 1))[0]
                defined = _varies(own, drawn, rows)
            else:
                assert measure.divisor is not None
                best = measure.divisor(Facts(totals, sums[m]), cuts[m])
                defined = best > 0
            prepared.best[m, defined] = best[defined]
        return prepared

    def _walked(self, scores: Floats, of: _Prepared, wanted: slice) -> Floats:
        """(M, R): the walks of the wanted outcomes."""
        cuts, rows = of.cuts[wanted], len(of.rows)
        for places in _deeper(
            scores, rows if self._ordered else float(cuts.max(initial=0)), of.spread
        ):
            walk = Walk(self._forms[wanted], self._columns[wanted], cuts, of.worths[wanted])
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
    """What outcomes need on R resamples: cuts in rows, and what walks are divided by (M, R), NaN
    where undefined.
    """

    drawn: Resamples | Once
    rows: Ints
    spread: float
    cuts: Floats
    worths: Floats
    best: Floats


class Rewalked:
    """Prepared rows, all with a value: outcomes of all of them that are walked on each resample in
    turn.

    Args:
        gains: (C, N), see `Gains`, none NaN.
        wanted: outcomes, each of one column of gains, whose measures have a `whole`.
    """

    def __init__(self, gains: NDArray[np.float32], wanted: Sequence[WantedOutcome]) -> None:
        self._gains, self._wanted = gains, wanted
        self._once = self._prepared(Once(), np.arange(gains.shape[1]))

    def draw(self, drawn: Resamples, rows: Ints) -> None:
        """Sets the resamples, and which of their rows these rows are (N,)."""
        self._drawn = self._prepared(drawn, rows)

    def values(self, scores: Floats) -> Floats:
        """(M,) of scores (N,)."""
        return self._walked(scores, *self._once)[0, :]

    def resampled(self, scores: Floats) -> Floats:
        """(1 + B, M): values, and those on each resample."""
        return np.concatenate([self.values(scores)[None], self._walked(scores, *self._drawn)])

    def _prepared(
        self, drawn: Resamples | Once, rows: Ints
    ) -> tuple[Resamples | Once, Ints, Floats, Floats, float]:
        """Resamples, rows, cuts (R, M) in rows, divisors (R, M), and the variance of the number of
        rows.
        """
        gains = (self._gains[outcome.column].astype(float) for outcome in self._wanted)
        totals, *sums = drawn.sums(rows, chain([np.ones(len(rows))], gains)).T
        cuts = np.stack([outcome.rows(totals) for outcome in self._wanted], axis=1)
        divisors = np.empty(cuts.shape)
        for m, outcome in enumerate(self._wanted):
            assert isinstance(outcome.measure, Walked)
            divisors[:, m] = outcome.measure.divisor(Facts(totals, sums[m]), cuts[:, m])
        return drawn, rows, cuts, divisors, drawn.spread(rows)

    def _walked(
        self,
        scores: Floats,
        drawn: Resamples | Once,
        rows: Ints,
        cuts: Floats,
        divisors: Floats,
        spread: float,
    ) -> Floats:
        """(R, M)."""
        for places in _deeper(scores, float(cuts.max(initial=0)), spread):
            counts = np.ascontiguousarray(drawn.of(rows[places]).T)
            if (counts.sum(axis=1) >= cuts.max(axis=1)).all():
                break
        walks = np.zeros(cuts.T.shape)
        for m, outcome in enumerate(self._wanted):
            assert isinstance(outcome.measure, Walked)
            assert outcome.measure.whole is not None
            own = scores[places], places, self._gains[outcome.column], counts
            outcome.measure.whole(*own, np.ascontiguousarray(cuts[:, m]), walks[m])
        return np.where(divisors > 0, walks.T / np.where(divisors > 0, divisors, 1), np.nan)


class Walk:
    """A walk down all rows by descending score, piece by piece, for R resamples at once.

    Args:
        forms, columns: (M,), as of `WantedOutcome`.
        cuts: (M, R), in rows.
        worths: see `worths_of`.

    Attributes:
        before: (R,) rows so far, without those of a run of equal scores that may go on.
        out: (M, R), the worth of these rows.
    """

    def __init__(self, forms: Ints, columns: Ints, cuts: Floats, worths: Floats) -> None:
        self._rules = columns, forms, cuts, worths
        self.before, self.found = np.zeros(cuts.shape[1]), np.zeros(cuts.shape)
        # of the run of equal scores at hand: rows, gains, whether it goes on, and the positives
        # before it
        self._run = (
            np.zeros(cuts.shape[1]),
            np.zeros(cuts.shape),
            np.zeros(1, bool),
            np.zeros(cuts.shape),
        )

    def on(
        self, ranked: Floats, places: Ints, weights: NDArray[Any], gains: NDArray[np.float32]
    ) -> None:
        """Goes on over rows.

        Args:
            ranked: scores of the next rows (n,), and of the one after these unless they are the
                last.
            places: of the same rows in the gains.
            weights: (n, R), how often each row is there.
            gains: (C, N).
        """
        _walk(ranked, places, weights, gains, *self._rules, self.before, *self._run, self.found)


def _deeper(scores: Floats, cut: float, spread: float) -> Iterator[Ints]:
    """Rows of the best scores: at first as many as a cut may need on any resample, then more, at
    last all.
    """
    deep = math.ceil(cut + _SLACK * np.sqrt(spread * cut))
    while True:
        yield (places := _best(scores, deep))
        if len(places) == len(scores):
            return
        deep = 2 * len(places) + 16


def _best(scores: Floats, many: int) -> Ints:
    """Rows of the best scores in descending order: `many`, and all whose score equals the last
    one's.
    """
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
    forms: Ints,
    cuts: Floats,
    worths: Floats,
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
            for m in range(len(forms)):
                gain = np.float64(gains[columns[m], places[at]])
                if forms[m] == AREA:
                    _pass(bool(gain > 0), count, above[m], out[m])
                elif gain > 0:
                    _take(gain, forms[m] == DISCOUNTED, count, before, cuts[m], worths[m], out[m])
            for b in range(resamples):
                before[b] += count[b]
            continue
        tied[0] = not last
        for b in range(resamples):
            rows[b] += count[b]
        for m in range(len(forms)):
            own = np.float64(gains[columns[m], places[at]])
            gain = np.float64(own > 0) if forms[m] == AREA else own
            if gain > 0:
                for b in range(resamples):
                    gained[m, b] += count[b] * gain
        if not last:
            continue
        for m in range(len(forms)):
            for b in range(resamples):
                if forms[m] == AREA:
                    out[m, b] += (rows[b] - gained[m, b]) * (2 * above[m, b] + gained[m, b])
                    above[m, b] += gained[m, b]
                elif gained[m, b] > 0:
                    start, end = min(before[b], cuts[m, b]), min(before[b] + rows[b], cuts[m, b])
                    discounted = forms[m] == DISCOUNTED
                    taken = (
                        worths[m, int(end)] - worths[m, int(start)] if discounted else end - start
                    )
                    out[m, b] += gained[m, b] / rows[b] * taken
                gained[m, b] = 0.0
        for b in range(resamples):
            before[b] += rows[b]
            rows[b] = 0.0


@jit()
def _pass(positive: bool, count: NDArray[Any], above: Floats, out: Floats) -> None:
    """Adds to twice the pairs won (B,), and to the positives above (B,), what a row that is alone
    brings.
    """
    if positive:
        for b in range(len(count)):
            above[b] += count[b]
    else:
        for b in range(len(count)):
            out[b] += 2.0 * above[b] * count[b]


@jit()
def _take(
    gain: float,
    discounted: bool,
    count: NDArray[Any],
    before: Floats,
    cut: Floats,
    worths: Floats,
    out: Floats,
) -> None:
    """Adds to what is in the cut (B,) the gain of a row that is alone, as often as it is drawn."""
    if discounted:
        for b in range(len(count)):
            if count[b] and before[b] < cut[b]:
                end = min(before[b] + count[b], cut[b])
                out[b] += gain * (worths[int(end)] - worths[int(before[b])])
    else:
        for b in range(len(count)):
            out[b] += gain * (min(before[b] + count[b], cut[b]) - min(before[b], cut[b]))
