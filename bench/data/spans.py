"""Texts as stretches of one buffer of bytes, brought to their canonical form and split in compiled code.

The compiled form of `bench.data.values.canonical`: only what needs Unicode's tables goes through Python.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.data.values import canonical, plain


class Spans(NamedTuple):
    """n texts in UTF-8.

    Attributes:
        data: bytes.
        starts: (n,) where each text begins in `data`, -1 where it is missing.
        ends: (n,).
    """

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def text(self, at: int) -> str:
        """One of them."""
        return self.data[self.starts[at] : self.ends[at]].tobytes().decode()


def spans_of(values: Any, missing: Collection[str] = (), spelled: bool = False) -> Spans:
    """An Arrow array (n,) of any type, each value in its canonical form; `spelled` as in `canonical`."""
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return canonical_spans(stretches(values), missing, spelled)
    whole = _whole(values) if pa.types.is_floating(kind) else values if pa.types.is_integer(kind) else None
    if whole is not None:
        return canonical_spans(stretches(whole.cast(pa.string())), missing)
    return stretches(pa.array([canonical(value, missing, spelled) for value in plain(values)], pa.string()))


def _whole(values: Any) -> Any:
    """Floats as integers where all are whole and exactly so; None where not."""
    numbers = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    known = ~np.isnan(numbers)
    if (np.abs(numbers[known]) >= 2**53).any() or (np.floor(numbers[known]) != numbers[known]).any():
        return None
    return pa.array(np.where(known, numbers, 0).astype(np.int64), mask=~known)


def stretches(array: Any) -> Spans:
    """The buffers of an Arrow array of strings, not copied."""
    kind = np.int64 if pa.types.is_large_string(array.type) else np.int32
    _, offsets, data = array.buffers()
    if len(array) == 0:
        return Spans(np.empty(0, np.uint8), np.empty(0, np.int64), np.empty(0, np.int64))
    at = np.frombuffer(offsets, kind, len(array) + 1, array.offset * np.dtype(kind).itemsize).astype(np.int64)
    starts, ends = at[:-1].copy(), at[1:]
    if array.null_count:
        starts[array.is_null().to_numpy(zero_copy_only=False)] = -1
    bytes_ = np.frombuffer(data, np.uint8) if data is not None and data.size else np.empty(0, np.uint8)
    return Spans(bytes_, starts, ends)


def canonical_spans(spans: Spans, missing: Collection[str] = (), spelled: bool = False) -> Spans:
    """As `values.canonical` does it: outer blanks and the zeros of 1.0 go, markers and empty texts are missing."""
    starts, ends = spans.starts.copy(), spans.ends.copy()
    marks = stretches(pa.array(list(missing), pa.string()))
    asked = np.flatnonzero(_trim(spans.data, starts, ends, *marks, spelled))
    if len(asked) == 0:
        return Spans(spans.data, starts, ends)
    texts = [canonical(spans.text(at), missing, spelled) for at in asked.tolist()]
    found = stretches(pa.array(texts, pa.string()))
    starts[asked] = np.where(found.starts < 0, -1, found.starts + len(spans.data))
    ends[asked] = found.ends + len(spans.data)
    return Spans(np.concatenate([spans.data, found.data]), starts, ends)


def split_spans(spans: Spans, separator: str) -> tuple[Spans, NDArray[np.int64]]:
    """The pieces between separators, missing texts have none; and (n + 1,) where each text's pieces begin."""
    mark = np.frombuffer(separator.encode(), np.uint8)
    first = np.zeros(len(spans.starts) + 1, np.int64)
    _count_pieces(*spans, mark, first)
    np.cumsum(first, out=first)
    starts, ends = np.empty(first[-1], np.int64), np.empty(first[-1], np.int64)
    _cut(*spans, mark, starts, ends)
    return Spans(spans.data, starts, ends), first


@numba.njit(nogil=True, cache=True)
def _blank(byte: Any) -> Any:
    """What Python's `str.strip` takes off, of ASCII."""
    return byte == 32 or 9 <= byte <= 13 or 28 <= byte <= 31


@numba.njit(nogil=True, cache=True)
def _maybe_blank(data: Any, at: Any, start: Any) -> Any:
    """Whether the character that `data[at]` is part of might be a blank beyond ASCII (U+0085 to U+3000)."""
    while at > start and 128 <= data[at] < 192:
        at -= 1
    return data[at] == 0xC2 or 0xE1 <= data[at] <= 0xE3


@numba.njit(nogil=True, cache=True)
def _marked(data: Any, start: Any, end: Any, marks: Any, mark_starts: Any, mark_ends: Any) -> bool:
    for mark in range(len(mark_starts)):
        if mark_ends[mark] - mark_starts[mark] == end - start:
            at = 0
            while at < end - start and data[start + at] == marks[mark_starts[mark] + at]:
                at += 1
            if at == end - start:
                return True
    return False


@numba.njit(nogil=True, cache=True)
def _trim(
    data: Any, starts: Any, ends: Any, marks: Any, mark_starts: Any, mark_ends: Any, spelled: bool
) -> NDArray[np.bool_]:
    """Narrows each stretch in place; returns which texts Python must see, because Unicode's tables decide."""
    asked = np.zeros(len(starts), np.bool_)
    for row in range(len(starts)):
        start, end = starts[row], ends[row]
        if start < 0:
            continue
        while start < end and _blank(data[start]):
            start += 1
        while end > start and _blank(data[end - 1]):
            end -= 1
        if start == end:
            starts[row] = -1
            continue
        if _maybe_blank(data, start, start) or _maybe_blank(data, end - 1, start):
            asked[row] = True
            continue
        starts[row], ends[row] = start, end
        if _marked(data, start, end, marks, mark_starts, mark_ends):
            starts[row] = -1
            continue
        if data[end - 1] != 48:
            continue
        at = end  # the zeros of 12.00
        while at > start and data[at - 1] == 48:
            at -= 1
        if at == start or data[at - 1] != 46:
            continue
        point = at - 1
        at = start + (data[start] == 45)
        digits = at
        while digits < point and 48 <= data[digits] <= 57:
            digits += 1
        if digits == point and point > at:
            if at > start and point - at == 1 and data[at] == 48:
                starts[row] = start = at  # -0.0 is 0.0
            if _marked(data, start, point, marks, mark_starts, mark_ends) or _marked(
                data, start, end, marks, mark_starts, mark_ends
            ):
                starts[row] = -1
            elif not spelled:
                ends[row] = point
        elif digits < point and data[digits] >= 128:
            asked[row] = True  # other alphabets have digits too
            starts[row] = start
    return asked


@numba.njit(nogil=True, cache=True)
def _is_at(data: Any, at: Any, end: Any, mark: Any) -> bool:
    if at + len(mark) > end:
        return False
    for i in range(len(mark)):  # noqa: SIM110  compiled as it stands
        if data[at + i] != mark[i]:
            return False
    return True


@numba.njit(nogil=True, cache=True)
def _count_pieces(data: Any, starts: Any, ends: Any, mark: Any, first: Any) -> None:
    for row in range(len(starts)):
        at = starts[row]
        if at < 0:
            continue
        first[row + 1] = 1
        while at < ends[row]:
            if _is_at(data, at, ends[row], mark):
                first[row + 1] += 1
                at += len(mark)
            else:
                at += 1


@numba.njit(nogil=True, cache=True)
def _cut(data: Any, starts: Any, ends: Any, mark: Any, out_starts: Any, out_ends: Any) -> None:
    piece = 0
    for row in range(len(starts)):
        at = starts[row]
        if at < 0:
            continue
        out_starts[piece] = at
        while at < ends[row]:
            if _is_at(data, at, ends[row], mark):
                out_ends[piece] = at
                at += len(mark)
                piece += 1
                out_starts[piece] = at
            else:
                at += 1
        out_ends[piece] = ends[row]
        piece += 1
