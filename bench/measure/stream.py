"""Outcomes of one head's ranking of any number of rows.

Beyond a limit, rows are put aside in runs sorted by group, and in others sorted by score. Read back
in order, whole groups are ranked in memory, and all rows are walked down once for every outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.schema import Task
from bench.measure.grouped import Grouped, ratio
from bench.measure.labelled import Labelled
from bench.measure.lists.base import Facts, GainSum, columns_of, forms_of, worths_of
from bench.measure.outcomes import AllWanted, Measure, wanted_of
from bench.measure.runs import Sorted
from bench.measure.spaces import Observed
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
        self._task, self._outcomes, self._grouped = task, tuple(outcomes), False
        self._rows = Sorted(ROW, limit, limit // _READ)

    def add(self, rows: Observed) -> None:
        """Counts rows in: joint labels, scores (taken as float32) and groups."""
        self._grouped = self._grouped or bool((rows.group >= 0).any())
        seen = np.flatnonzero(~np.isnan(rows.labels))
        records = np.empty(len(seen), ROW)
        records["group"], records["score"] = rows.group[seen], rows.predictions[seen]
        records["label"] = rows.labels[seen]
        wanted = self._wanted()
        orders = {"group": (_by_group, wanted.by_group), "score": (_by_score, wanted.over_all)}
        self._rows.orders = {name: order for name, (order, needed) in orders.items() if needed}
        self._rows.add(records)

    def result(self) -> dict[str, float]:
        """Outcomes by name; those that the rows do not define are left out."""
        rows = self._rows.held
        if rows is not None:
            labelled = Labelled(rows["label"], rows["group"])
            values = Measure((self._task,), self._outcomes, labelled, grouped=self._grouped).values(
                rows["score"]
            )[0]
        else:
            wanted, values = self._wanted(), np.full(len(self._outcomes), np.nan)
            if wanted.by_group:
                values[list(wanted.by_group)] = self._by_group(wanted)
            if wanted.over_all:
                values[list(wanted.over_all)] = self._over_all(wanted)
        return {
            name: float(value)
            for name, value in zip(self._outcomes, values, strict=True)
            if value == value
        }

    def _wanted(self) -> AllWanted:
        return wanted_of((self._task,), self._outcomes, self._grouped)

    def _by_group(self, of: AllWanted) -> Floats:
        wanted = list(of.by_group.values())
        above, below = np.zeros(len(wanted)), np.zeros(len(wanted))
        for rows in _whole_groups(self._rows.read("group")):
            grouped = Grouped(of.gains(rows["label"]), rows["group"], wanted)
            sums = grouped.sums(rows["score"].astype(np.float64))
            above, below = above + sums[0], below + sums[1]
        return ratio(above, below)

    def _over_all(self, of: AllWanted) -> Floats:
        wanted = list(of.over_all.values())
        forms, columns, rows = forms_of(wanted), columns_of(wanted), len(self._rows)
        cuts = np.array([each.rows(rows) for each in wanted])
        worths = worths_of(wanted, cuts)
        deepest = worths.shape[1] - 1
        walk = Walk(forms, columns, cuts[:, None], worths)
        totals, least = np.zeros(len(of.columns)), np.full(len(of.columns), np.inf)
        most = np.empty((len(of.columns), 0), np.float32)  # the largest gains, ascending
        for piece, after in pairwise(chain(self._rows.read("score"), [np.empty(0, np.uint64)])):
            ahead = np.concatenate([piece, after[:1]])
            gains = of.gains(ahead.astype(np.uint32).view(np.float32))
            ranked = (ahead >> np.uint64(32)).astype(np.float64)
            once = np.ones((len(piece), 1), np.uint8)
            walk.on(ranked, np.arange(len(ahead)), once, gains)
            gains = gains[:, : len(piece)]
            totals = totals + gains.sum(axis=1, dtype=np.float64)
            least = np.minimum(least, gains.min(axis=1))
            if deepest:
                most = np.sort(np.concatenate([most, gains], axis=1), axis=1)[:, -deepest:]
        best = np.empty(len(wanted))
        for m, outcome in enumerate(wanted):
            measure, column = outcome.measure, outcome.column
            if isinstance(measure, GainSum) and measure.divisor is None:
                own = most[column, ::-1][: int(cuts[m])].astype(float)
                best[m] = (
                    own @ np.diff(worths[m, : len(own) + 1]) if own[0] > least[column] else 0.0
                )
            else:
                assert measure.divisor is not None
                best[m] = measure.divisor(Facts(np.array(float(rows)), totals[column]), cuts[m])
        return ratio(walk.found[:, 0], best)


def _by_group(rows: RowArray) -> RowArray:
    rows = rows[rows["group"] >= 0]
    return rows.take(np.argsort(rows["group"]))


def _by_score(rows: RowArray) -> NDArray[np.uint64]:
    """Numbers in whose order rows come by descending score; their lower bits are those of the
    labels.
    """
    bits = (np.float32(0) - rows["score"]).view(np.uint32)  # -0 is 0
    keys = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31)).astype(np.uint64) << np.uint64(32)
    keys |= rows["label"].astype(np.float32).view(np.uint32)
    keys.sort()
    return keys


def _whole_groups(pieces: Iterable[RowArray]) -> Iterator[RowArray]:
    """The same rows in pieces that end with a group's last row."""
    held: list[RowArray] = []
    for piece in pieces:
        start = int(np.searchsorted(piece["group"], piece["group"][-1]))
        if start or (held and held[-1]["group"][-1] != piece["group"][0]):
            yield np.concatenate([*held, piece[:start]])
            held = []
        held.append(piece[start:])
    yield np.concatenate([np.empty(0, ROW), *held])
