"""Several categories a row: a list, or one text with separators."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field as Limits

from bench.core import schema
from bench.core.arrays import Mask
from bench.core.system.intrinsics import jit
from bench.data.codes import ABSENT, NULL, Codes, ColumnCodes, TextCodes, whole_numbers
from bench.data.columns.base import EXAMPLES, PAD, FieldPart, Finding, Kind, LocalIds, Reads, Source
from bench.data.columns.vocabulary import Known, ValueFitter, Vocabulary
from bench.data.values import distinct, filled, is_list, taken_apart, texts_of

if TYPE_CHECKING:
    from bench.data.inspection.column import Counted

KeptEnd = Literal["first", "last"]
"""Which values of a list stay where it has more than there are slots."""


class Lists(NamedTuple):
    """How a multi-valued column is read."""

    source: Source
    separator: str
    """Between the values of a text."""
    slots: int
    keep: KeptEnd
    repeats: bool = False
    """Whether a repeated value gets another slot."""


def list_codes(
    lists: Lists, values: TextCodes | ColumnCodes, table: pa.Table, grow: bool, spelled: bool
) -> Codes:
    """Codes (N, slots) of a multi-valued column, ABSENT after the last value; `grow`, `spelled` as
    in `TextCodes`.
    """
    markers = lists.source.markers
    rows, joined = distinct(lists.source.values(table))
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
    codes[kept] = values.code(
        alike.dictionary.take(pa.array(kept)), grow
    )  # only values that fill a slot get codes
    filling: Codes = codes[chosen].take(rows, axis=0)
    return filling


def fitted_lists(lists: Lists, values: ColumnCodes, table: pa.Table, grow: bool) -> Codes:
    """`list_codes` of raw spellings, for fitting; lists of whole numbers stay whole numbers."""
    column = lists.source.values(table)
    if is_list(column.type) and values.whole:
        rows, joined = distinct(column)
        first, items = taken_apart(joined)
        if (numbers := whole_numbers(items, lists.source.markers)) is not None:
            chosen = _chosen(lists, numbers, first, NULL)
            codes: Codes = values.code_numbers(chosen.ravel(), grow).reshape(chosen.shape)
            return codes.take(rows, axis=0)  # twice as fast as codes[rows]
    return list_codes(lists, values, table, grow, spelled=True)


def _chosen(lists: Lists, own: NDArray[Any], first: NDArray[np.int64], none: int) -> NDArray[Any]:
    """(L + 1, slots) values for the slots of each list, padded with `none`; the last row is empty,
    for code -1.
    """
    chosen = np.full((len(first), lists.slots), none, own.dtype)
    _choose(own, first, none, lists.keep == "last", lists.repeats, chosen)
    return chosen


@jit()
def _choose(own: Any, first: Any, none: Any, last: bool, repeats: bool, chosen: Any) -> None:
    """For each list its first or last values that are not missing, in order, as many as there are
    slots.
    """
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


class MultiValuedField(FieldPart):
    """Several values in one text or list; a row without values has only padding."""

    kind: Literal["multi-valued"] = "multi-valued"
    name: str
    source: Source
    separator: str = Limits(min_length=1)
    """Between the values of a text."""
    slots: int = Limits(ge=1, le=2**16)
    keep: KeptEnd
    """Which end of a longer list fills the slots."""
    vocabulary: Vocabulary
    reads: ClassVar[Reads] = "list"

    @property
    def field(self) -> schema.Field:
        """The field in the schema."""
        return schema.Field(self.name, self.vocabulary.cardinality, self.slots)

    def encode(self, table: pa.Table) -> LocalIds:
        """Local ids (N, slots), each value of a row once and in order, padded at the end."""
        lists = Lists(self.source, self.separator, self.slots, self.keep)
        codes = list_codes(lists, self._known.codes, table, grow=False, spelled=self.source.spelled)
        local: LocalIds = self._known.meaning[codes]
        return local

    @cached_property
    def _known(self) -> Known:
        return Known(self.vocabulary.values, self.vocabulary.numbers, PAD, 0)

    def _examples(self) -> list[Any]:
        texts = [value for value in self.vocabulary.values if value is not None][:EXAMPLES]
        ends = [at % len(texts) + 1 if texts else 0 for at in range(EXAMPLES)]
        return [self.separator.join(texts[:end]) or None for end in ends]


class MultiValuedFitter(ValueFitter):
    """Fits a column with several values a row."""

    def __init__(self, name: str, source: Source, column: Any, min_count: int = 1) -> None:
        super().__init__(name, source, column, min_count)
        self.width = column.max_length

    def take(self, table: pa.Table, train: Mask, grow: bool = True) -> Codes:
        """Codes (n, slots), ABSENT after the last; values without a slot are neither coded nor
        counted.
        """
        lists = Lists(self.source, self.column.separator, self.width, self.column.keep)
        codes = fitted_lists(lists, self.values, table, grow)
        self._count(codes, train)
        return codes

    def finish(self) -> tuple[MultiValuedField]:
        """The field, with the values frequent enough in train."""
        vocabulary = self._vocabulary()
        self.local[ABSENT] = PAD
        given = {"separator": self.column.separator, "slots": self.width, "keep": self.column.keep}
        return (
            MultiValuedField(name=self.name, source=self.source, vocabulary=vocabulary, **given),
        )


class MultiValued(Kind):
    """A list of categories, as parquet holds lists or in one text: several slots of one field,
    pooled by the model.
    """

    kind: Literal["multi-valued"] = "multi-valued"
    separator: str = Limits(",", min_length=1)
    """Between the values of a text; lists need none."""
    max_length: int = Limits(5, ge=1, le=1000)
    """Slots; a longer list keeps as many distinct values."""
    keep: KeptEnd = "first"
    """Which values of a longer list stay."""
    min_count: int | None = Limits(None, ge=1)
    reads: ClassVar[Reads] = "list"
    fits: ClassVar = MultiValuedFitter
    parts: ClassVar = (MultiValuedField,)

    @property
    def slots(self) -> int:  # type: ignore[override]
        """Values of a row."""
        return self.max_length

    @classmethod
    def draft(cls, column: Counted, labels: Any) -> Finding | None:
        """Lists, and texts that are lists by their parts."""
        if column.lists:
            return _drafted(
                {}, "lists", [text.count("|") + 1 for text in column.texts()], column.counts
            )
        if column.numbers is None:
            texts, counts = column.texts(MOST_TEXTS), np.sort(column.counts)[::-1][:MOST_TEXTS]
            for separator in SEPARATORS:
                if (lengths := list_lengths(texts, counts, separator)) is not None:
                    return _drafted(
                        {"separator": separator},
                        f"lists with {separator!r} between",
                        lengths,
                        counts,
                    )
        return None


SEPARATORS = ("|", ";", ",")
MOST_TEXTS = 20_000
"""Distinct texts that are looked at."""


def list_lengths(
    texts: Sequence[str], counts: NDArray[np.int64], separator: str
) -> list[int] | None:
    """(V,) how many parts each text has, where they are lists with that separator between, else
    None.

    In a list the same part stands in several texts, and now first, now later; in "Paris, TX" or
    "[10,20)" each part has its place.
    """
    lists = [[part.strip() for part in text.split(separator) if part.strip()] for text in texts]
    lengths = [*map(len, lists)]
    if counts[np.array(lengths) > 1].sum() < 0.1 * counts.sum():
        return None
    first = {parts[0] for parts in lists if len(parts) > 1}
    later = {part for parts in lists for part in parts[1:]}
    repeat = sum(lengths) >= 2 * len({part for parts in lists for part in parts})
    return lengths if repeat and len(first & later) >= 0.3 * len(first | later) else None


def _drafted(
    option: dict[str, Any], why: str, lengths: Sequence[int], counts: NDArray[np.int64]
) -> Finding:
    longest = max(lengths)
    most = int(np.quantile(lengths, 0.95, weights=counts, method="inverted_cdf"))
    slots = min(max(most, 2), 50)
    whole = (
        "" if longest <= slots else f"; 95% are no longer than {slots}, later values are left out"
    )
    return Finding(
        {"kind": "multi-valued", **option, "max_length": slots},
        f"{why}, up to {longest} long{whole}",
    )
