"""Outcomes that are means over groups (users, sessions, requests): ranked within each group, exact under ties."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats, Ids, Ints
from bench.core.system.intrinsics import jit
from bench.measure.lists import (
    AREA,
    AREA_BY_POSITIVES,
    DISTINCT,
    FIRST,
    NDCG,
    PER_PLACE,
    PRECISION,
    SHARE,
    WantedOutcome,
)
from bench.measure.lists.area import won
from bench.measure.lists.first import reciprocal
from bench.measure.lists.gains import discounts, top
from bench.measure.lists.precision import precisions
from bench.measure.lists.variety import variety
from bench.measure.resamples import Resamples

_SHORT = 40  # places that insertion sorts fastest


class Grouped:
    """Prepared groups. An outcome is the weighted mean over groups of what each group contributes.

    Args:
        gains: (C, N), at least 0, NaN where unobserved; of `DISTINCT` whole codes.
        group: (N,), negative where a row has none; such rows are left out.
        wanted: outcomes, each of one column of gains.
        weights: (N,), of which areas count a row as that many equal ones; None for equal ones.
    """

    def __init__(
        self, gains: NDArray[np.float32], group: Ids, wanted: Sequence[WantedOutcome], weights: Floats | None = None
    ) -> None:
        order = np.argsort(group, kind="stable")
        self._order = order[int(np.searchsorted(group, 0, sorter=order)) :]
        ordered = group[self._order]
        edges = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
        self._starts: Ints = np.unique(np.concatenate([[0], edges, [len(ordered)]]))
        self._gains = np.ascontiguousarray(gains[:, self._order])
        sizes = np.diff(self._starts)
        self._longest = int(sizes.max(initial=1))
        self._columns = np.array([each.column for each in wanted], np.int64)
        self._kinds = np.array([each.kind for each in wanted], np.int64)
        self._cuts = np.array([min(each.cut, self._longest) for each in wanted], float)
        self._discounts = discounts(int(max(self._cuts, default=0)))
        coded = self._gains[self._columns[self._kinds == DISTINCT]]
        self._codes = 1 + int(np.nanmax(coded)) if np.isfinite(coded).any() else 0
        shape = (len(sizes), len(wanted))
        self._weights, self._scales, self._reach = np.zeros(shape), np.zeros(shape), np.zeros(len(sizes), np.int64)
        rules = (self._columns, self._kinds, self._cuts, self._discounts)
        self._of_rows = np.empty(0) if weights is None else weights[self._order]
        prepared = (self._weights, self._scales, self._reach)
        _prepare(self._starts, self._gains, self._of_rows, *rules, self._longest, *prepared)
        self._drawn: Resamples | None = None
        self._totals = self._weights.sum(0)

    def draw(self, drawn: Resamples, rows: Ints) -> None:
        """Sets the resamples, and which of their rows these rows are (N,)."""
        self._drawn, self._firsts = drawn, rows[self._order[self._starts[:-1]]]
        self._drawn_totals = drawn.sums(self._firsts, self._weights.T)

    def values(self, scores: Floats) -> Floats:
        """(M,) of scores (N,)."""
        return ratio(*self.sums(scores))

    def resampled(self, scores: Floats) -> Floats:
        """(1 + B, M): values, and those on each resample."""
        assert self._drawn is not None
        own = self._contributions(scores)
        whole = ratio(own.sum(0), self._totals)
        return np.concatenate([whole[None], ratio(self._drawn.sums(self._firsts, own.T), self._drawn_totals)])

    def sums(self, scores: Floats) -> tuple[Floats, Floats]:
        """Numerators and denominators (M,) of the values, which add up over sets of whole groups."""
        return self._contributions(scores).sum(0), self._totals

    def _contributions(self, scores: Floats) -> Floats:
        """(G, M)."""
        contributions = np.zeros(self._weights.shape)
        rules = (self._columns, self._kinds, self._cuts, self._discounts)
        rows = (scores, self._order, self._starts, self._gains, self._of_rows)
        scratch = np.zeros((3, self._codes), np.int64)
        _contribute(*rows, *rules, self._longest, self._scales, self._reach, scratch, contributions)
        return contributions


def ratio(above: Floats, below: Floats) -> Floats:
    """The quotient; NaN where `below` is 0."""
    with np.errstate(all="ignore"):
        return np.where(below > 0, above / below, np.nan)


@jit()
def _prepare(
    starts: Ints,
    gains: NDArray[np.float32],
    of_rows: Floats,
    columns: Ints,
    kinds: Ints,
    cuts: Floats,
    discounts: Floats,
    longest: int,
    weights: Floats,
    scales: Floats,
    reach: Ints,
) -> None:
    """Writes a group's weight in the mean, what its walk is multiplied by, and how many places its walks can read."""
    ideal = np.empty(longest)
    for group in range(len(starts) - 1):
        start, end = starts[group], starts[group + 1]
        for m in range(len(kinds)):
            own = gains[columns[m], start:end]
            seen, positives, total, least, most, whole, above = 0, 0, 0.0, np.inf, 0.0, 0.0, 0.0
            for row in range(end - start):
                gain = np.float64(own[row])
                if gain == gain:
                    weight = of_rows[start + row] if len(of_rows) else 1.0
                    ideal[seen] = -gain
                    seen += 1
                    positives += int(gain > 0)
                    whole += weight
                    above += weight * (gain > 0)
                    total += gain
                    least, most = min(least, gain), max(most, gain)
            if kinds[m] == NDCG:
                if most > least:
                    kept = np.sort(ideal[:seen])
                    best = 0.0
                    for place in range(min(seen, int(cuts[m]))):
                        best -= kept[place] * (discounts[place + 1] - discounts[place])
                    weights[group, m], scales[group, m] = 1.0, 1 / best
            elif kinds[m] == SHARE:
                if total > 0:
                    weights[group, m], scales[group, m] = 1.0, 1 / total
            elif kinds[m] in PER_PLACE:
                if seen > 0:
                    weights[group, m], scales[group, m] = 1.0, 1 / min(seen, cuts[m])
            elif kinds[m] > AREA_BY_POSITIVES:
                if positives > 0:
                    best = min(positives, cuts[m]) if kinds[m] == PRECISION else 1.0
                    weights[group, m], scales[group, m] = 1.0, 1 / best
            elif 0 < above < whole:
                weight = whole if kinds[m] == AREA else above
                weights[group, m], scales[group, m] = weight, weight / (2.0 * above * (whole - above))
            if scales[group, m] != 0:
                short = seen == end - start and not AREA <= kinds[m] <= AREA_BY_POSITIVES
                reach[group] = max(reach[group], min(math.ceil(cuts[m]), end - start) if short else end - start)


@jit()
def _contribute(
    scores: Floats,
    order: Ints,
    starts: Ints,
    gains: NDArray[np.float32],
    of_rows: Floats,
    columns: Ints,
    kinds: Ints,
    cuts: Floats,
    discounts: Floats,
    longest: int,
    scales: Floats,
    reach: Ints,
    scratch: Ints,
    out: Floats,
) -> None:
    ranked, places, none = np.empty(longest), np.empty(longest, np.int64), np.empty(0)  # lists count no weights
    for group in range(len(starts) - 1):
        start, rows, few = starts[group], starts[group + 1] - starts[group], reach[group]
        if few == 0:
            continue
        size = np.int64(0)  # of rows that are kept: the first `few`, and all that are level with the last of them
        if few <= _SHORT:
            for row in range(rows):
                score, at = scores[order[start + row]], size
                if size >= few and score < ranked[few - 1]:
                    continue
                while at > 0 and ranked[at - 1] < score:
                    ranked[at], places[at] = ranked[at - 1], places[at - 1]
                    at -= 1
                ranked[at], places[at] = score, row
                size += 1
                if size > few and ranked[size - 1] < ranked[few - 1]:
                    size = few
        else:
            size = rows
            for row in range(size):
                ranked[row] = -scores[order[start + row]]
            places[:size] = np.argsort(ranked[:size])
            for row in range(size):
                ranked[row] = scores[order[start + places[row]]]
        for m in range(len(kinds)):
            if scales[group, m] == 0:
                continue
            own = gains[columns[m], start : start + rows]
            if kinds[m] <= SHARE:
                walk = top(ranked, places, size, own, kinds[m], cuts[m], discounts, none)
            elif kinds[m] <= AREA_BY_POSITIVES:
                walk = won(ranked, places, size, own, of_rows[start : start + rows])
            elif kinds[m] == PRECISION:
                walk = precisions(ranked, places, size, own, cuts[m])
            elif kinds[m] == FIRST:
                walk = reciprocal(ranked, places, size, own, cuts[m])
            else:
                walk = variety(ranked, places, size, own, none, cuts[m], scratch)
            out[group, m] = walk * scales[group, m]
