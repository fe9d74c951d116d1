"""What a metric of ranked lists is: one of three forms, of which only the last needs compiled code
of its own.

A list is the rows of a group by descending score, down to a cut. Every form is a mean over the
orders of equal scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats, Ints, Singles
from bench.core.system.intrinsics import jit

Gains = Singles
"""(N,), by the metric's line in `LISTS`: whether the label is above 0; the label, at least 0;
whether an item's number is below the limit; or a code of an item's value. NaN where that is
unknown."""
SUM, DISCOUNTED, AREA, WALKED = range(4)
"""Forms, as compiled loops tell them apart."""


class Facts(NamedTuple):
    """Sums of L lists, or of all rows on each of L resamples; divisors are computed from them.

    Attributes:
        rows: (L,), of those whose gain is known; of a form that counts weights their weight.
        total: (L,), the sum of their gains, weighted alike.
    """

    rows: Floats
    total: Floats


class Lists(NamedTuple):
    """Ranked lists, one after the other; each has its first rows, as many as its cut needs or more.

    Attributes:
        ranked: scores, descending within a list.
        places: of the same rows in the gains.
        starts: (L + 1,), where each list begins.
        defined: the numbers of the lists to walk.
    """

    ranked: Floats
    places: Ints
    starts: Ints
    defined: Ints


Cut = float | Floats
"""In rows: the same for all lists, or (L,)."""
Divisor = Callable[[Facts, Cut], Floats]
"""Divides a walk down to a `Cut` (L,); 0 where the metric is undefined."""
WalkFunction = Callable[[Lists, Gains, float, Floats], None]
"""Compiled: writes the walk of each defined list down to a cut into an array (L,)."""
WholeFunction = Callable[[Floats, Ints, Gains, NDArray[Any], Floats, Floats], None]
"""Compiled: of all rows as one list (scores, places, gains), how often each row is there on R
resamples (R, n), cuts (R,), and an array (R,) for the walks."""


@dataclass(frozen=True)
class GainSum:
    """A sum of gains over the first rows. It is measured by group and over all rows, in memory and
    beyond.

    Attributes:
        divisor: None for the sum that the best order has; then lists whose gains are all equal are
            undefined.
        worths: of a number n the worths (n + 1,) of the first 0 to n places together; None for 1 a
            place, of which a cut counts the last one in part.
    """

    divisor: Divisor | None
    worths: Callable[[int], Floats] | None = None

    @property
    def form(self) -> int:
        """`SUM` or `DISCOUNTED`."""
        return SUM if self.worths is None else DISCOUNTED

    @property
    def over_all(self) -> bool:
        """Whether all rows can be one list."""
        return True


@dataclass(frozen=True)
class PairArea:
    """The area under the ROC curve: pairs in order over all pairs. Groups weigh by their rows, or
    their positives.
    """

    by_positives: bool = False
    form = AREA
    over_all = True

    def divisor(self, facts: Facts, cut: Cut) -> Floats:
        """Twice the pairs of a positive and a negative."""
        return 2.0 * facts.total * (facts.rows - facts.total)


@dataclass(frozen=True)
class Walked:
    """A metric with a compiled walk of its own, by group.

    Attributes:
        whole: the walk over all rows, of columns of items; None where the metric is by group alone.
    """

    walk: WalkFunction
    divisor: Divisor
    whole: WholeFunction | None = None
    form = WALKED

    @property
    def over_all(self) -> bool:
        """Whether all rows can be one list."""
        return self.whole is not None


ListMeasure = GainSum | PairArea | Walked


@dataclass(frozen=True)
class WantedOutcome:
    """An outcome of one column of gains.

    Attributes:
        cut: rows at the top, or in per cent of the rows.
        whole_part: the part of the cut's places that count whole; the others count less and less.
            It is 1 for one cut, and the first cut over the last for the mean over a range.
        weighted: whether a row counts as often as its weight says.
    """

    column: int
    measure: ListMeasure
    cut: float = np.inf
    percent: bool = False
    weighted: bool = False
    whole_part: float = 1.0

    def rows(self, total_rows: Cut) -> Floats:
        """The cut in rows, of lists with this number of rows."""
        cut = self.cut / 100 * total_rows if self.percent else self.cut
        return np.minimum(cut, total_rows)


def all_gains(facts: Facts, cut: Cut) -> Floats:
    """The sum of all gains."""
    return facts.total


def places_in_cut(facts: Facts, cut: Cut) -> Floats:
    """The number of places down to the cut."""
    return np.minimum(facts.rows, cut)


def positives_in_cut(facts: Facts, cut: Cut) -> Floats:
    """The number of positives that fit within the cut."""
    return np.minimum(facts.total, cut)


def forms_of(wanted: Sequence[WantedOutcome]) -> Ints:
    """(M,)."""
    return np.array([outcome.measure.form for outcome in wanted], np.int64)


def columns_of(wanted: Sequence[WantedOutcome]) -> Ints:
    """(M,)."""
    return np.array([outcome.column for outcome in wanted], np.int64)


def whole_parts_of(wanted: Sequence[WantedOutcome]) -> Floats:
    """(M,)."""
    return np.array([outcome.whole_part for outcome in wanted])


@jit()
def counted(places: float, cut: float, whole_part: float) -> float:
    """How many of the first places are in the cut.

    Over a range of cuts it is the mean of min(places, cut) over all cuts from `whole_part * cut` to
    `cut`, which are equally likely.
    """
    inside = min(places, cut)
    first = whole_part * cut
    if inside <= first:
        return inside
    beyond = inside - first
    return inside - beyond * beyond / (2 * (cut - first))


def worths_of(wanted: Sequence[WantedOutcome], cuts: Floats) -> Floats:
    """(M, 1 + deepest cut in rows): worths of the first places, zeros of outcomes without; cuts (M,
    ..).
    """
    discounted = [m for m, outcome in enumerate(wanted) if outcome.measure.form == DISCOUNTED]
    deepest = int(max((np.max(cuts[m]) for m in discounted), default=0))
    worths = np.zeros((len(wanted), deepest + 1))
    for m in discounted:
        measure = wanted[m].measure
        assert isinstance(measure, GainSum)
        assert measure.worths is not None
        worths[m] = measure.worths(deepest)
    return worths


@jit()
def list_of(lists: Lists, number: int) -> tuple[Floats, Ints]:
    """Scores and places of one list."""
    start = lists.starts[number]
    end = lists.starts[number + 1]
    return lists.ranked[start:end], lists.places[start:end]


@jit()
def tied(
    ranked: Floats, places: Ints, size: int, gains: Gains, weights: Floats, first: int
) -> tuple[float, float, int]:
    """Rows and gains of the run of equal scores that begins at a rank, and the rank where the next
    begins.

    Args:
        ranked: scores, from the best; the first `size` count.
        places: of the same rows in `gains`.
        weights: as many rows each row stands for, by its place in `gains`; empty for one each.
        first: the rank, from 0.
    """
    score = ranked[first]
    rows = 0.0
    gained = 0.0
    rank = first
    while rank < size and ranked[rank] == score:
        gain = np.float64(gains[places[rank]])
        if gain == gain:
            weight = weights[places[rank]] if len(weights) else 1.0
            rows += weight
            gained += weight * gain
        rank += 1
    return rows, gained, rank
