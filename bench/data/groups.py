"""An order of rows that keeps groups whole: for losses that compare the rows of a group within a batch.

Groups come in random order, and a group's rows in random order one behind the other. Batches have exactly the size that
they have without groups. A batch whose rest no group fits, of those that come next, is filled with a part of one; so
at most one group a batch is cut, beside those that are larger than a batch.

Rows of a group are alike, so a batch holds less that differs. The variance of a batch's mean is larger by the factor
1 + (m - 1) r, for groups of m rows that correlate by r (Kish, Survey Sampling, 1965); over a pass all rows come once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.system.intrinsics import jit

WAITING = 64
"""Groups that wait for a batch with enough room before one is cut."""


def grouped_order(
    group: NDArray[Any], size: int, rng: np.random.Generator, room: int | None = None
) -> NDArray[np.int64]:
    """Numbers of rows (N,), to be cut into batches of `size` rows; the order depends on `rng` alone.

    Args:
        group: (N,), negative for a row without group, which stands alone.
        room: rows of the first batch; None for `size`.
    """
    rows = rng.permutation(len(group))
    of_row = np.asarray(group)[rows]
    by_group = np.argsort(of_row, kind="stable")
    rows, of_row = rows[by_group], of_row[by_group]
    new = np.ones(len(rows), np.bool_)
    new[1:] = (of_row[1:] != of_row[:-1]) | (of_row[1:] < 0)
    begins = np.flatnonzero(new)
    within = np.arange(len(rows)) - np.repeat(begins, np.diff(begins, append=len(rows)))
    starts = np.flatnonzero(within % size == 0)  # a group larger than a batch is several
    many = np.diff(starts, append=len(rows))
    mixed = rng.permutation(len(starts))
    starts, many = _packed(starts[mixed], many[mixed], size, size if room is None else room)
    places = np.arange(len(rows)) + np.repeat(starts - np.cumsum(many) + many, many)
    found: NDArray[np.int64] = rows[places]
    return found


@jit()
def _packed(
    starts: NDArray[np.int64], many: NDArray[np.int64], size: int, room: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Puts spans of rows into batches: first in the first with room; one that has waited longest is cut to fill up."""
    total = many.sum()
    found_starts = np.empty(len(starts) + total // size + 2, np.int64)  # at most one cut a batch
    found_many = np.empty_like(found_starts)
    waiting = np.empty(WAITING, np.int64)
    at, held, coming = 0, 0, 0
    if room == 0:
        room = size
    while coming < len(starts) or held:
        place = -1
        for k in range(held):
            if many[waiting[k]] <= room:
                place = k
                break
        if place < 0 and coming < len(starts) and held < WAITING:
            waiting[held] = coming
            held += 1
            coming += 1
            continue
        cut = place < 0
        place = max(place, 0)
        one = waiting[place]
        taken = min(room, many[one])
        found_starts[at], found_many[at] = starts[one], taken
        at += 1
        room -= taken
        if room == 0:
            room = size
        if cut:
            starts[one] += taken
            many[one] -= taken
        else:
            waiting[place : held - 1] = waiting[place + 1 : held].copy()
            held -= 1
    return found_starts[:at], found_many[:at]
