"""Lines with lists of weighted features, `field \x02 id \x03 value` joined by `\x01`, scanned by compiled code.

A block of text becomes arrays: for each wanted field its heaviest ids, up to a given number, and the sum of all its
values. The kernel holds no lock, so that blocks can be scanned side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from bench.data.codes import BASIS, PRIME, mixed


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


ABSENT = -1
"""Id where a line lacks the field, or has fewer values than there are slots."""
PROBLEMS = {
    1: "expected {columns} columns separated by commas, found {found}",
    2: "expected click and buy to be 0 or 1, found {found}",
    3: "expected features as field\\x02id\\x03value joined by \\x01, found {found}",
    4: "expected a feature's id to be a whole number below 2^63, found {found}",
    5: "expected a feature's value to be a number, found {found}",
    6: "expected a common index, found {found}",
}
_EXACT = np.array([float(f"1e{power}") for power in range(23)])  # a double holds these exactly


@dataclass(frozen=True)
class Wanted:
    """Which fields to keep.

    Attributes:
        names: fields, at most 7 characters each, so that a name fits into a number.
        slots: for each field how many ids, 0 for none.
        summed: for each field whether its values are summed.
    """

    names: tuple[str, ...]
    slots: tuple[int, ...]
    summed: tuple[bool, ...]

    def table(self) -> NDArray[np.int64]:
        """(256, 4): an open-addressed table of packed name, first slot, slots and column of the sum (-1: none)."""
        table = np.full((256, 4), -1, np.int64)
        first = column = 0
        for name, slots, summed in zip(self.names, self.slots, self.summed, strict=True):
            packed = int.from_bytes(name.encode(), "big")
            at = packed * 31 % 255
            while table[at, 0] >= 0:
                at = (at + 1) % 256
            table[at] = packed, first, slots, column if summed else -1
            first, column = first + slots, column + summed
        return table


class Lines(NamedTuple):
    """What n lines hold.

    Attributes:
        keys: (n,) hash of the common index, of 63 bits.
        labels: (n, 2) click and buy, 0 in files without.
        ids: (n, S) for each field its slots, heaviest first, `ABSENT` after the last.
        sums: (n, D), NaN where the field is absent.
        offsets: (n,) where each line begins in the block.
    """

    keys: NDArray[np.uint64]
    labels: NDArray[np.int8]
    ids: NDArray[np.int64]
    sums: NDArray[np.float64]
    offsets: NDArray[np.int64]


BadLine = tuple[int, str]
"""Number of a line in the block, from 0, that does not fit the format; and why, in a clause."""


def scan(block: bytes, wanted: Wanted, labelled: bool) -> tuple[Lines, list[BadLine], int]:
    """Reads whole lines: what those hold that fit the format, those that do not, and how many ends of lines there are.

    Args:
        labelled: whether lines are `sample, click, buy, index, count, features`, else `index, count, features`.
    """
    found, bad = [], list[BadLine]()
    if not block.endswith(b"\n"):
        block += b"\n"
    start, lines, ends = 0, 0, block.count(b"\n")
    while True:
        part, problem, at = _until_bad(block[start:] if start else block, wanted, labelled, ends + 1 - lines)
        found.append(part._replace(offsets=part.offsets + start))
        if not problem:
            break
        bad.append((lines + block.count(b"\n", start, start + at), _reason(block, problem, start + at, labelled)))
        lines = bad[-1][0] + 1
        start = block.find(b"\n", start + at) + 1
        if start == 0:
            break
    return _joined(found), bad, ends


def _joined(parts: list[Lines]) -> Lines:
    if len(parts) == 1:
        return parts[0]
    columns: list[Any] = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Lines(*columns)


def _until_bad(block: bytes, wanted: Wanted, labelled: bool, lines: int) -> tuple[Lines, int, int]:
    """The lines before the first problem, at most `lines`; its number (0: none) and place."""
    text = np.frombuffer(block, np.uint8)
    slots, sums = sum(wanted.slots), sum(wanted.summed)
    found = Lines(
        np.empty(lines, np.uint64),
        np.zeros((lines, 2), np.int8),
        np.full((lines, slots), ABSENT, np.int64),
        np.full((lines, sums), np.nan),
        np.empty(lines, np.int64),
    )
    rows, problem, at = scan_lines(text, labelled, wanted.table(), _EXACT, *found, np.empty(max(slots, 1)))
    columns: list[Any] = [array[:rows] for array in found]
    return Lines(*columns), problem, at


def _reason(block: bytes, problem: int, at: int, labelled: bool) -> str:
    start, end = block.rfind(b"\n", 0, at) + 1, block.find(b"\n", at)
    line = block[start : end if end >= 0 else None].rstrip(b"\r")
    if problem == 1:
        return PROBLEMS[1].format(columns=6 if labelled else 3, found=line.count(b",") + 1)
    if problem == 2:
        return PROBLEMS[2].format(found=" and ".join(line.decode(errors="replace").split(",")[1:3]))
    if problem == 6:
        return PROBLEMS[6].format(found="none")
    first = max(block.rfind(b"\x01", start, at), block.rfind(b",", start, at)) + 1
    last = min((p for p in (block.find(b"\x01", at), block.find(b"\n", at)) if p >= 0), default=len(block))
    return PROBLEMS[problem].format(found=repr(block[first:last][:60])[1:])
