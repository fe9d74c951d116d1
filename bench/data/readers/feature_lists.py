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
"""Positions are unsigned: signed ones, which may count from the end, take a third more time."""
NEXT_FEATURE, ID_MARK, VALUE_MARK = 1, 2, 3
LINE_FEED, RETURN, COMMA, POINT = ord("\n"), ord("\r"), ord(","), ord(".")
PLUS, MINUS, SMALL_E, LARGE_E = ord("+"), ord("-"), ord("e"), ord("E")
DIGIT_0, DIGIT_9 = ord("0"), ord("9")
"""Bytes of the text."""
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
            column_or_none = column if summed else -1
            table[_entry(packed, table)] = packed, first, slots, column_or_none
            first += slots
            column += summed
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
    line_ends = int(np.count_nonzero(text == LINE_FEED))  # a fifth of the time of bytes.count
    slots = sum(wanted.slots)
    scanned = Lines(
        keys=np.empty(line_ends, np.uint64),
        labels=np.zeros((line_ends, 2), np.int8),
        ids=np.full((line_ends, slots), ABSENT, np.int64),
        sums=np.full((line_ends, sum(wanted.summed)), np.nan),
        offsets=np.empty(line_ends, np.int64),
    )
    weights = np.empty(max(slots, 1))
    bad_offsets = np.empty(line_ends, np.int64)
    n_fitting, n_bad = _scan(text, labelled, wanted.table(), _EXACT, *scanned, weights, bad_offsets)
    reasons = []
    for start in bad_offsets[:n_bad].tolist():
        line = block[start : block.index(b"\n", start)].rstrip(b"\r")
        reasons.append((block.count(b"\n", 0, start), _reason(line, labelled)))
    columns: list[Any] = [array[:n_fitting] for array in scanned]
    return Lines(*columns), reasons, line_ends


_FEATURE = re.compile(rb"[^\0- ,]+\x02\d{1,19}\x03-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def _reason(line: bytes, labelled: bool) -> str:
    columns = line.split(b",")
    expected = 6 if labelled else 3
    if len(columns) != expected:
        return f"expected {expected} columns separated by commas, found {len(columns)}"
    if labelled and not {*columns[1:3]} <= {b"0", b"1"}:
        return (
            "expected click and buy to be 0 or 1, found "
            f"{b' and '.join(columns[1:3]).decode(errors='replace')}"
        )
    if not columns[-3]:
        return "expected a common index, found none"
    for feature in columns[-1].split(b"\x01"):
        field, id_mark, rest = feature.partition(b"\x02")
        id_, value_mark, _ = rest.partition(b"\x03")
        clause = f"found {feature[:60]!r}".replace(" b", " ", 1)
        if not (field and id_mark and value_mark):
            return rf"expected features as field\x02id\x03value joined by \x01, {clause}"
        if not id_.isdigit() or int(id_) >= 2**63:
            return f"expected a feature's id to be a whole number below 2^63, {clause}"
        if not _FEATURE.fullmatch(feature):
            break
    return f"expected a feature's value to be a number, {clause}"


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
    position, row, n_bad = np.uint64(0), 0, 0
    while position < np.uint64(len(text)):  # the last byte ends a line
        start = position
        if text[position] == LINE_FEED or (
            text[position] == RETURN and text[position + ONE] == LINE_FEED
        ):
            position += ONE
            continue
        position = _before_features(text, position, labelled, keys[row : row + 1], labels[row])
        if position != NOWHERE:
            position = _features(text, position, table, exact, ids[row], sums[row], weights)
        if position != NOWHERE:
            offsets[row] = start
            row += 1
            continue
        bad[n_bad] = position = start
        n_bad += 1
        ids[row], sums[row] = ABSENT, np.nan
        while text[position] != LINE_FEED:
            position += ONE
    return row, n_bad


@jit()
def _before_features(text: Any, position: Any, labelled: bool, key: Any, labels: Any) -> Any:
    """Parses the columns before the features; returns the position after them, NOWHERE if they do
    not fit.
    """
    if labelled:
        position = _after_comma(text, position)
        for label in range(2):
            if position == NOWHERE or text[position + ONE] != COMMA:
                return NOWHERE
            if text[position] < DIGIT_0 or text[position] > DIGIT_0 + 1:
                return NOWHERE
            labels[label] = text[position] - DIGIT_0
            position += np.uint64(2)
    hashed, first = BASIS, position
    while text[position] != COMMA and text[position] != LINE_FEED:
        hashed = (hashed ^ np.uint64(text[position])) * PRIME  # FNV-1a
        position += ONE
    if text[position] != COMMA or position == first:
        return NOWHERE
    key[0] = mixed(hashed) & np.uint64(2**63 - 1)
    return _after_comma(text, position + ONE)


@jit()
def _after_comma(text: Any, position: Any) -> Any:
    while text[position] != COMMA and text[position] != LINE_FEED:
        position += ONE
    return position + ONE if text[position] == COMMA else NOWHERE


@jit()
def _features(
    text: Any, position: Any, table: Any, exact: Any, ids: Any, sums: Any, weights: Any
) -> Any:
    """Parses a line's features; returns the position after them, NOWHERE if they do not fit."""
    last = first = slots = column = np.int64(-1)
    while text[position] != LINE_FEED and text[position] != RETURN:
        field, begin = np.int64(0), position
        while text[position] > 32 and text[position] != COMMA:
            field = field << 8 | np.int64(text[position])
            position += ONE
        if text[position] != ID_MARK or position == begin:
            return NOWHERE
        position += ONE
        id_, begin = np.int64(0), position
        while DIGIT_0 <= text[position] <= DIGIT_9:
            id_ = id_ * 10 + np.int64(text[position] - DIGIT_0)
            position += ONE
        if text[position] != VALUE_MARK or position == begin or position - begin > 19 or id_ < 0:
            return NOWHERE
        value, position = _number(text, position + ONE, exact)
        if position == NOWHERE:
            return NOWHERE
        if text[position] == NEXT_FEATURE:
            position += ONE
            if text[position] == LINE_FEED or text[position] == RETURN:
                return NOWHERE
        elif text[position] != LINE_FEED and text[position] != RETURN:
            return NOWHERE
        if field != last:  # a list's features stand together
            last = field
            entry = _entry(field, table)
            first, slots, column = table[entry, 1], table[entry, 2], table[entry, 3]
        if slots > 0:
            _keep(ids, weights, np.uint64(first), np.uint64(slots), id_, value)
        if column >= 0:
            sums[column] = value if np.isnan(sums[column]) else sums[column] + value
    if text[position] == RETURN:
        position += ONE
    return position + ONE if text[position] == LINE_FEED else NOWHERE


@jit()
def _entry(field: Any, table: Any) -> Any:
    """Index of a packed name in the table, or of the free entry for it."""
    entry = field * 31 % 255
    while table[entry, 0] >= 0 and table[entry, 0] != field:
        entry = (entry + 1) % 256
    return entry


@jit()
def _number(text: Any, position: Any, exact: Any) -> Any:
    """Parses a number such as -2.5e3; returns it and the position after it, NOWHERE if there is
    none.
    """
    negative = text[position] == MINUS
    position += np.uint64(negative)
    mantissa, scale, begin = np.int64(0), np.int64(0), position  # of the first 18 digits
    while DIGIT_0 <= text[position] <= DIGIT_9:
        if mantissa < MOST_MANTISSA:
            mantissa = mantissa * 10 + np.int64(text[position] - DIGIT_0)
        else:
            scale -= 1
        position += ONE
    digits = position - begin
    if text[position] == POINT:
        position += ONE
        first = position
        while DIGIT_0 <= text[position] <= DIGIT_9:
            if mantissa < MOST_MANTISSA:
                mantissa = mantissa * 10 + np.int64(text[position] - DIGIT_0)
                scale += 1
            position += ONE
        digits += position - first
    if digits == 0:
        return 0.0, NOWHERE
    if text[position] == SMALL_E or text[position] == LARGE_E:
        position += ONE
        minus = text[position] == MINUS
        position += np.uint64(minus or text[position] == PLUS)
        exponent, begin = np.int64(0), position
        while DIGIT_0 <= text[position] <= DIGIT_9 and exponent < 1000:
            exponent = exponent * 10 + np.int64(text[position] - DIGIT_0)
            position += ONE
        if position == begin:
            return 0.0, NOWHERE
        scale += exponent if minus else -exponent
    value = np.float64(mantissa)
    if 0 <= scale <= 22:
        value /= exact[scale]
    elif -22 <= scale < 0:
        value *= exact[-scale]
    elif mantissa:
        value *= 10.0**-scale
    return -value if negative else value, position


@jit()
def _keep(ids: Any, weights: Any, first: Any, slots: Any, id_: Any, weight: Any) -> None:
    """Inserts an id among the heaviest; equal weights stay in order, a repeated id keeps its
    greater weight.
    """
    last = first + slots - ONE
    if ids[last] >= 0 and weights[last] >= weight:  # too light, whether it repeats or not
        return
    slot = first
    while slot < last and ids[slot] >= 0 and ids[slot] != id_:
        slot += ONE
    if ids[slot] == id_ and weights[slot] >= weight:
        return
    # The id's old entry, a free one or the lightest is overwritten.
    while slot > first and weights[slot - ONE] < weight:
        ids[slot], weights[slot] = ids[slot - ONE], weights[slot - ONE]
        slot -= ONE
    ids[slot], weights[slot] = id_, weight
