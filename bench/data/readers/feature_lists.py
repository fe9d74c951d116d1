r"""Scans lines with lists of weighted features, `field \x02 id \x03 value` joined by `\x01`, by
compiled code.

A block of text becomes arrays: for each wanted field its heaviest ids, up to a given number, and
the sum of its values. The compiled code holds no lock, so blocks can be scanned in parallel.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.core.system.intrinsics import jit
from bench.data.codes import BASIS, PRIME, mixed

ABSENT = -1
"""Id where a line lacks the field, or has fewer values than slots."""
ONE, NOWHERE = np.uint64(1), np.uint64(2**64 - 1)
"""Places are unsigned: signed ones, which may count from the end, take a third more time."""
MOST_MANTISSA = 10**17
"""Mantissa from which one more digit may not fit into 64 bits."""
_EXACT = np.array([float(f"1e{power}") for power in range(23)])  # a double holds these exactly


class WantedFields(NamedTuple):
    """Fields to keep."""

    names: tuple[str, ...]
    """At most 7 characters each, so that a name fits into a number."""
    slots: tuple[int, ...]
    """Number of ids of each field, 0 for none."""
    summed: tuple[bool, ...]
    """Whether to sum the values of each field."""

    def table(self) -> NDArray[np.int64]:
        """(256, 4) open-addressed hash table: packed name, first slot, slots and column of the sum
        (-1: none).
        """
        table = np.full((256, 4), -1, np.int64)
        first = column = 0
        for name, slots, summed in zip(self.names, self.slots, self.summed, strict=True):
            packed = int.from_bytes(name.encode(), "big")
            table[_place(packed, table)] = packed, first, slots, column if summed else -1
            first, column = first + slots, column + summed
        return table


class Lines(NamedTuple):
    """n scanned lines."""

    keys: NDArray[np.uint64]
    """(n,) 63-bit hash of the common index."""
    labels: NDArray[np.int8]
    """(n, 2) click and buy, 0 in unlabelled files."""
    ids: NDArray[np.int64]
    """(n, S) the slots of each field, heaviest first, then `ABSENT`."""
    sums: NDArray[np.float64]
    """(n, D), NaN where the field is absent."""
    offsets: NDArray[np.int64]
    """(n,) start of each line in the block."""


def scan(
    block: bytes, wanted: WantedFields, labelled: bool
) -> tuple[Lines, list[tuple[int, str]], int]:
    """Scans lines `sample, click, buy, index, count, features` if `labelled`, else `index, count,
    features`.

    Returns those that fit, (number from 0, reason) of the others, and the number of line ends.
    """
    if not block.endswith(b"\n"):
        block += b"\n"
    text = np.frombuffer(block, np.uint8)
    ends, slots = (
        int(np.count_nonzero(text == 10)),
        sum(wanted.slots),
    )  # a fifth of the time of bytes.count
    scanned = Lines(
        np.empty(ends, np.uint64),
        np.zeros((ends, 2), np.int8),
        np.full((ends, slots), ABSENT, np.int64),
        np.full((ends, sum(wanted.summed)), np.nan),
        np.empty(ends, np.int64),
    )
    bad, weights = np.empty(ends, np.int64), np.empty(max(slots, 1))
    rows, wrong = _scan(text, labelled, wanted.table(), _EXACT, *scanned, weights, bad)
    reasons = [
        (
            block.count(b"\n", 0, at),
            _reason(block[at : block.index(b"\n", at)].rstrip(b"\r"), labelled),
        )
        for at in bad[:wrong].tolist()
    ]
    columns: list[Any] = [array[:rows] for array in scanned]
    return Lines(*columns), reasons, ends


_FEATURE = re.compile(rb"[^\0- ,]+\x02\d{1,19}\x03-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def _reason(line: bytes, labelled: bool) -> str:
    columns = line.split(b",")
    if len(columns) != (expected := 6 if labelled else 3):
        return f"expected {expected} columns separated by commas, found {len(columns)}"
    if labelled and not {*columns[1:3]} <= {b"0", b"1"}:
        return (
            "expected click and buy to be 0 or 1, found "
            f"{b' and '.join(columns[1:3]).decode(errors='replace')}"
        )
    if not columns[-3]:
        return "expected a common index, found none"
    for feature in columns[-1].split(b"\x01"):
        field, mark, rest = feature.partition(b"\x02")
        id_, second, _ = rest.partition(b"\x03")
        found = f"found {feature[:60]!r}".replace(" b", " ", 1)
        if not (field and mark and second):
            return rf"expected features as field\x02id\x03value joined by \x01, {found}"
        if not id_.isdigit() or int(id_) >= 2**63:
            return f"expected a feature's id to be a whole number below 2^63, {found}"
        if not _FEATURE.fullmatch(feature):
            break
    return f"expected a feature's value to be a number, {found}"


@jit()
def _scan(
    text: Any,
    labelled: bool,
    table: Any,
    exact: Any,
    keys: Any,
    labels: Any,
    ids: Any,
    sums: Any,
    offsets: Any,
    weights: Any,
    bad: Any,
) -> tuple[int, int]:
    """Returns the numbers of lines that fit and of those that do not, whose offsets go into
    `bad`.
    """
    at, row, wrong = np.uint64(0), 0, 0
    while at < np.uint64(len(text)):  # the last byte ends a line
        start = at
        if text[at] == 10 or (text[at] == 13 and text[at + ONE] == 10):
            at += ONE
            continue
        at = _heads(text, at, labelled, keys[row : row + 1], labels[row])
        if at != NOWHERE:
            at = _features(text, at, table, exact, ids[row], sums[row], weights)
        if at != NOWHERE:
            offsets[row] = start
            row += 1
            continue
        bad[wrong] = at = start
        wrong += 1
        ids[row], sums[row] = ABSENT, np.nan
        while text[at] != 10:
            at += ONE
    return row, wrong


@jit()
def _heads(text: Any, at: Any, labelled: bool, key: Any, labels: Any) -> Any:
    """Parses the columns before the features; returns the position after them, NOWHERE if they do
    not fit.
    """
    if labelled:
        at = _after_comma(text, at)
        for label in range(2):
            if at == NOWHERE or text[at] < 48 or text[at] > 49 or text[at + ONE] != 44:
                return NOWHERE
            labels[label] = text[at] - 48
            at += np.uint64(2)
    hashed, first = BASIS, at
    while text[at] != 44 and text[at] != 10:
        hashed = (hashed ^ np.uint64(text[at])) * PRIME  # FNV-1a
        at += ONE
    if text[at] != 44 or at == first:
        return NOWHERE
    key[0] = mixed(hashed) & np.uint64(2**63 - 1)
    return _after_comma(text, at + ONE)


@jit()
def _after_comma(text: Any, at: Any) -> Any:
    while text[at] != 44 and text[at] != 10:
        at += ONE
    return at + ONE if text[at] == 44 else NOWHERE


@jit()
def _features(text: Any, at: Any, table: Any, exact: Any, ids: Any, sums: Any, weights: Any) -> Any:
    """Parses a line's features; returns the position after them, NOWHERE if they do not fit."""
    last = first = slots = column = np.int64(-1)
    while text[at] != 10 and text[at] != 13:
        field, begin = np.int64(0), at
        while text[at] > 32 and text[at] != 44:
            field = field << 8 | np.int64(text[at])
            at += ONE
        if text[at] != 2 or at == begin:
            return NOWHERE
        at += ONE
        id_, begin = np.int64(0), at
        while 48 <= text[at] <= 57:
            id_ = id_ * 10 + np.int64(text[at] - 48)
            at += ONE
        if text[at] != 3 or at == begin or at - begin > 19 or id_ < 0:
            return NOWHERE
        value, at = _number(text, at + ONE, exact)
        if at == NOWHERE or (text[at] != 1 and text[at] != 10 and text[at] != 13):
            return NOWHERE
        if text[at] == 1:
            at += ONE
            if text[at] == 10 or text[at] == 13:
                return NOWHERE
        if field != last:  # a list's features stand together
            last, place = field, _place(field, table)
            first, slots, column = table[place, 1], table[place, 2], table[place, 3]
        if slots > 0:
            _keep(ids, weights, np.uint64(first), np.uint64(slots), id_, value)
        if column >= 0:
            sums[column] = value if np.isnan(sums[column]) else sums[column] + value
    if text[at] == 13:
        at += ONE
    return at + ONE if text[at] == 10 else NOWHERE


@jit()
def _place(field: Any, table: Any) -> Any:
    """Index of a packed name in the table, or of the free entry for it."""
    place = field * 31 % 255
    while table[place, 0] >= 0 and table[place, 0] != field:
        place = (place + 1) % 256
    return place


@jit()
def _number(text: Any, at: Any, exact: Any) -> Any:
    """Parses a number such as -2.5e3; returns it and the position after it, NOWHERE if there is
    none.
    """
    negative = text[at] == 45
    at += np.uint64(negative)
    mantissa, scale, begin = np.int64(0), np.int64(0), at  # of the first 18 digits
    while 48 <= text[at] <= 57:
        if mantissa < MOST_MANTISSA:
            mantissa = mantissa * 10 + np.int64(text[at] - 48)
        else:
            scale -= 1
        at += ONE
    digits = at - begin
    if text[at] == 46:
        at += ONE
        first = at
        while 48 <= text[at] <= 57:
            if mantissa < MOST_MANTISSA:
                mantissa = mantissa * 10 + np.int64(text[at] - 48)
                scale += 1
            at += ONE
        digits += at - first
    if digits == 0:
        return 0.0, NOWHERE
    if text[at] == 101 or text[at] == 69:
        at += ONE
        minus = text[at] == 45
        at += np.uint64(minus or text[at] == 43)
        exponent, begin = np.int64(0), at
        while 48 <= text[at] <= 57 and exponent < 1000:
            exponent = exponent * 10 + np.int64(text[at] - 48)
            at += ONE
        if at == begin:
            return 0.0, NOWHERE
        scale += exponent if minus else -exponent
    value = np.float64(mantissa)
    if 0 <= scale <= 22:
        value /= exact[scale]
    elif -22 <= scale < 0:
        value *= exact[-scale]
    elif mantissa:
        value *= 10.0**-scale
    return -value if negative else value, at


@jit()
def _keep(ids: Any, weights: Any, first: Any, slots: Any, id_: Any, weight: Any) -> None:
    """Inserts an id among the heaviest; equal weights stay in order, a repeated id keeps its
    greater weight.
    """
    last = first + slots - ONE
    if ids[last] >= 0 and weights[last] >= weight:  # too light, whether it repeats or not
        return
    used = first
    while used < last and ids[used] >= 0 and ids[used] != id_:
        used += ONE
    if ids[used] == id_ and weights[used] >= weight:
        return
    while (
        used > first and weights[used - ONE] < weight
    ):  # overwrites the id's old entry, a free one or the lightest
        ids[used], weights[used] = ids[used - ONE], weights[used - ONE]
        used -= ONE
    ids[used], weights[used] = id_, weight
