"""Outcomes of a ranking whose rows come in pieces; beyond a limit they wait in a temporary file.

By group, rows are put aside by a part of their groups' numbers: each part has whole groups, is ranked in memory, and
adds to the mean. Over all rows, the score at the cut is found by counting scores by their upper bits, then by their
lower ones; the rows above it are added up, and of its equals the share that fits. So nothing is sorted as a whole.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.outcomes.grouped import Grouped
from bench.outcomes.measure import Columns, Measure, columns_of
from bench.outcomes.tops import NDCG, Floats, Wanted, discounts, top
from bench.schema import Task

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
        columns, wanted = columns_of((self._task,), self._outcomes, self._grouped)
        by_group = [at for at, each in enumerate(wanted) if each is not None and each[0] == "group"]
        found = np.full(len(wanted), np.nan)
        if by_group:
            above, below = np.zeros(len(by_group)), np.zeros(len(by_group))
            for part in range(PARTS):
                rows = np.concatenate([self._read(*bounds[part : part + 2]) for bounds in self._bounds])
                if not len(rows):
                    continue
                gains = columns.gains(rows["label"][:, None])
                grouped = Grouped(gains, rows["group"], [wanted[at][1] for at in by_group])  # type: ignore[index]
                sums = grouped.sums(rows["score"].astype(np.float64))
                above, below = above + sums[0], below + sums[1]
            with np.errstate(all="ignore"):
                found[by_group] = np.where(below > 0, above / below, np.nan)
        for at, each in enumerate(wanted):
            if each is not None and each[0] == "all":
                found[at] = self._over_all(each[1], columns)
        return found

    def _over_all(self, wanted: Wanted, columns: Columns) -> float:
        def chunks(by: str) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
            for bounds in self._bounds:
                rows = self._read(bounds[0], bounds[-1])
                gains = columns.gains(rows["label"][:, None])[wanted.column]
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
    """What `tops.top` says of all rows by descending key; at most `cut` rows are held, and only for `NDCG`."""
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
    walked = top(keys[order].astype(np.float64), order, len(order), gains, kind, cut, norms)
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
