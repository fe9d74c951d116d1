"""Several categories a row: a list, or one text with separators."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import cycle, islice
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
from bench.data.columns.vocabulary import Lookup, ValueFitter, Vocabulary
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
    list_of_row, joined = distinct(lists.source.values(table))
    if not is_list(joined.type):
        joined = pc.split_pattern(texts_of(joined, markers, spelled=True), lists.separator)
    starts, members = taken_apart(joined)
    spelling_of_member, spellings = distinct(members)
    texts = texts_of(spellings, markers, spelled).dictionary_encode()
    text_of_spelling = np.append(filled(texts.indices, ABSENT), np.int32(ABSENT))
    chosen = _chosen(lists, text_of_spelling[spelling_of_member], starts, ABSENT)
    fills_slot = np.zeros(len(texts.dictionary) + 1, np.bool_)
    fills_slot[chosen] = True
    coded = np.flatnonzero(fills_slot[:-1])
    codes = np.full(len(fills_slot), ABSENT, np.int32)
    codes[coded] = values.code(texts.dictionary.take(pa.array(coded)), grow)
    return np.asarray(codes[chosen].take(list_of_row, axis=0))


def fitted_lists(lists: Lists, values: ColumnCodes, table: pa.Table, grow: bool) -> Codes:
    """`list_codes` of raw spellings, for fitting; lists of whole numbers stay whole numbers."""
    column = lists.source.values(table)
    if is_list(column.type) and values.whole:
        list_of_row, joined = distinct(column)
        starts, members = taken_apart(joined)
        numbers = whole_numbers(members, lists.source.markers)
        if numbers is not None:
            chosen = _chosen(lists, numbers, starts, NULL)
            codes: Codes = values.code_numbers(chosen.ravel(), grow).reshape(chosen.shape)
            return codes.take(list_of_row, axis=0)  # twice as fast as codes[list_of_row]
    return list_codes(lists, values, table, grow, spelled=True)


def _chosen(
    lists: Lists, members: NDArray[Any], starts: NDArray[np.int64], none: int
) -> NDArray[Any]:
    """(L + 1, slots) members for the slots of each list, padded with `none`; the last row is empty,
    for code -1.
    """
    chosen = np.full((len(starts), lists.slots), none, members.dtype)
    _choose(members, starts, none, lists.keep == "last", lists.repeats, chosen)
    return chosen


@jit()
def _choose(members: Any, starts: Any, none: Any, last: bool, repeats: bool, chosen: Any) -> None:
    """For each list its first or last members that are not missing, in order, as many as there are
    slots.
    """
    slots = chosen.shape[1]
    for row in range(len(starts) - 1):
        start, end = starts[row], starts[row + 1]
        filled_slots = 0
        for step in range(end - start):
            member = members[end - 1 - step if last else start + step]
            fresh = member != none
            for slot in range(0 if repeats else filled_slots):
                fresh = fresh and chosen[row, slot] != member
            if fresh:
                chosen[row, filled_slots] = member
                filled_slots += 1
                if filled_slots == slots:
                    break
        if last:
            chosen[row, :filled_slots] = chosen[row, :filled_slots][::-1].copy()


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
        codes = list_codes(
            lists, self._lookup.codes, table, grow=False, spelled=self.source.spelled
        )
        return self._lookup.meaning[codes]

    @cached_property
    def _lookup(self) -> Lookup:
        return Lookup(self.vocabulary.values, self.vocabulary.local_ids, PAD, 0)

    def _examples(self) -> list[Any]:
        texts = [value for value in self.vocabulary.values if value is not None][:EXAMPLES]
        if not texts:
            return [None] * EXAMPLES
        joined = [self.separator.join(texts[:end]) or None for end in range(1, len(texts) + 1)]
        return list(islice(cycle(joined), EXAMPLES))


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
        field = MultiValuedField(
            name=self.name,
            source=self.source,
            vocabulary=vocabulary,
            separator=self.column.separator,
            slots=self.width,
            keep=self.column.keep,
        )
        return (field,)


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
            lengths = [text.count("|") + 1 for text in column.texts()]
            return _drafted({}, "lists", lengths, column.counts)
        if column.numbers is not None:
            return None
        texts = column.texts(MOST_TEXTS)
        counts = np.sort(column.counts)[::-1][:MOST_TEXTS]
        for separator in SEPARATORS:
            lengths_or_none = list_lengths(texts, counts, separator)
            if lengths_or_none is not None:
                why = f"lists with {separator!r} between"
                return _drafted({"separator": separator}, why, lengths_or_none, counts)
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
    lengths = []
    all_parts, first, later = set[str](), set[str](), set[str]()
    for text in texts:
        parts = [part.strip() for part in text.split(separator) if part.strip()]
        lengths.append(len(parts))
        all_parts.update(parts)
        if len(parts) > 1:
            first.add(parts[0])
            later.update(parts[1:])
    if counts[np.array(lengths) > 1].sum() < 0.1 * counts.sum():
        return None
    parts_repeat = sum(lengths) >= 2 * len(all_parts)
    if not parts_repeat or len(first & later) < 0.3 * len(first | later):
        return None
    return lengths


def _drafted(
    option: dict[str, Any], why: str, lengths: Sequence[int], counts: NDArray[np.int64]
) -> Finding:
    longest = max(lengths)
    usual_length = int(np.quantile(lengths, 0.95, weights=counts, method="inverted_cdf"))
    slots = min(max(usual_length, 2), 50)
    why += f", up to {longest} long"
    if longest > slots:
        why += f"; 95% are no longer than {slots}, later values are left out"
    return Finding({"kind": "multi-valued", **option, "max_length": slots}, why)
