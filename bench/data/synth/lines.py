"""Numbers -> bytes of feature lists, `field \\x02 id \\x03 value` joined by `\\x01`, in compiled code."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


class Words(NamedTuple):
    """Short texts by number: the bytes of all, and where each begins (n + 1,)."""

    text: NDArray[np.uint8]
    start: Numbers

    @classmethod
    def of(cls, words: list[str]) -> Words:
        """Packs a list."""
        sizes = np.cumsum([0, *map(len, words)])
        return cls(np.frombuffer("".join(words).encode(), np.uint8), sizes.astype(np.int64))


class Features(NamedTuple):
    """The features of n lines: C at most one by one, and lists of any length after them.

    Attributes:
        fields: (C,) number of the field of each column.
        ids: (n, C), -1 where the line lacks it.
        weights: (n, C) number of the value's text.
        start: (n + 1,) where a line's list begins in the next three.
        list_fields, list_ids, list_weights: (m,).
    """

    fields: Numbers
    ids: Numbers
    weights: Numbers
    start: Numbers
    list_fields: Numbers
    list_ids: Numbers
    list_weights: Numbers


def lines(heads: Numbers, keys: NDArray[np.uint64], features: Features, fields: Words, values: Words) -> memoryview:
    """The bytes of n lines.

    Args:
        heads: (n, H) numbers before the common index: sample id, click and buy, or none.
        keys: (n,) common indices, written as 16 hexadecimal digits.
    """
    count = features.ids.size + len(features.list_ids)
    buffer = np.empty(count * 44 + len(keys) * (48 + 21 * heads.shape[1]), np.uint8)
    size = _format(buffer, heads, keys, *features, *fields, *values)
    return buffer[:size].data


@numba.njit(nogil=True, cache=True)
def _number(buffer: Any, at: int, number: int) -> int:
    digits, rest = 1, number // 10
    while rest > 0:
        digits, rest = digits + 1, rest // 10
    for place in range(at + digits - 1, at - 1, -1):
        buffer[place] = 48 + number % 10
        number //= 10
    return at + digits


@numba.njit(nogil=True, cache=True)
def _word(buffer: Any, at: int, text: Any, start: Any, word: int) -> int:
    for place in range(start[word], start[word + 1]):
        buffer[at] = text[place]
        at += 1
    return at


@numba.njit(nogil=True, cache=True)
def _feature(
    buffer: Any, at: int, first: bool, field: int, id_: int, weight: int, texts: Any, starts: Any, values: Any,
    ends: Any,
) -> int:  # fmt: skip
    if not first:
        buffer[at] = 1
        at += 1
    at = _word(buffer, at, texts, starts, field)
    buffer[at] = 2
    at = _number(buffer, at + 1, id_)
    buffer[at] = 3
    return _word(buffer, at + 1, values, ends, weight)


@numba.njit(nogil=True, cache=True)
def _format(
    buffer: Any, heads: Any, keys: Any, fields: Any, ids: Any, weights: Any, start: Any, list_fields: Any,
    list_ids: Any, list_weights: Any, field_text: Any, field_start: Any, value_text: Any, value_start: Any,
) -> int:  # fmt: skip
    at = 0
    for row in range(len(keys)):
        for column in range(heads.shape[1]):
            at = _number(buffer, at, heads[row, column])
            buffer[at] = 44
            at += 1
        for shift in range(60, -4, -4):
            digit = (keys[row] >> np.uint64(shift)) & np.uint64(15)
            buffer[at] = digit + np.uint64(48 if digit < 10 else 87)
            at += 1
        count = start[row + 1] - start[row]
        for column in range(ids.shape[1]):
            count += ids[row, column] >= 0
        buffer[at] = 44
        at = _number(buffer, at + 1, count)
        buffer[at] = 44
        at += 1
        first = True
        for column in range(ids.shape[1]):
            if ids[row, column] >= 0:
                at = _feature(buffer, at, first, fields[column], ids[row, column], weights[row, column],
                              field_text, field_start, value_text, value_start)  # fmt: skip
                first = False
        for k in range(start[row], start[row + 1]):
            at = _feature(buffer, at, first, list_fields[k], list_ids[k], list_weights[k],
                          field_text, field_start, value_text, value_start)  # fmt: skip
            first = False
        buffer[at] = 10
        at += 1
    return at
