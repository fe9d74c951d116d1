"""Outcomes of rankings: what a score that ranks rows does for each task.

A task's label is its joint one, on all impressions. By group: `ndcg@k` (gain: the label; discount 1 / log2(rank + 1);
over the ideal; mean over groups whose labels differ), `recall@k` and `value@k` (share of the group's positives, or of
its labels' sum, in its first k rows; mean over groups that have any), `map@k`, `mrr` and `mrr@k` (mean over groups with
a positive; nothing without groups), `gauc` and `gauc_positives` (mean area under the
curve over groups with both classes, weighted by rows or by positives). Over all rows: `recall@q%`, `value@q%`, `auc`;
and where no row has a group, `ndcg@k`, `recall@k` and `value@k`. Among equal scores every order counts alike.

Where rows have weights, shares of all rows and areas count a row of weight w as w equal rows. Lists do not: a place
among the first k is one row's, whatever it weighs. A row of weight 0 does not count at all.

Rows that come in pieces wait in a temporary file beyond a limit. By group, rows are put aside by a part of their
groups' numbers: each part has whole groups, is ranked in memory, and adds to the mean. Over all rows, the score at the
cut is found by counting scores by their upper bits, then by their lower ones; the rows above it are added up, and of
its equals the share that fits. So nothing is sorted as a whole.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.measure.grouped import Grouped, ratio
from bench.measure.lists import AREA, KINDS, NDCG, Floats, Wanted
from bench.measure.lists.gains import discounts, top
from bench.measure.resamples import Drawn, units_of
from bench.measure.whole import Whole
from bench.objectives import AREAS, LISTS, ranked, ranks_groups
from bench.schema import Task


def default_outcomes(tasks: Sequence[Task], group: NDArray[Any]) -> tuple[str, ...]:
    """One of each task: `ndcg@5` if groups are large enough, else `recall@10%`, `value@10%` of a regression.

    Groups are large enough if they have two rows on average, and a random order of them scores little
    (`bench.objectives.ranks_groups`).

    Args:
        group: (N,), negative where a row has none.
    """
    if ranks_groups(group):
        return tuple(f"{task.name}.ndcg@5" for task in tasks)
    return tuple(f"{task.name}.{'recall' if task.kind == 'binary' else 'value'}@10%" for task in tasks)


class Measure:
    """Outcomes of rankings of one set of rows: prepared once, asked for many scores.

    Args:
        tasks: in the order of the labels' columns.
        outcomes: `<task>.<outcome>`, see above.
        labels: (N, T), joint; NaN where unobserved: such a row does not count for that task.
        group: (N,), negative where there is none. Where some rows have one, the others do not count by group.
        split: whose resamples.
        resamples: B.
        units: (N,), what is drawn as a whole, see `bench.measure.resamples`; the same for all rows of a group. None
            takes these rows as the whole split.
        grouped: whether to rank by group; by itself where any row has one.
        weights: (N,), at least 0; None for equal ones.

    Attributes:
        names: the outcomes, (M,).

    Raises:
        ValueError: an outcome's name or task is unknown.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        outcomes: Sequence[str],
        labels: NDArray[Any],
        group: NDArray[Any],
        split: str,
        resamples: int = 0,
        units: NDArray[np.uint64] | None = None,
        grouped: bool | None = None,
        weights: NDArray[Any] | None = None,
    ) -> None:
        self.names = tuple(outcomes)
        grouped = bool((group >= 0).any()) if grouped is None else grouped
        wanted = wanted_of(tasks, outcomes, grouped)
        gains = wanted.gains(labels)
        if weights is not None:
            gains[:, weights == 0] = np.nan
        drawn = Drawn(units_of(group, 0) if units is None else units, split, resamples) if resamples else None
        self._prepare(np.arange(len(labels)), gains, group, wanted, drawn, weights)

    def _prepare(
        self,
        rows: NDArray[np.int64],
        gains: NDArray[np.float32],
        group: NDArray[Any],
        wanted: AllWanted,
        drawn: Drawn | None,
        weights: NDArray[Any] | None,
    ) -> None:
        """Of rows (N',) among all, with their gains (C, N'), groups (N',) and weights (N',)."""
        self._rows, self._gains, self._group, self._wanted, self._drawn = rows, gains, group, wanted, drawn
        self._weights = weights = None if weights is None else np.asarray(weights, np.float64)
        self._parts: list[tuple[list[int], NDArray[np.int64] | None, Grouped | Whole]] = []
        if wanted.by_group:
            of_group = Grouped(gains, group, list(wanted.by_group.values()), weights)
            self._parts.append((list(wanted.by_group), None, of_group))
        sets: dict[tuple[bytes, bool], list[int]] = {}
        seen = ~np.isnan(gains)
        for at, each in wanted.over_all.items():
            weighted = weights is not None and (each.percent or each.kind >= AREA)
            sets.setdefault((np.packbits(seen[each.column]).tobytes(), weighted), []).append(at)
        for (_, weighted), places in sets.items():
            of = [wanted.over_all[at] for at in places]
            there = seen[of[0].column]
            inside = None if there.all() else np.flatnonzero(there)
            own = gains if inside is None else gains[:, inside]
            of_rows = weights[there] if weighted and weights is not None else None
            self._parts.append((places, inside, Whole(own, of, of_rows)))
        if drawn is not None:
            for _, inside, part in self._parts:
                part.draw(drawn, rows if inside is None else rows[inside])

    def values(self, scores: NDArray[Any]) -> Floats:
        """(M,) outcomes of scores (N,); NaN where the rows do not define one."""
        scores = self._own(scores)
        found = np.full(len(self.names), np.nan)
        for places, inside, part in self._parts:
            found[places] = part.values(scores if inside is None else scores[inside])
        return found

    def resampled(self, scores: NDArray[Any]) -> Floats:
        """(1 + B, M): `values`, and the outcomes on each resample."""
        scores = self._own(scores)
        found = np.full((1 + (self._drawn.resamples if self._drawn else 0), len(self.names)), np.nan)
        for places, inside, part in self._parts:
            found[:, places] = part.resampled(scores if inside is None else scores[inside])
        return found

    def part(self, rows: NDArray[np.bool_]) -> Measure:
        """The same outcomes of some of the rows (N,) alone, on the same resamples; scores are still (N,)."""
        kept = np.flatnonzero(rows[self._rows])
        found = object.__new__(Measure)
        found.names = self.names
        weights = None if self._weights is None else self._weights[kept]
        found._prepare(self._rows[kept], self._gains[:, kept], self._group[kept], self._wanted, self._drawn, weights)
        return found

    def random(self) -> Floats:
        """(M,) expected outcomes of a random order."""
        return self.values(np.zeros(self._rows[-1] + 1 if len(self._rows) else 0))

    def _own(self, scores: NDArray[Any]) -> Floats:
        own = scores[self._rows].astype(np.float64)
        if not np.isfinite(own).all():
            raise ValueError("expected finite scores")
        return own


class AllWanted(NamedTuple):
    """How outcomes are measured.

    Attributes:
        columns: places of the gain columns: of a task its label, floored at 0, or whether (True) it is above 0.
        by_group, over_all: outcomes by their places.
    """

    columns: dict[tuple[int, bool], int]
    by_group: dict[int, Wanted]
    over_all: dict[int, Wanted]

    def gains(self, labels: NDArray[Any]) -> NDArray[np.float32]:
        """Labels (N, T) -> (C, N); NaN where unobserved."""
        found = np.empty((len(self.columns), len(labels)), np.float32)
        for (task, binary), at in self.columns.items():
            own = labels[:, task]
            found[at] = np.where(np.isnan(own), np.nan, own > 0) if binary else np.maximum(own, 0)
        return found


def wanted_of(tasks: Sequence[Task], outcomes: Sequence[str], grouped: bool) -> AllWanted:
    """How to measure outcomes.

    Args:
        grouped: whether any row has a group; without, an outcome that is by group alone is left out.

    Raises:
        ValueError: an outcome's name or task is unknown.
    """
    found, names = AllWanted({}, {}, {}), [task.name for task in tasks]
    for place, name in enumerate(outcomes):
        task, _, metric = name.partition(".")
        if task not in names:
            raise ValueError(f"outcome '{name}': expected a task of {', '.join(names)}, found '{task}'")
        at, of = names.index(task), ranked(metric)
        if of is None and metric not in AREAS:
            raise ValueError(f"expected an outcome of a ranking such as {task}.recall@10%, found '{name}'")
        binary = of is None or LISTS[of.measure].binary or tasks[at].kind == "binary"
        column = found.columns.setdefault((at, binary), len(found.columns))
        kind = KINDS[metric if of is None else of.measure]
        over_all = metric == "auc" if of is None else of.percent or not grouped
        if over_all and (of is None or LISTS[of.measure].of_all):
            found.over_all[place] = Wanted(column, kind, *(() if of is None else (of.cut, of.percent)))
        elif grouped:
            found.by_group[place] = Wanted(column, kind, *(() if of is None else (of.cut,)))
    return found


PARTS = 256
"""Of the groups; one is in memory at a time."""
ROW = np.dtype([("group", np.int32), ("score", np.float32), ("label", np.float32)])
Rows = NDArray[Any]
"""Of type `ROW`."""
_Chunks = Callable[[], Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]]
"""Iterates over keys and gains, each (n,), piece by piece and as often as is needed."""


class Stream:
    """Outcomes of one task with a cut (`ndcg@k`, `recall@10%`, ...), exactly as `Measure` has them in memory.

    Args:
        outcomes: their full names, as in `like.recall@10%`.
        limit: rows to hold, 12 bytes each; a part of the groups, about one in 256 of all rows, is held besides.
    """

    def __init__(self, task: Task, outcomes: Sequence[str], limit: int) -> None:
        self._task, self._outcomes, self._limit = task, tuple(outcomes), limit
        self._held: list[Rows] = []
        self._file: Any = None
        self._bounds: list[NDArray[np.int64]] = []  # of each flush the rows in the file at which its parts begin
        self._grouped = False

    def add(self, labels: NDArray[Any], scores: NDArray[Any], group: NDArray[Any]) -> None:
        """Counts rows in: joint labels, scores (taken as float32) and group (N,), negative where there is none."""
        self._grouped = self._grouped or bool((group >= 0).any())
        seen = np.flatnonzero(~np.isnan(labels))
        for start in range(0, len(seen), self._limit):
            rows = seen[start : start + self._limit]
            if sum(map(len, self._held)) + len(rows) > self._limit:
                self._put_aside()
            piece = np.empty(len(rows), ROW)
            piece["group"], piece["score"], piece["label"] = group[rows], scores[rows], labels[rows]
            self._held.append(piece)

    def result(self) -> dict[str, float]:
        """Outcomes by name; those that the rows do not define are left out."""
        if self._file is None:
            rows = np.concatenate([np.empty(0, ROW), *self._held])
            labels, group = rows["label"][:, None], rows["group"]
            measure = Measure((self._task,), self._outcomes, labels, group, "", grouped=self._grouped)
            values = measure.values(rows["score"])
        else:
            self._put_aside()
            values = self._beyond_memory()
        return {name: float(value) for name, value in zip(self._outcomes, values, strict=True) if value == value}

    def _put_aside(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as this object is there)
        rows = np.concatenate([np.empty(0, ROW), *self._held])
        self._held.clear()
        part = np.where(rows["group"] >= 0, rows["group"] % PARTS, 0).astype(np.uint8)
        first = self._bounds[-1][-1] if self._bounds else 0
        self._bounds.append(first + np.concatenate([[0], np.cumsum(np.bincount(part, minlength=PARTS))]))
        self._file.write(rows[np.argsort(part, kind="stable")].data)
        self._file.flush()

    def _read(self, start: int, end: int) -> Rows:
        if start == end:
            return np.empty(0, ROW)
        return np.memmap(self._file, ROW, "r", int(start) * ROW.itemsize, (int(end - start),))

    def _beyond_memory(self) -> Floats:
        wanted = wanted_of((self._task,), self._outcomes, self._grouped)
        found = np.full(len(self._outcomes), np.nan)
        if by_group := list(wanted.by_group.values()):
            above, below = np.zeros(len(by_group)), np.zeros(len(by_group))
            for part in range(PARTS):
                rows = np.concatenate([self._read(*bounds[part : part + 2]) for bounds in self._bounds])
                if not len(rows):
                    continue
                gains = wanted.gains(rows["label"][:, None])
                sums = Grouped(gains, rows["group"], by_group).sums(rows["score"].astype(np.float64))
                above, below = above + sums[0], below + sums[1]
            found[list(wanted.by_group)] = ratio(above, below)
        for at, each in wanted.over_all.items():
            found[at] = self._over_all(each, wanted)
        return found

    def _over_all(self, wanted: Wanted, of: AllWanted) -> float:
        def chunks(by: str) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
            for bounds in self._bounds:
                rows = self._read(bounds[0], bounds[-1])
                gains = of.gains(rows["label"][:, None])[wanted.column]
                yield (rows["score"] if by == "score" else gains), gains

        rows, total, least, most = 0, 0.0, math.inf, 0.0
        for _, gains in chunks("score"):
            rows += len(gains)
            if len(gains):
                total += gains.sum(dtype=np.float64)
                least, most = min(least, float(gains.min())), max(most, float(gains.max()))
        cut = min(wanted.cut / 100 * rows if wanted.percent else wanted.cut, rows)
        if most == 0 or (wanted.kind == NDCG and least == most):
            return math.nan
        best = _top(lambda: chunks("gain"), wanted.kind, cut) if wanted.kind == NDCG else total
        return _top(lambda: chunks("score"), wanted.kind, cut) / best


def _top(chunks: _Chunks, kind: int, cut: float) -> float:
    """What `top` says of all rows by descending key; at most `cut` rows are held, and only for `NDCG`."""
    bar = _nth(lambda: (codes(keys) for keys, _ in chunks()), math.ceil(cut))
    before, equals, gained, gained_by_equals = 0, 0, 0.0, 0.0
    held: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    for keys, gains in chunks():
        own = codes(keys)
        above, equal = own > bar, own == bar
        before += int(above.sum())
        equals += int(equal.sum())
        gained += float(gains[above].sum(dtype=np.float64))
        gained_by_equals += float(gains[equal].sum(dtype=np.float64))
        if kind == NDCG:
            held.append((keys[above], gains[above]))
    if kind != NDCG:
        return gained + gained_by_equals / equals * (cut - before)
    keys, gains = (np.concatenate(each) for each in zip(*held, strict=True))
    order, norms = np.argsort(-keys), discounts(int(cut))
    walked: float = top(keys[order].astype(np.float64), order, len(order), gains, kind, cut, norms, np.empty(0))
    return walked + gained_by_equals / equals * float(norms[int(cut)] - norms[before])


def codes(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Integers whose unsigned order is that of floats; -0 has the code of 0."""
    bits = (np.asarray(values) + np.float32(0)).view(np.uint32)
    return np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))


def _nth(pieces: Callable[[], Iterator[NDArray[np.uint32]]], rank: int) -> int:
    """The code of the row of that rank, from the largest; ranks count from 1."""
    upper = sum((np.bincount(piece >> 16, minlength=1 << 16) for piece in pieces()), np.zeros(1 << 16, np.int64))
    high, above = _bin(upper, rank)
    lower = np.zeros(1 << 16, np.int64)
    for piece in pieces():
        lower += np.bincount(piece[piece >> 16 == high] & 0xFFFF, minlength=1 << 16)
    return high << 16 | _bin(lower, rank - above)[0]


def _bin(counts: NDArray[np.int64], rank: int) -> tuple[int, int]:
    """The bin that holds a rank, and how many rows are in bins above it."""
    down = np.cumsum(counts[::-1])
    at = int(np.searchsorted(down, rank))
    return len(counts) - 1 - at, int(down[at] - counts[::-1][at])
