"""Outcomes that are means over groups (users, sessions, requests): ranked within each group, exact
under ties.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from bench.core.arrays import Floats, Ids, Ints, Singles
from bench.core.system.intrinsics import jit
from bench.measure.lists.base import (
    AREA,
    DISCOUNTED,
    WALKED,
    Facts,
    Gains,
    GainSum,
    Lists,
    PairArea,
    Walked,
    WantedOutcome,
    columns_of,
    forms_of,
    worths_of,
)
from bench.measure.lists.gains import pairs_won, top
from bench.measure.resamples import Resamples

_SHORT = 40  # places that insertion sorts fastest
# rows of whole groups whose ranked lists are held at once for walks: they stay in the cache
_ROWS = 1 << 15


class Grouped:
    """Prepared groups. An outcome is the weighted mean over groups of what each group contributes.

    Args:
        gains: (C, N), see `Gains`.
        group: (N,), negative where a row has none; such rows are left out.
        wanted: outcomes, each of one column of gains.
        weights: (N,), of which areas count a row as that many equal ones; None for equal ones.
    """

    def __init__(
        self,
        gains: Singles,
        group: Ids,
        wanted: Sequence[WantedOutcome],
        weights: Floats | None = None,
    ) -> None:
        order = np.argsort(group, kind="stable")
        self._order = order[int(np.searchsorted(group, 0, sorter=order)) :]
        ordered = group[self._order]
        edges = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
        self._starts: Ints = np.unique(np.concatenate([[0], edges, [len(ordered)]]))
        self._gains = np.ascontiguousarray(gains[:, self._order])
        self._longest = int(np.diff(self._starts).max(initial=1))
        self._row_weights = np.empty(0)
        if weights is not None:
            self._row_weights = weights[self._order]
        self._wanted = wanted
        self._columns = columns_of(wanted)
        self._forms = forms_of(wanted)
        self._cuts = np.array([min(outcome.cut, self._longest) for outcome in wanted], float)
        self._worths = worths_of(wanted, self._cuts)
        self._prepare()

        self._walked = []
        for m, outcome in enumerate(wanted):
            if isinstance(outcome.measure, Walked):
                self._walked.append(m)
        self._edges = [0, len(self._starts) - 1]
        if self._walked:
            self._edges = self._pieces()
        self._drawn: Resamples | None = None
        self._totals = self._weights.sum(0)

    def _prepare(self) -> None:
        """Sets each group's weights in the means, what its walks are multiplied by, and the places
        that they read.
        """
        sizes = np.diff(self._starts)
        shape = (len(sizes), len(self._wanted))
        self._weights = np.zeros(shape)
        self._scales = np.zeros(shape)
        self._reach = np.zeros(len(sizes), np.int64)
        all_facts: dict[tuple[int, bool], Facts] = {}
        for m, outcome in enumerate(self._wanted):
            key = outcome.column, outcome.weighted
            if key not in all_facts:
                all_facts[key] = self._facts(*key)
            facts = all_facts[key]
            measure = outcome.measure

            divisors = self._divisors(m, facts)
            defined = divisors > 0
            weights = np.ones(len(sizes))
            if isinstance(measure, PairArea):
                weights = facts.total if measure.by_positives else facts.rows
            self._weights[defined, m] = weights[defined]
            self._scales[defined, m] = weights[defined] / divisors[defined]

            # rows without a label take no place, so a list that has any is read to its end
            whole = (facts.rows < sizes) | (measure.form == AREA)
            rows_in_cut = np.minimum(math.ceil(self._cuts[m]), sizes)
            reach = np.where(whole, sizes, rows_in_cut)
            self._reach = np.maximum(self._reach, np.where(defined, reach, 0))

    def _divisors(self, m: int, facts: Facts) -> Floats:
        measure = self._wanted[m].measure
        cut = self._cuts[m]
        if isinstance(measure, GainSum) and measure.divisor is None:
            gains = self._gains[self._wanted[m].column]
            best: Floats = _best_sums(self._starts, gains, cut, self._worths[m])
            return best
        assert measure.divisor is not None
        return measure.divisor(facts, cut)

    def _facts(self, column: int, weighted: bool) -> Facts:
        groups = len(self._starts) - 1
        rows = np.empty(groups)
        total = np.empty(groups)
        weights = self._row_weights if weighted else np.empty(0)
        _add_up(self._starts, self._gains[column], weights, rows, total)
        return Facts(rows, total)

    def draw(self, drawn: Resamples, rows: Ints) -> None:
        """Sets the resamples, and which of their rows these rows are (N,)."""
        self._drawn = drawn
        first_rows = self._order[self._starts[:-1]]
        self._firsts = rows[first_rows]
        self._drawn_totals = drawn.sums(self._firsts, self._weights.T)

    def values(self, scores: Floats) -> Floats:
        """(M,) of scores (N,)."""
        return ratio(*self.sums(scores))

    def resampled(self, scores: Floats) -> Floats:
        """(1 + B, M): values, and those on each resample."""
        assert self._drawn is not None
        contributions = self._contributions(scores)
        values = ratio(contributions.sum(0), self._totals)
        drawn_sums = self._drawn.sums(self._firsts, contributions.T)
        on_resamples = ratio(drawn_sums, self._drawn_totals)
        return np.concatenate([values[None], on_resamples])

    def sums(self, scores: Floats) -> tuple[Floats, Floats]:
        """Numerators and denominators (M,) of the values, which add up over sets of whole
        groups.
        """
        return self._contributions(scores).sum(0), self._totals

    def _pieces(self) -> list[int]:
        """Numbers of the groups at which a piece of about `_ROWS` rows begins or ends."""
        groups = len(self._starts) - 1
        firsts = np.searchsorted(self._starts, np.arange(0, len(self._order), _ROWS))
        return sorted({*firsts.tolist(), groups})

    def _contributions(self, scores: Floats) -> Floats:
        """(G, M)."""
        contributions = np.zeros(self._weights.shape)
        lists = self._empty_lists() if self._walked else None
        for first, end in pairwise(self._edges):
            groups = slice(first, end)
            self._write_sums(scores, groups, contributions[groups], lists)
            if lists is not None:
                self._write_walks(lists, groups, contributions[groups])
        return contributions

    def _empty_lists(self) -> Lists:
        """With room for those of any piece."""
        edges = np.array(self._edges)
        rows = int(np.diff(self._starts[edges]).max(initial=0))
        groups = int(np.diff(edges).max(initial=0))
        return Lists(
            ranked=np.empty(rows),
            places=np.empty(rows, np.int64),
            starts=np.empty(groups + 1, np.int64),
            defined=np.empty(0, np.int64),
        )

    def _write_sums(
        self, scores: Floats, groups: slice, contributions: Floats, lists: Lists | None
    ) -> None:
        """Ranks groups, stores the lists for walks, and writes the outcomes that need none."""
        starts = self._starts[groups.start : groups.stop + 1]
        prepared = (self._order, starts, self._gains, self._row_weights)
        rules = (self._columns, self._forms, self._cuts, self._worths)
        scales = self._scales[groups]
        reach = self._reach[groups]
        _contribute(scores, *prepared, *rules, self._longest, scales, reach, contributions, lists)

    def _write_walks(self, lists: Lists, groups: slice, contributions: Floats) -> None:
        """Writes the outcomes that have walks of their own."""
        for m in self._walked:
            measure = self._wanted[m].measure
            scales = self._scales[groups, m]
            assert isinstance(measure, Walked)
            starts = lists.starts[: len(scales) + 1]
            of_groups = lists._replace(starts=starts, defined=np.flatnonzero(scales))
            walks = np.zeros(len(scales))
            measure.walk(of_groups, self._gains[self._columns[m]], self._cuts[m], walks)
            contributions[:, m] = walks * scales


def ratio(above: Floats, below: Floats) -> Floats:
    """The quotient; NaN where `below` is 0."""
    with np.errstate(all="ignore"):
        return np.where(below > 0, above / below, np.nan)


@jit()
def _add_up(starts: Ints, gains: Gains, weights: Floats, rows: Floats, total: Floats) -> None:
    """Writes `Facts` of groups; `weights` of rows is empty where they count once each."""
    for group in range(len(starts) - 1):
        counted = 0.0
        summed = 0.0
        for row in range(starts[group], starts[group + 1]):
            gain = np.float64(gains[row])
            if gain == gain:
                weight = weights[row] if len(weights) else 1.0
                counted += weight
                summed += weight * gain
        rows[group] = counted
        total[group] = summed


@jit()
def _best_sums(starts: Ints, gains: Gains, cut: float, worths: Floats) -> Floats:
    """(G,): the discounted sum of the best order down to the cut; 0 where gains are all equal."""
    best = np.zeros(len(starts) - 1)
    for group in range(len(best)):
        of_group = gains[starts[group] : starts[group + 1]]
        of_group = np.sort(of_group[of_group == of_group])[::-1]
        if len(of_group) and of_group[0] > of_group[-1]:
            for place in range(min(len(of_group), int(cut))):
                worth = worths[place + 1] - worths[place]
                best[group] += np.float64(of_group[place]) * worth
    return best


@jit()
def _contribute(
    scores: Floats,
    order: Ints,
    starts: Ints,
    gains: Singles,
    weights: Floats,
    columns: Ints,
    forms: Ints,
    cuts: Floats,
    worths: Floats,
    longest: int,
    scales: Floats,
    reach: Ints,
    out: Floats,
    lists: Lists | None,
) -> None:
    """Writes scaled sums and areas, and the ranked lists for walks of other forms.

    `lists` is None where no outcome has a walk: numba compiles that case on its own, without a test
    in the loop.
    """
    list_ranked = np.empty(longest)
    list_places = np.empty(longest, np.int64)
    once = np.empty(0)  # lists count no weights
    listed = np.int64(0)  # places written to `lists`
    for group in range(len(starts) - 1):
        start = starts[group]
        rows = starts[group + 1] - starts[group]
        deepest = reach[group]
        if lists is not None:
            lists.starts[group] = listed
        if deepest == 0:
            continue
        if lists is not None:
            ranked = lists.ranked[listed:]
            places = lists.places[listed:]
        else:
            ranked = list_ranked
            places = list_places
        # rows in the list: the first `deepest`, and all that tie with the last of them
        size = np.int64(0)
        if deepest <= _SHORT:
            for row in range(rows):
                score = scores[order[start + row]]
                slot = size
                if size >= deepest and score < ranked[deepest - 1]:
                    continue
                while slot > 0 and ranked[slot - 1] < score:
                    ranked[slot] = ranked[slot - 1]
                    places[slot] = places[slot - 1]
                    slot -= 1
                ranked[slot] = score
                places[slot] = start + row
                size += 1
                if size > deepest and ranked[size - 1] < ranked[deepest - 1]:
                    size = deepest
        else:
            size = rows
            for row in range(size):
                ranked[row] = -scores[order[start + row]]
            places[:size] = np.argsort(ranked[:size])
            for row in range(size):
                places[row] += start
                ranked[row] = scores[order[places[row]]]
        for m in range(len(forms)):
            if scales[group, m] == 0 or forms[m] == WALKED:
                continue
            column = gains[columns[m]]
            if forms[m] == AREA:
                walk = pairs_won(ranked, places, size, column, weights)
            else:
                discounted = forms[m] == DISCOUNTED
                cut = cuts[m]
                walk = top(ranked, places, size, column, discounted, cut, 1.0, worths, m, once)
            out[group, m] = walk * scales[group, m]
        listed += size
    if lists is not None:
        lists.starts[len(starts) - 1] = listed
