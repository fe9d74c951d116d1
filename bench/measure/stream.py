"""Outcomes of one head's ranking of any number of rows.

Beyond a limit, rows are put aside in runs sorted by group, and in others sorted by score. Read back
in order, whole groups are ranked in memory, and all rows are walked down once for every outcome.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats, Singles
from bench.core.schema import Task
from bench.measure.grouped import Grouped, ratio
from bench.measure.lists.base import (
    Facts,
    GainSum,
    WantedOutcome,
    worths_of,
)
from bench.measure.outcomes import AllWanted, Measure, wanted_of
from bench.measure.runs import Sorted
from bench.measure.spaces import Labelled, Observed
from bench.measure.whole import Walk

ROW = np.dtype([("group", np.int32), ("score", np.float32), ("label", np.float32)])
RowArray = NDArray[Any]
"""Of type `ROW`."""
_READ = 16
"""This part of the limit is read back at a time."""


class Stream:
    """Outcomes of one task with a cut (`ndcg@k`, `recall@10%`, ...), exactly as `Measure` has them
    in memory.

    Args:
        outcomes: their full names, as in `like.recall@10%`.
        limit: rows to hold, 12 bytes each; more are in a temporary file, once by group and once by
            score as far as outcomes need it. The largest group, and the cut of `ndcg@k` over all
            rows, are held besides.
    """

    def __init__(self, task: Task, outcomes: Sequence[str], limit: int) -> None:
        self._task = task
        self._outcomes = tuple(outcomes)
        self._grouped = False
        self._rows = Sorted(ROW, limit, limit // _READ)

    def add(self, rows: Observed) -> None:
        """Counts rows in: joint labels, scores (taken as float32) and groups."""
        self._grouped = self._grouped or bool((rows.group >= 0).any())
        observed = np.flatnonzero(~np.isnan(rows.labels))
        records = np.empty(len(observed), ROW)
        records["group"] = rows.group[observed]
        records["score"] = rows.predictions[observed]
        records["label"] = rows.labels[observed]
        wanted = self._wanted()
        orders = {}
        if wanted.by_group:
            orders["group"] = _by_group
        if wanted.over_all:
            orders["score"] = _by_score
        self._rows.orders = orders
        self._rows.add(records)

    def result(self) -> dict[str, float]:
        """Outcomes by name; those that the rows do not define are left out."""
        rows = self._rows.held
        values = self._from_file() if rows is None else self._in_memory(rows)
        result = {}
        for name, value in zip(self._outcomes, values.tolist(), strict=True):
            if not math.isnan(value):
                result[name] = value
        return result

    def _in_memory(self, rows: RowArray) -> Floats:
        labelled = Labelled(rows["label"], rows["group"])
        measure = Measure((self._task,), self._outcomes, labelled, grouped=self._grouped)
        values: Floats = measure.values(rows["score"])[0]
        return values

    def _from_file(self) -> Floats:
        wanted = self._wanted()
        values = np.full(len(self._outcomes), np.nan)
        if wanted.by_group:
            values[list(wanted.by_group)] = self._by_group(wanted)
        if wanted.over_all:
            values[list(wanted.over_all)] = self._over_all(wanted)
        return values

    def _wanted(self) -> AllWanted:
        return wanted_of((self._task,), self._outcomes, self._grouped)

    def _by_group(self, wanted: AllWanted) -> Floats:
        outcomes = list(wanted.by_group.values())
        above = np.zeros(len(outcomes))
        below = np.zeros(len(outcomes))
        for rows in _whole_groups(self._rows.read("group")):
            grouped = Grouped(wanted.gains(rows["label"]), rows["group"], outcomes)
            sums = grouped.sums(rows["score"].astype(np.float64))
            above = above + sums[0]
            below = below + sums[1]
        return ratio(above, below)

    def _over_all(self, wanted: AllWanted) -> Floats:
        outcomes = list(wanted.over_all.values())
        rows = float(len(self._rows))
        cuts = np.array([outcome.rows(rows) for outcome in outcomes])
        worths = worths_of(outcomes, cuts)
        walk = Walk(outcomes, cuts[:, None], worths)
        columns = _ColumnSums(len(wanted.columns), deepest=worths.shape[1] - 1)
        pieces = chain(self._rows.read("score"), [np.empty(0, np.uint64)])
        for piece, after in pairwise(pieces):
            ahead = np.concatenate([piece, after[:1]])
            labels = ahead.astype(np.uint32).view(np.float32)
            gains = wanted.gains(labels)
            ranked = (ahead >> np.uint64(32)).astype(np.float64)
            places = np.arange(len(ahead))
            once = np.ones((len(piece), 1), np.uint8)
            walk.on(ranked, places, once, gains)
            columns.add(gains[:, : len(piece)])
        divisors = np.empty(len(outcomes))
        for m, outcome in enumerate(outcomes):
            divisors[m] = columns.divisor(outcome, cuts[m], worths[m], rows)
        return ratio(walk.worth[:, 0], divisors)


class _ColumnSums:
    """What divisors need of the gains of all rows, of which only the largest are held.

    Args:
        deepest: how many of the largest.
    """

    def __init__(self, columns: int, deepest: int) -> None:
        self._deepest = deepest
        self._totals = np.zeros(columns)
        self._smallest = np.full(columns, np.inf)
        self._largest = np.empty((columns, 0), np.float32)  # ascending

    def add(self, gains: Singles) -> None:
        """Counts the next rows in: (C, n)."""
        self._totals = self._totals + gains.sum(axis=1, dtype=np.float64)
        self._smallest = np.minimum(self._smallest, gains.min(axis=1))
        if self._deepest:
            together = np.concatenate([self._largest, gains], axis=1)
            self._largest = np.sort(together, axis=1)[:, -self._deepest :]

    def divisor(self, outcome: WantedOutcome, cut: float, worths: Floats, rows: float) -> float:
        """Divides an outcome's walk; 0 where it is undefined."""
        measure = outcome.measure
        column = outcome.column
        if isinstance(measure, GainSum) and measure.divisor is None:
            largest_first = self._largest[column, ::-1]
            best = largest_first[: int(cut)].astype(float)
            if best[0] <= self._smallest[column]:
                return 0.0
            worths_of_places = np.diff(worths[: len(best) + 1])
            return float(best @ worths_of_places)
        assert measure.divisor is not None
        facts = Facts(np.array(rows), self._totals[column])
        return float(measure.divisor(facts, cut))


def _by_group(rows: RowArray) -> RowArray:
    rows = rows[rows["group"] >= 0]
    return rows.take(np.argsort(rows["group"]))


def _by_score(rows: RowArray) -> NDArray[np.uint64]:
    """Numbers in whose order rows come by descending score; their lower bits are those of the
    labels.
    """
    bits = (np.float32(0) - rows["score"]).view(np.uint32)  # -0 is 0
    codes = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    keys = codes.astype(np.uint64) << np.uint64(32)
    keys |= rows["label"].astype(np.float32).view(np.uint32)
    keys.sort()
    return keys


def _whole_groups(pieces: Iterable[RowArray]) -> Iterator[RowArray]:
    """The same rows in pieces that end with a group's last row."""
    waiting: list[RowArray] = []
    for piece in pieces:
        groups = piece["group"]
        start = int(np.searchsorted(groups, groups[-1]))
        begins_group = bool(waiting) and waiting[-1]["group"][-1] != groups[0]
        if start or begins_group:
            yield np.concatenate([*waiting, piece[:start]])
            waiting = []
        waiting.append(piece[start:])
    yield np.concatenate([np.empty(0, ROW), *waiting])
