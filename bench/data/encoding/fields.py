"""Parts of an encoder that make embedding ids: local ids (N, slots), to which the encoder adds offsets.

A column of several values, as lists or as texts with separators, fills the slots of a row: see `list_codes`.
"""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field as Limits
from pydantic import FiniteFloat, NonNegativeInt, model_validator

from bench.core.registry import Config
from bench.core.schema import Field
from bench.data.codes import ABSENT, NULL, Codes, ColumnCodes, TextCodes, whole_numbers
from bench.data.columns import Keep
from bench.data.encoding.base import Known, Source, Vocabulary
from bench.data.values import distinct, filled, is_list, taken_apart, texts_of
from bench.system.intrinsics import jit


class Lists(NamedTuple):
    """How a multi-valued column is read."""

    source: Source
    separator: str
    """Between the values of a text."""
    slots: int
    keep: Keep
    repeats: bool = False
    """Whether a repeated value gets another slot."""


def list_codes(lists: Lists, values: TextCodes | ColumnCodes, table: pa.Table, grow: bool, spelled: bool) -> Codes:
    """Codes (N, slots) of a multi-valued column, ABSENT after the last value; `grow`, `spelled` as in `TextCodes`."""
    markers = lists.source.markers
    rows, joined = distinct(lists.source.column_of(table))
    if not is_list(joined.type):
        joined = pc.split_pattern(texts_of(joined, markers, spelled=True), lists.separator)
    first, items = taken_apart(joined)
    at, texts = distinct(items)
    alike = texts_of(texts, markers, spelled).dictionary_encode()
    own = np.append(filled(alike.indices, ABSENT), np.int32(ABSENT))[at]
    chosen = _chosen(lists, own, first, ABSENT)
    used = np.zeros(len(alike.dictionary) + 1, np.bool_)
    used[chosen] = True
    codes, kept = np.full(len(used), ABSENT, np.int32), np.flatnonzero(used[:-1])
    codes[kept] = values.code(alike.dictionary.take(pa.array(kept)), grow)  # only values that fill a slot get codes
    filling: Codes = codes[chosen].take(rows, axis=0)
    return filling


def fitted_lists(lists: Lists, values: ColumnCodes, table: pa.Table, grow: bool) -> Codes:
    """`list_codes` of raw spellings, for fitting; lists of whole numbers stay whole numbers."""
    column = lists.source.column_of(table)
    if is_list(column.type) and values.whole:
        rows, joined = distinct(column)
        first, items = taken_apart(joined)
        if (numbers := whole_numbers(items, lists.source.markers)) is not None:
            chosen = _chosen(lists, numbers, first, NULL)
            codes: Codes = values.code_numbers(chosen.ravel(), grow).reshape(chosen.shape)
            return codes.take(rows, axis=0)  # twice as fast as codes[rows]
    return list_codes(lists, values, table, grow, spelled=True)


def _chosen(lists: Lists, own: NDArray[Any], first: NDArray[np.int64], none: int) -> NDArray[Any]:
    """(L + 1, slots) values for the slots of each list, padded with `none`; the last row is empty, for code -1."""
    chosen = np.full((len(first), lists.slots), none, own.dtype)
    _choose(own, first, none, lists.keep == "last", lists.repeats, chosen)
    return chosen


@jit()
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


PAD = -1
"""Local id of an unused slot; it becomes row 0."""
LocalIds = NDArray[np.int32]


class CategoricalField(Config):
    """One value a row."""

    kind: Literal["categorical"] = "categorical"
    name: str
    source: Source
    vocabulary: Vocabulary

    @property
    def field(self) -> Field:
        """The field in the schema."""
        return Field(self.name, self.vocabulary.cardinality)

    def encode(self, table: pa.Table) -> LocalIds:
        """Local ids (N, 1)."""
        return self.known.of(self.source, table)[:, None]

    @cached_property
    def known(self) -> Known:
        """Look-up of its categories."""
        return Known(self.vocabulary.values, self.vocabulary.numbers, 0, 0)


class MultiValuedField(Config):
    """Several values in one text or list; a row without values has only padding."""

    kind: Literal["multi-valued"] = "multi-valued"
    name: str
    source: Source
    separator: str = Limits(min_length=1)
    """Between the values of a text."""
    slots: int = Limits(ge=1, le=2**16)
    keep: Keep
    """Which end of a longer list fills the slots."""
    vocabulary: Vocabulary

    @property
    def field(self) -> Field:
        """The field in the schema."""
        return Field(self.name, self.vocabulary.cardinality, self.slots)

    def encode(self, table: pa.Table) -> LocalIds:
        """Local ids (N, slots), each value of a row once and in order, padded at the end."""
        lists = Lists(self.source, self.separator, self.slots, self.keep)
        codes = list_codes(lists, self._known.codes, table, grow=False, spelled=self.source.spelled)
        local: LocalIds = self._known.meaning[codes]
        return local

    @cached_property
    def _known(self) -> Known:
        return Known(self.vocabulary.values, self.vocabulary.numbers, PAD, 0)


class HistoryField(Config):
    """The newest values of another field in earlier rows of the group, newest first, with repeats."""

    kind: Literal["history"] = "history"
    name: str
    source: Source
    """A list, or a text separated by commas, in rows that bring their own history."""
    of: str
    """The field whose vocabulary and table rows it uses."""
    slots: int = Limits(ge=2, le=2**16)

    def field(self, owner: CategoricalField) -> Field:
        """The field in the schema."""
        return Field(self.name, owner.vocabulary.cardinality, self.slots, self.of)

    def encode(self, table: pa.Table, owner: CategoricalField) -> LocalIds:
        """Local ids (N, slots), padded at the end."""
        known = owner.known
        lists = Lists(self.source, ",", self.slots, "first", repeats=True)
        codes = list_codes(lists, known.codes, table, grow=False, spelled=owner.source.spelled)
        return np.where(codes == ABSENT, PAD, known.meaning[codes])


@jit()
def _ranges(cuts: Any, numbers: Any, local: Any) -> None:
    """Finds each number's range, from 1 on, or the id of missing; all bisections advance together, vectorised."""
    for start in range(0, len(numbers), 512):
        some, first = numbers[start : start + 512], local[start : start + 512]
        first[:] = 0
        left = np.int32(len(cuts))
        while left > 1:
            half = left // np.int32(2)
            for row in range(len(some)):
                first[row] += half * np.int32(cuts[first[row] + half - 1] <= some[row])
            left -= half
        for row in range(len(some)):
            beyond = left == 1 and cuts[first[row]] <= some[row]
            first[row] = len(cuts) + 2 if np.isnan(some[row]) else first[row] + 1 + np.int32(beyond)


class BucketField(Config):
    """A number as one of V ranges of about equal count in train, and one more for missing."""

    kind: Literal["bucket"] = "bucket"
    number: str
    """Name of the numeric input."""
    source: Source
    edges: tuple[FiniteFloat, ...]
    """(V - 1,); x is in range 1 + (number of edges <= x)."""
    low: FiniteFloat
    high: FiniteFloat
    """Least and greatest number of train."""
    counts: tuple[NonNegativeInt, ...]
    """(V,) rows of train in each range."""

    @model_validator(mode="after")
    def _consistent(self) -> BucketField:
        if any(after < before for before, after in pairwise((self.low, *self.edges, self.high))):
            raise ValueError("expected low, edges and high in ascending order")
        if len(self.counts) != len(self.edges) + 1:
            raise ValueError(f"expected {len(self.edges) + 1} counts of ranges, found {len(self.counts)}")
        return self

    @property
    def name(self) -> str:
        """Name of the field."""
        return f"{self.number}_bucket"

    @property
    def field(self) -> Field:
        """The field in the schema."""
        return Field(self.name, len(self.edges) + 3)  # unknown, the ranges, missing

    def encode(self, table: pa.Table) -> LocalIds:
        """Local ids (N, 1)."""
        return self.encode_numbers(self.source.numbers(table))

    def encode_numbers(self, numbers: NDArray[np.float64]) -> LocalIds:
        """Local ids (N, 1) of numbers (N,)."""
        local = np.empty(len(numbers), np.int32)
        _ranges(self._cuts, numbers, local)
        return local[:, None]

    @cached_property
    def _cuts(self) -> NDArray[np.float64]:
        return np.array(self.edges)
