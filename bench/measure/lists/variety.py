"""`distinct@k`: how many values of a column are among the first rows.

A run of equal scores comes in any order. Where the cut falls into one, the rows above the cut are
drawn from it without replacement. A value whose t of n tied rows are not above has none among r of
them with chance (n - r) .. (n - r - t + 1) / n .. (n - t + 1).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats, Ints
from bench.core.system.intrinsics import jit
from bench.measure.lists.base import Gains, Lists, Walked, list_of, places_in_cut


@jit()
def _by_list(lists: Lists, codes: Gains, cut: float, out: Floats) -> None:
    scratch = _scratch(lists.places[: lists.starts[-1]], codes)
    once = np.empty(0, np.int64)
    for number in lists.defined:
        ranked, places = list_of(lists, number)
        out[number] = _variety(ranked, places, codes, once, cut, scratch)


@jit()
def _of_all(
    ranked: Floats, places: Ints, codes: Gains, counts: NDArray[Any], cuts: Floats, out: Floats
) -> None:
    scratch = _scratch(places, codes)
    for resample in range(len(cuts)):
        if cuts[resample] > 0:
            out[resample] = _variety(
                ranked, places, codes, counts[resample], cuts[resample], scratch
            )


@jit()
def _scratch(places: Ints, codes: Gains) -> Ints:
    """(3, codes of these places) zeros, see `_variety`."""
    highest = np.float32(-1)
    for place in places:
        if codes[place] > highest:
            highest = codes[place]
    return np.zeros((3, np.int64(highest) + 1), np.int64)


@jit()
def _variety(
    ranked: Floats,
    places: Ints,
    codes: Gains,
    counts: NDArray[Any],
    cut: float,
    scratch: Ints,
) -> float:
    """The expected number of distinct codes among the first `cut` rows.

    Rows whose code is NaN take no place. A cut between two places counts the last one in part.

    Args:
        ranked, places: as of `tied`.
        counts: (n,), as many equal rows each row stands for; empty for one each.
        scratch: (3, codes); the first two are zeros and are zeros again at the end.
    """
    seen = scratch[0]
    tied = scratch[1]
    run = scratch[2]
    before = 0.0
    distinct = 0.0
    rank = 0
    while rank < len(places) and before < cut:
        score = ranked[rank]
        values = 0
        rows = np.int64(0)
        while rank < len(places) and ranked[rank] == score:
            count = np.int64(counts[rank] if len(counts) else 1)
            if codes[places[rank]] == codes[places[rank]] and count:
                code = np.int64(codes[places[rank]])
                if tied[code] == 0:
                    run[values] = code
                    values += 1
                tied[code] += count
                rows += count
            rank += 1
        for code in run[:values]:
            if seen[code] == 0:
                distinct += 1 - _absent(rows, tied[code], cut - before)
            seen[code] += tied[code]
            tied[code] = 0
        before += rows
    for place in range(rank):
        if codes[places[place]] == codes[places[place]]:
            seen[np.int64(codes[places[place]])] = 0
    return distinct


@jit()
def _absent(rows: int, marked: int, room: float) -> float:
    """The chance that none of the marked ones of `rows` is among `room` of them; linear between
    whole numbers.
    """
    if room >= rows:
        return 0.0
    low = math.floor(room)
    total = 0.0
    for drawn, share in ((low, low + 1 - room), (low + 1, room - low)):
        chance = share
        for row in range(marked if share > 0 else 0):
            chance *= max(0, rows - drawn - row) / (rows - row)
        total += chance
    return total


distinct = Walked(_by_list, places_in_cut, _of_all)
