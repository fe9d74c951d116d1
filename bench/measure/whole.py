"""Outcomes of all rows as one ranking, sorted no deeper than the cuts need."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats, Ints, Mask, Singles
from bench.core.system.intrinsics import jit
from bench.measure.lists.base import (
    AREA,
    DISCOUNTED,
    Facts,
    GainSum,
    Walked,
    WantedOutcome,
    columns_of,
    counted,
    forms_of,
    whole_parts_of,
    worths_of,
)
from bench.measure.lists.gains import pairs_won, top
from bench.measure.resamples import PIECE, Once, Resamples

# standard deviations of the rows on a resample by which a cut may lie deeper than on the rows as
# they are
_SLACK = 6.0


class _Prepared(NamedTuple):
    """What outcomes need on R resamples.

    Attributes:
        spread: see `Resamples`.
        cuts: (M, R), in rows.
        divisors: (M, R), of walks; NaN where an outcome is undefined.
    """

    drawn: Resamples | Once
    rows: Ints
    spread: float
    cuts: Floats
    worths: Floats
    divisors: Floats


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
        gains: Singles,
        wanted: Sequence[WantedOutcome],
        weights: Floats | None = None,
    ) -> None:
        self._gains = gains
        self._weights = weights
        self._wanted = wanted
        self._columns = columns_of(wanted)
        self._forms = forms_of(wanted)
        self._whole_parts = whole_parts_of(wanted)
        self._sorts_all = weights is not None or bool((self._forms == AREA).any())
        self._once = self._prepared(Once(), np.arange(gains.shape[1]))

    def draw(self, drawn: Resamples, rows: Ints) -> None:
        """Sets the resamples, and which of their rows these rows are (N,)."""
        self._drawn = self._prepared(drawn, rows)

    def values(self, scores: Floats) -> Floats:
        """(M,) of scores (N,)."""
        cuts = self._once.cuts[:, 0]
        worths = self._once.worths
        deepest = len(scores)
        if not self._sorts_all:
            deepest = math.ceil(cuts.max(initial=0))
        places = _best(scores, deepest)
        ranked = scores[places]
        weights = np.empty(0) if self._weights is None else self._weights
        walks = np.empty(len(cuts))
        for m, form in enumerate(self._forms):
            gains = self._gains[self._columns[m]]
            ranking = ranked, places, len(places), gains
            if form == AREA:
                walks[m] = pairs_won(*ranking, weights)
            else:
                discounted = form == DISCOUNTED
                part = self._whole_parts[m]
                walks[m] = top(*ranking, discounted, cuts[m], part, worths, m, weights)
        return walks / self._once.divisors[:, 0]

    def resampled(self, scores: Floats) -> Floats:
        """(1 + B, M): values, and those on each resample."""
        walks = self._walked(scores, self._drawn, slice(None))
        on_resamples = walks / self._drawn.divisors
        return np.concatenate([self.values(scores)[None], on_resamples.T])

    def _prepared(self, drawn: Resamples | Once, rows: Ints) -> _Prepared:
        totals, sums = self._totals(drawn, rows)
        cuts = np.array([outcome.rows(totals) for outcome in self._wanted])
        prepared = _Prepared(
            drawn=drawn,
            rows=rows,
            spread=drawn.spread(rows),
            cuts=cuts,
            worths=worths_of(self._wanted, cuts),
            divisors=np.full(cuts.shape, np.nan),
        )
        for m, outcome in enumerate(self._wanted):
            measure = outcome.measure
            if isinstance(measure, GainSum) and measure.divisor is None:
                gains = self._gains[outcome.column].astype(float)
                divisors = self._walked(gains, prepared, slice(m, m + 1))[0]
                defined = _varies(gains, drawn, rows)
            else:
                assert measure.divisor is not None
                divisors = measure.divisor(Facts(totals, sums[m]), cuts[m])
                defined = divisors > 0
            prepared.divisors[m, defined] = divisors[defined]
        return prepared

    def _totals(self, drawn: Resamples | Once, rows: Ints) -> tuple[Floats, list[Floats]]:
        """On each resample the weight of all rows (R,), and the weighted gains of each outcome's
        column.
        """
        weights = self._weights
        if weights is None:
            weights = np.ones(len(rows))
        weighted = (weights * self._gains[column].astype(float) for column in self._columns)
        totals, *sums = drawn.sums(rows, chain([weights], weighted)).T
        return totals, sums

    def _walked(self, scores: Floats, prepared: _Prepared, wanted: slice) -> Floats:
        """(M, R): the walks of the wanted outcomes."""
        cuts, worths = prepared.cuts[wanted], prepared.worths[wanted]
        deepest = float(cuts.max(initial=0))
        if self._sorts_all:
            deepest = len(prepared.rows)
        for places in _deeper(scores, deepest, prepared.spread):
            walk = Walk(self._wanted[wanted], cuts, worths)
            for start in range(0, len(places), PIECE):
                with_next = places[start : start + PIECE + 1]
                piece = with_next[:PIECE]
                weights: NDArray[Any] = prepared.drawn.of(prepared.rows[piece])
                if self._weights is not None:
                    weights = weights * self._weights[piece, None]
                walk.on(scores[with_next], with_next, weights, self._gains)
                if not self._sorts_all and (walk.before >= cuts).all():
                    return walk.worth
        return walk.worth


class Rewalked:
    """Prepared rows, all with a value: outcomes of all of them that are walked on each resample in
    turn.

    Args:
        gains: (C, N), see `Gains`, none NaN.
        wanted: outcomes, each of one column of gains, whose measures have a `whole`.
    """

    def __init__(self, gains: Singles, wanted: Sequence[WantedOutcome]) -> None:
        self._gains = gains
        self._wanted = wanted
        self._once = self._prepared(Once(), np.arange(gains.shape[1]))

    def draw(self, drawn: Resamples, rows: Ints) -> None:
        """Sets the resamples, and which of their rows these rows are (N,)."""
        self._drawn = self._prepared(drawn, rows)

    def values(self, scores: Floats) -> Floats:
        """(M,) of scores (N,)."""
        return self._measured(scores, self._once)[0, :]

    def resampled(self, scores: Floats) -> Floats:
        """(1 + B, M): values, and those on each resample."""
        on_resamples = self._measured(scores, self._drawn)
        return np.concatenate([self.values(scores)[None], on_resamples])

    def _prepared(self, drawn: Resamples | Once, rows: Ints) -> _Prepared:
        gains = (self._gains[outcome.column].astype(float) for outcome in self._wanted)
        totals, *sums = drawn.sums(rows, chain([np.ones(len(rows))], gains)).T
        cuts = np.stack([outcome.rows(totals) for outcome in self._wanted])
        divisors = np.empty(cuts.shape)
        for m, outcome in enumerate(self._wanted):
            assert isinstance(outcome.measure, Walked)
            divisors[m] = outcome.measure.divisor(Facts(totals, sums[m]), cuts[m])
        divisors[~(divisors > 0)] = np.nan
        return _Prepared(
            drawn=drawn,
            rows=rows,
            spread=drawn.spread(rows),
            cuts=cuts,
            worths=np.empty(0),
            divisors=divisors,
        )

    def _measured(self, scores: Floats, prepared: _Prepared) -> Floats:
        """(R, M)."""
        cuts = prepared.cuts
        deepest = float(cuts.max(initial=0))
        for places in _deeper(scores, deepest, prepared.spread):
            drawn_rows = prepared.drawn.of(prepared.rows[places])
            counts = np.ascontiguousarray(drawn_rows.T)
            if (counts.sum(axis=1) >= cuts.max(axis=0)).all():
                break
        walks = np.zeros(cuts.shape)
        for m, outcome in enumerate(self._wanted):
            assert isinstance(outcome.measure, Walked)
            assert outcome.measure.whole is not None
            ranking = scores[places], places, self._gains[outcome.column], counts
            outcome.measure.whole(*ranking, cuts[m], walks[m])
        return (walks / prepared.divisors).T


class Walk:
    """A walk down all rows by descending score, piece by piece, for R resamples at once.

    Args:
        wanted: M outcomes.
        cuts: (M, R), in rows.
        worths: see `worths_of`.

    Attributes:
        before: (R,) rows so far, without those of a run of equal scores that may go on.
        worth: (M, R), of these rows.
    """

    def __init__(self, wanted: Sequence[WantedOutcome], cuts: Floats, worths: Floats) -> None:
        self._rules = columns_of(wanted), forms_of(wanted), cuts, whole_parts_of(wanted), worths
        self.before = np.zeros(cuts.shape[1])
        self.worth = np.zeros(cuts.shape)
        # of the run of equal scores at hand: rows, gains, whether it goes on, and the positives
        # before it
        rows = np.zeros(cuts.shape[1])
        gained = np.zeros(cuts.shape)
        above = np.zeros(cuts.shape)
        self._run = rows, gained, np.zeros(1, bool), above

    def on(self, ranked: Floats, places: Ints, weights: NDArray[Any], gains: Singles) -> None:
        """Goes on over rows.

        Args:
            ranked: scores of the next rows (n,), and of the one after these unless they are the
                last.
            places: of the same rows in the gains.
            weights: (n, R), how often each row is there.
            gains: (C, N).
        """
        _walk(ranked, places, weights, gains, *self._rules, self.before, *self._run, self.worth)


def _deeper(scores: Floats, cut: float, spread: float) -> Iterator[Ints]:
    """Rows of the best scores: first as many as a cut may need on any resample, then twice as many,
    and so on up to all.
    """
    depth = math.ceil(cut + _SLACK * np.sqrt(spread * cut))
    while True:
        places = _best(scores, depth)
        yield places
        if len(places) == len(scores):
            return
        depth = 2 * len(places) + 16


def _best(scores: Floats, depth: int) -> Ints:
    """Rows of the best scores in descending order: `depth`, and all whose score equals the last
    one's.
    """
    if depth >= len(scores):
        return np.argsort(-scores)
    bar = np.inf
    if depth:
        place = len(scores) - depth
        bar = np.partition(scores, place)[place]
    rows = np.flatnonzero(scores >= bar)
    order = np.argsort(-scores[rows])
    return rows[order]


def _varies(gains: Floats, drawn: Resamples | Once, rows: Ints) -> Mask:
    """(B,): whether a resample has two different gains."""
    smallest = np.full(drawn.resamples, np.inf)
    largest = np.full(drawn.resamples, -np.inf)
    for start in range(0, len(rows), PIECE):
        piece = slice(start, start + PIECE)
        is_drawn = drawn.of(rows[piece]) > 0
        column = gains[piece, None]
        smallest_here = np.where(is_drawn, column, np.inf).min(0)
        largest_here = np.where(is_drawn, column, -np.inf).max(0)
        smallest = np.minimum(smallest, smallest_here)
        largest = np.maximum(largest, largest_here)
    return largest > smallest


@jit()
def _walk(
    ranked: Floats,
    places: Ints,
    weights: NDArray[Any],
    gains: Singles,
    columns: Ints,
    forms: Ints,
    cuts: Floats,
    whole_parts: Floats,
    worths: Floats,
    before: Floats,
    rows: Floats,
    gained: Floats,
    tied: Mask,
    above: Floats,
    out: Floats,
) -> None:
    resamples = weights.shape[1]
    for rank in range(len(weights)):
        count = weights[rank]
        last = rank + 1 == len(ranked) or ranked[rank + 1] != ranked[rank]
        if last and not tied[0]:  # most rows are alone: a run of their own
            for m in range(len(forms)):
                gain = np.float64(gains[columns[m], places[rank]])
                if forms[m] == AREA:
                    _pass(bool(gain > 0), count, above[m], out[m])
                elif gain > 0:
                    part = whole_parts[m]
                    discounted = forms[m] == DISCOUNTED
                    _take(gain, discounted, count, before, cuts[m], part, worths[m], out[m])
            for b in range(resamples):
                before[b] += count[b]
            continue
        tied[0] = not last
        for b in range(resamples):
            rows[b] += count[b]
        for m in range(len(forms)):
            amount = np.float64(gains[columns[m], places[rank]])
            gain = np.float64(amount > 0) if forms[m] == AREA else amount
            if gain > 0:
                for b in range(resamples):
                    gained[m, b] += count[b] * gain
        if not last:
            continue
        for m in range(len(forms)):
            for b in range(resamples):
                if forms[m] == AREA:
                    negatives = rows[b] - gained[m, b]
                    out[m, b] += negatives * (2 * above[m, b] + gained[m, b])
                    above[m, b] += gained[m, b]
                elif gained[m, b] > 0:
                    after = before[b] + rows[b]
                    cut = cuts[m, b]
                    if forms[m] == DISCOUNTED:
                        start = worths[m, int(min(before[b], cut))]
                        taken = worths[m, int(min(after, cut))] - start
                    else:
                        start = counted(before[b], cut, whole_parts[m])
                        taken = counted(after, cut, whole_parts[m]) - start
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
    whole_part: float,
    worths: Floats,
    out: Floats,
) -> None:
    """Adds to what is in the cut (B,) the gain of a row that is alone, as often as it is drawn."""
    if discounted:
        for b in range(len(count)):
            if count[b] and before[b] < cut[b]:
                end = min(before[b] + count[b], cut[b])
                worth = worths[int(end)] - worths[int(before[b])]
                out[b] += gain * worth
    else:
        for b in range(len(count)):
            start = counted(before[b], cut[b], whole_part)
            end = counted(before[b] + count[b], cut[b], whole_part)
            out[b] += gain * (end - start)
