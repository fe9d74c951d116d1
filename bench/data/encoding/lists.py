"""Columns of several values a row, as lists or in one text with separators: which values fill the slots of a row."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from bench.data.codes import ABSENT, NULL, Codes
from bench.data.column_codes import ColumnCodes, whole_numbers
from bench.data.columns import Keep
from bench.data.encoding.base import Source
from bench.data.spans import Spans, canonical_spans, spans_of, split_spans
from bench.data.text_codes import TextCodes
from bench.data.values import distinct, is_list, taken_apart


class Lists(NamedTuple):
    """How a multi-valued column is read.

    Attributes:
        separator: between the values of a text.
        slots: values of a row that are kept.
        keep: the first of them or the last.
        repeats: whether a value that comes again has another slot.
    """

    source: Source
    separator: str
    slots: int
    keep: Keep
    repeats: bool = False


def list_codes(lists: Lists, values: TextCodes | ColumnCodes, table: Any, grow: bool, spelled: bool) -> Codes:
    """Codes (N, slots) of a multi-valued column, ABSENT after the last value.

    Args:
        grow: whether new values get codes; else they are UNKNOWN.
        spelled: whether texts are taken as they are spelled.
    """
    source = lists.source
    column = source.column_of(table)
    if is_list(column.type):
        rows, joined = distinct(column)
        first, items = taken_apart(joined)
        at, found = distinct(items)
        pieces = spans_of(found, source.markers, spelled)
    else:
        rows, joined = source.spans(table, spelled=True)
        pieces, first = split_spans(joined, lists.separator)
        pieces = canonical_spans(pieces, source.missing, spelled)
        at = np.arange(len(pieces.starts), dtype=np.int32)
    alike = TextCodes()  # of this part alone: only what fills a slot is to be counted
    own = np.append(alike.code(pieces), np.int32(ABSENT))[at]
    chosen = _chosen(lists, own, first, ABSENT)
    used = np.zeros(len(alike) + 1, np.bool_)
    used[chosen] = True
    kept = np.flatnonzero(used[:-1])
    codes, texts = np.full(len(used), ABSENT, np.int32), alike.spans
    codes[kept] = values.code(Spans(texts.data, texts.starts[kept], texts.ends[kept]), grow)
    of_list: Codes = codes[chosen]
    return of_list[rows]


def fitted_lists(lists: Lists, values: ColumnCodes, table: Any, grow: bool) -> Codes:
    """As `list_codes`, as they are spelled; lists of whole numbers stay such."""
    column = lists.source.column_of(table)
    if is_list(column.type) and values.whole:
        rows, joined = distinct(column)
        first, items = taken_apart(joined)
        if (numbers := whole_numbers(items, lists.source.markers)) is not None:
            chosen = _chosen(lists, numbers, first, NULL)
            codes: Codes = values.code_numbers(chosen.ravel(), grow).reshape(chosen.shape)
            return codes[rows]
    return list_codes(lists, values, table, grow, spelled=True)


def _chosen(lists: Lists, own: NDArray[Any], first: NDArray[np.int64], none: int) -> NDArray[Any]:
    """(L + 1, slots) what fills the slots of each list; `none` is no value; the last is empty and serves code -1."""
    chosen = np.full((len(first), lists.slots), none, own.dtype)
    _choose(own, first, none, lists.keep == "last", lists.repeats, chosen)
    return chosen


@numba.njit(nogil=True, cache=True)
def _choose(own: Any, first: Any, none: Any, last: bool, repeats: bool, chosen: Any) -> None:
    """For each list its first or last values that are not missing, in order, as many as there are slots."""
    for row in range(len(first) - 1):
        used, slots = 0, chosen.shape[1]
        for step in range(first[row + 1] - first[row]):
            value = own[first[row + 1] - 1 - step if last else first[row] + step]
            fresh = value != none
            for slot in range(0 if repeats else used):
                fresh = fresh and chosen[row, slot] != value
            if fresh:
                chosen[row, used] = value
                used += 1
                if used == slots:
                    break
        if last:
            chosen[row, :used] = chosen[row, :used][::-1].copy()
