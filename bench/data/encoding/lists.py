"""Columns of several values a row, as lists or in one text with separators: which values fill the slots of a row."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

from bench.data.codes import ABSENT, Codes
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


def list_codes(lists: Lists, values: TextCodes, table: Any, fitting: bool) -> Codes:
    """Codes (N, slots) of a multi-valued column, ABSENT after the last value.

    Args:
        fitting: whether values are taken as they are spelled, and new ones get codes; else they are UNKNOWN.
    """
    source, spelled = lists.source, fitting or lists.source.spelled
    column = source.column_of(table)
    if is_list(column.type):
        rows, joined = distinct(column)
        first, items = taken_apart(joined)
        at, found = distinct(items)
        pieces = spans_of(found, source.missing, spelled)
    else:
        rows, joined = source.spans(table, spelled=True)
        pieces, first = split_spans(joined, lists.separator)
        pieces = canonical_spans(pieces, source.missing, spelled)
        at = np.arange(len(pieces.starts), dtype=np.int32)
    alike = TextCodes()  # of this part alone: only what fills a slot is to be counted
    own = np.append(alike.code(pieces), np.int32(ABSENT))[at]
    chosen = np.full((len(first), lists.slots), ABSENT, np.int32)  # the last serves code -1
    _choose(own, first, lists.keep == "last", lists.repeats, chosen)
    used = np.zeros(len(alike) + 1, np.bool_)
    used[chosen] = True
    kept = np.flatnonzero(used[:-1])
    codes, texts = np.full(len(used), ABSENT, np.int32), alike.spans
    codes[kept] = values.code(Spans(texts.data, texts.starts[kept], texts.ends[kept]), fitting)
    return codes[chosen][rows]


@numba.njit(nogil=True, cache=True)
def _choose(own: Any, first: Any, last: bool, repeats: bool, chosen: Any) -> None:
    """For each list its first or last values that are not missing, in order, as many as there are slots."""
    for row in range(len(first) - 1):
        used, slots = 0, chosen.shape[1]
        for step in range(first[row + 1] - first[row]):
            value = own[first[row + 1] - 1 - step if last else first[row] + step]
            fresh = value >= 0
            for slot in range(0 if repeats else used):
                fresh = fresh and chosen[row, slot] != value
            if fresh:
                chosen[row, used] = value
                used += 1
                if used == slots:
                    break
        if last:
            chosen[row, :used] = chosen[row, :used][::-1].copy()
