"""Outcomes of one head's ranking of any number of rows.

Beyond a limit, rows are put aside in runs sorted by group, and in others sorted by score. Read back in order, whole
groups are ranked in memory, and all rows are walked down once for every outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.labelled import Labelled
from bench.measure.grouped import Grouped, ratio
from bench.measure.lists import NDCG, Floats
from bench.measure.lists.gains import discounts
from bench.measure.outcomes import AllWanted, Measure, wanted_of
from bench.measure.runs import Runs
from bench.measure.spaces import Observed
from bench.measure.whole import Walk
from bench.schema import Task

ROW = np.dtype([("group", np.int32), ("below", np.float32), ("label", np.float32)])
"""`below` is the score, negated: the best row is the first."""
Rows = NDArray[Any]
"""Of type `ROW`."""
_READ = 16
"""This part of the limit is read back at a time."""


class Stream:
    """Outcomes of one task with a cut (`ndcg@k`, `recall@10%`, ...), exactly as `Measure` has them in memory.

    Args:
        outcomes: their full names, as in `like.recall@10%`.
        limit: rows to hold, 12 bytes each; of more, each is in a temporary file, once by group and once by score as
            far as outcomes need it. The largest group, and the cut of `ndcg@k` over all rows, are held besides.
    """

    def __init__(self, task: Task, outcomes: Sequence[str], limit: int) -> None:
        self._task, self._outcomes, self._limit = task, tuple(outcomes), limit
        self._held: list[Rows] = []
        self._runs: dict[str, Runs] = {}
        self._rows, self._aside, self._grouped = 0, 0, False

    def add(self, rows: Observed) -> None:
        """Counts rows in: joint labels, scores (taken as float32) and groups."""
        self._grouped = self._grouped or bool((rows.group >= 0).any())
        seen = np.flatnonzero(~np.isnan(rows.labels))
        for start in range(0, len(seen), self._limit):
            places = seen[start : start + self._limit]
            if self._rows + len(places) > self._aside + self._limit:
                self._put_aside()
            piece = np.empty(len(places), ROW)
            piece["group"], piece["below"] = rows.group[places], -rows.predictions[places]
            piece["label"] = rows.labels[places]
            self._held.append(piece)
            self._rows += len(places)

    def result(self) -> dict[str, float]:
        """Outcomes by name; those that the rows do not define are left out."""
        wanted = wanted_of((self._task,), self._outcomes, self._grouped)
        if not self._aside:
            rows = np.concatenate([np.empty(0, ROW), *self._held])
            labelled = Labelled(rows["label"][:, None], rows["group"])
            values = Measure((self._task,), self._outcomes, labelled, grouped=self._grouped).values(-rows["below"])[0]
        else:
            values = np.full(len(self._outcomes), np.nan)
            if wanted.by_group:
                values[list(wanted.by_group)] = self._by_group(wanted)
            if wanted.over_all:
                values[list(wanted.over_all)] = self._over_all(wanted)
        return {name: float(value) for name, value in zip(self._outcomes, values, strict=True) if value == value}

    def _put_aside(self) -> None:
        wanted = wanted_of((self._task,), self._outcomes, self._grouped)
        for by, needed in (("group", wanted.by_group), ("below", wanted.over_all)):
            if needed:
                runs = self._runs.setdefault(by, Runs(ROW, max(1, self._limit // _READ), by))
                runs.add(self._sorted(by))
        self._held, self._aside = [], self._rows

    def _sorted(self, by: str) -> Rows:
        rows = np.concatenate([np.empty(0, ROW), *self._held])
        rows = rows[rows["group"] >= 0] if by == "group" else rows
        return rows[np.argsort(rows[by])]

    def _read(self, by: str) -> Iterator[Rows]:
        return (piece for piece in self._runs[by].merged(self._sorted(by)) if len(piece))

    def _by_group(self, of: AllWanted) -> Floats:
        wanted = list(of.by_group.values())
        above, below = np.zeros(len(wanted)), np.zeros(len(wanted))
        for rows in _whole_groups(self._read("group")):
            grouped = Grouped(of.gains(rows["label"][:, None]), rows["group"], wanted)
            sums = grouped.sums(-rows["below"].astype(np.float64))
            above, below = above + sums[0], below + sums[1]
        return ratio(above, below)

    def _over_all(self, of: AllWanted) -> Floats:
        wanted = list(of.over_all.values())
        kinds, columns = (np.array(each, np.int64) for each in ([w.kind for w in wanted], [w.column for w in wanted]))
        rows = len(self._runs["below"]) + self._rows - self._aside
        cuts = np.array([min(each.cut / 100 * rows if each.percent else each.cut, rows) for each in wanted])
        deepest = int(max(cuts[kinds == NDCG], default=0))
        walk = Walk(kinds, columns, cuts[:, None], norms := discounts(deepest))
        totals, least = np.zeros(len(of.columns)), np.full(len(of.columns), np.inf)
        most = np.empty((len(of.columns), 0), np.float32)  # the largest gains, ascending
        for piece, after in pairwise(chain(self._read("below"), [np.empty(0, ROW)])):
            ahead = np.concatenate([piece, after[:1]])
            gains = of.gains(ahead["label"][:, None])
            walk.on(ahead["below"].astype(np.float64), np.arange(len(ahead)), np.ones((len(piece), 1), np.uint8), gains)
            gains = gains[:, : len(piece)]
            totals, least = totals + gains.sum(axis=1, dtype=np.float64), np.minimum(least, gains.min(axis=1))
            if deepest:
                most = np.sort(np.concatenate([most, gains], axis=1), axis=1)[:, -deepest:]
        best = totals[columns]
        for m in np.flatnonzero(kinds == NDCG):
            own = most[columns[m], ::-1][: int(cuts[m])].astype(float)
            best[m] = own @ np.diff(norms[: len(own) + 1]) if own[0] > least[columns[m]] else 0.0
        return ratio(walk.found[:, 0], best)


def _whole_groups(pieces: Iterable[Rows]) -> Iterator[Rows]:
    """The same rows in pieces that end with a group's last row."""
    held: list[Rows] = []
    for piece in pieces:
        start = int(np.searchsorted(piece["group"], piece["group"][-1]))
        if start or (held and held[-1]["group"][-1] != piece["group"][0]):
            yield np.concatenate([*held, piece[:start]])
            held = []
        held.append(piece[start:])
    yield np.concatenate([np.empty(0, ROW), *held])
