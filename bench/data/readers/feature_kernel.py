"""The compiled scanner of lines with lists of weighted features; see `feature_lists`."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from bench.data.hashing import BASIS, PRIME, mixed


@numba.njit(nogil=True, cache=True)
def scan_lines(
    text: Any, labelled: bool, table: Any, exact: Any, keys: Any, labels: Any, ids: Any, sums: Any, offsets: Any,
    weights: Any,
) -> tuple[int, int, int]:  # fmt: skip
    """Rows read of whole lines, and number and place of the first problem (0: none)."""
    at, row, size = 0, 0, len(text)
    last, probe = np.int64(-1), np.int64(0)
    while at < size:  # the last byte ends a line
        if text[at] == 10 or (text[at] == 13 and at + 1 < size and text[at + 1] == 10):
            at += 1
            continue
        offsets[row] = at
        start = at
        if labelled:
            while text[at] != 44 and text[at] != 10:
                at += 1
            for label in range(2):
                if text[at] != 44:
                    return row, 1, start
                if at + 2 >= size or text[at + 2] != 44 or text[at + 1] < 48 or text[at + 1] > 49:
                    while text[at] != 10:  # tell a short line from a bad label
                        at += 1
                    commas = 0
                    for place in range(start, at):
                        commas += text[place] == 44
                    return row, 1 if commas != 5 else 2, start
                labels[row, label] = text[at + 1] - 48
                at += 2
            at += 1
        key, first = BASIS, at
        while text[at] != 44 and text[at] != 10:
            key = (key ^ np.uint64(text[at])) * PRIME  # FNV-1a
            at += 1
        if text[at] != 44:
            return row, 1, start
        if at == first:
            return row, 6, start
        keys[row] = mixed(key) & np.uint64(2**63 - 1)
        at += 1
        while text[at] != 44 and text[at] != 10:
            at += 1
        if text[at] != 44:
            return row, 1, start
        at += 1
        while text[at] != 10 and text[at] != 13:
            begin = at
            field = np.int64(0)
            while text[at] > 32 and text[at] != 44:
                field = field << 8 | np.int64(text[at])
                at += 1
            if text[at] != 2 or at == begin:
                if text[at] == 44:
                    return row, 1, start
                return row, 3, begin
            at += 1
            id_, place = np.int64(0), at
            while 48 <= text[at] <= 57:
                id_ = id_ * 10 + np.int64(text[at] - 48)
                at += 1
            if at - place > 19 or id_ < 0:
                return row, 4, begin
            if text[at] != 3 or at == place:
                if text[at] > 32 or (at == place and text[at] == 3):
                    return row, 4, begin
                return row, 3, begin
            at += 1
            negative = text[at] == 45
            if negative:
                at += 1
            mantissa, digits, scale, point = np.int64(0), np.int64(0), np.int64(0), False
            while True:
                byte = text[at]
                if 48 <= byte <= 57:
                    if digits < 18:
                        mantissa = mantissa * 10 + np.int64(byte - 48)
                        digits += np.int64(mantissa > 0)
                        scale += np.int64(point)
                    else:
                        scale -= np.int64(not point)
                elif byte == 46 and not point:
                    point = True
                else:
                    break
                at += 1
            if not 48 <= text[at - 1] <= 57 and not (text[at - 1] == 46 and 48 <= text[at - 2] <= 57):
                return row, 5, begin
            if text[at] == 101 or text[at] == 69:
                at += 1
                minus = text[at] == 45
                if text[at] == 45 or text[at] == 43:
                    at += 1
                exponent, place = np.int64(0), at
                while 48 <= text[at] <= 57 and exponent < 1000:
                    exponent = exponent * 10 + (text[at] - 48)
                    at += 1
                if at == place:
                    return row, 5, begin
                scale += exponent if minus else -exponent
            if text[at] == 44:
                return row, 1, start
            if text[at] != 1 and text[at] != 10 and text[at] != 13:
                return row, 5, begin
            value = np.float64(mantissa)
            if 0 <= scale <= 22:
                value /= exact[scale]
            elif -22 <= scale < 0:
                value *= exact[-scale]
            else:
                value *= 10.0**-scale
            if negative:
                value = -value
            if text[at] == 1:
                at += 1
                if text[at] == 10 or text[at] == 13:
                    return row, 3, begin
            if field != last:  # a list's features stand together
                last, probe = field, field * 31 % 255
                while table[probe, 0] >= 0 and table[probe, 0] != field:
                    probe = (probe + 1) % 256
            if table[probe, 0] < 0:
                continue
            _keep(ids[row], weights, table[probe, 1], table[probe, 2], id_, value)
            column = table[probe, 3]
            if column >= 0:
                sums[row, column] = value if np.isnan(sums[row, column]) else sums[row, column] + value
        if text[at] == 13:
            at += 1
            if text[at] != 10:
                return row, 3, at - 1
        at += 1
        row += 1
    return row, 0, 0


@numba.njit(nogil=True, cache=True)
def _keep(ids: Any, weights: Any, first: int, slots: int, id_: Any, weight: Any) -> None:
    """Inserts an id among the heaviest; equal weights stay in order, an id that repeats keeps its greater weight."""
    if slots == 0:
        return
    end = first + slots
    if ids[end - 1] >= 0 and weights[end - 1] >= weight:  # too light, whether it repeats or not
        return
    used = first
    while used < end and ids[used] >= 0:
        if ids[used] == id_:
            if weights[used] >= weight:
                return
            for place in range(used, end - 1):
                ids[place], weights[place] = ids[place + 1], weights[place + 1]
            ids[end - 1] = -1
            break
        used += 1
    used = first
    while used < end and ids[used] >= 0 and weights[used] >= weight:
        used += 1
    if used == end:
        return
    for place in range(end - 1, used, -1):
        ids[place], weights[place] = ids[place - 1], weights[place - 1]
    ids[used], weights[used] = id_, weight
