"""Fitters of fields: values become provisional codes while they are counted, and local ids once train has been seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.codes import ABSENT, Codes, count_codes
from bench.data.column_codes import ColumnCodes, whole_numbers
from bench.data.columns import MultiValued
from bench.data.encoding.base import Source
from bench.data.encoding.fields import PAD, CategoricalField, MultiValuedField
from bench.data.encoding.lists import Lists, fitted_lists
from bench.data.encoding.vocabulary import Vocabulary, ranked
from bench.data.spans import spans_of
from bench.data.values import canonical, distinct, whole_column

Mask = NDArray[np.bool_]


class Tally:
    """Rows of train for each code, 8 bytes each."""

    def __init__(self) -> None:
        self.counts = np.zeros(1024, np.int64)

    def add(self, codes: Codes, train: Mask, size: int) -> None:
        """Counts codes (n, L) of train rows; codes are below `size`."""
        if size > len(self.counts):
            self.counts.resize(max(size, len(self.counts) * 3 // 2), refcheck=False)  # the new end is zero
        count_codes(codes, train, self.counts)


def vocabulary_of(
    texts: Sequence[str | None], counts: NDArray[np.int64], codes: NDArray[np.int64], min_count: int, size: int
) -> tuple[Vocabulary, NDArray[np.int32]]:
    """The vocabulary, and (size + 2,) the local id of each code, the last two for UNKNOWN and missing.

    Args:
        texts: candidates, None for missing.
        counts: of each candidate, rows of train.
        codes: of each candidate, -1 for missing.
    """
    order = ranked(texts, counts, min_count)
    local = np.zeros(size + 2, np.int32)
    local[codes[order]] = np.arange(1, len(order) + 1)
    return Vocabulary(values=tuple(texts[at] for at in order)), local


class _TextFitter:
    """What both have in common: values are coded as they are spelled, until all are known.

    Attributes:
        source: final after `finish`.
        spellings: one number in two spellings, where there is one.
        local: (V + 2,) local id of each code, the last two for UNKNOWN and ABSENT; final after `finish`.
    """

    def __init__(self, name: str, source: Source, min_count: int) -> None:
        self.name, self.source, self.min_count = name, source, min_count
        self.values, self._tally = ColumnCodes(), Tally()
        self.local = np.zeros(2, np.int32)
        self.spellings: tuple[str, str] | None = None

    def texts(self, codes: Sequence[int]) -> list[str]:
        """What codes stand for in the encoder."""
        texts = self.values.texts(codes)
        return texts if self.source.spelled or self.values.whole else [canonical(text) or text for text in texts]

    def _kept(self) -> NDArray[np.int64]:
        """Codes of what train held often enough; from here on it is known what spellings mean."""
        self.spellings = self.values.two_spellings()
        self.source = self.source.model_copy(update={"spelled": self.spellings is not None})
        return np.flatnonzero(self._tally.counts[: len(self.values)] >= max(self.min_count, 1))


class CategoricalFitter(_TextFitter):
    """One value a row."""

    width = 1

    def __init__(self, name: str, source: Source, min_count: int) -> None:
        super().__init__(name, source, min_count)
        self._missing = 0

    def take(self, table: Any, train: Mask, grow: bool = True) -> Codes:
        """Codes (n, 1), ABSENT where missing; new values get codes, or are UNKNOWN unless `grow`."""
        codes = self._codes(table, grow)[:, None]
        self._tally.add(codes, train, len(self.values))
        self._missing += int((codes[train] == ABSENT).sum())
        return codes

    def _codes(self, table: Any, grow: bool) -> Codes:
        source, column = self.source, whole_column(self.source.column_of(table))
        if self.values.whole and (numbers := whole_numbers(column, source.markers)) is not None:
            return self.values.code_numbers(numbers, grow)
        rows, values = distinct(column)
        if self.values.whole and (numbers := whole_numbers(values, source.markers)) is not None:
            codes = self.values.code_numbers(numbers, grow)
        else:
            codes = self.values.code(spans_of(values, source.markers, spelled=True), grow)
        return np.append(codes, np.int32(ABSENT))[rows]

    def finish(self) -> CategoricalField:
        """What train held often enough."""
        kept = self._kept()
        texts: list[str | None] = [*self.texts(kept.tolist()), None]
        counts = np.append(self._tally.counts[kept], self._missing)
        vocabulary, self.local = vocabulary_of(texts, counts, np.append(kept, -1), self.min_count, len(self.values))
        return CategoricalField(name=self.name, source=self.source, vocabulary=vocabulary)


class MultiValuedFitter(_TextFitter):
    """Several values a row."""

    def __init__(self, name: str, source: Source, column: MultiValued, min_count: int) -> None:
        super().__init__(name, source, min_count)
        self.column, self.width = column, column.max_length

    def take(self, table: Any, train: Mask, grow: bool = True) -> Codes:
        """Codes (n, slots), ABSENT after the last; values without a slot are neither coded nor counted."""
        lists = Lists(self.source, self.column.separator, self.width, self.column.keep)
        codes = fitted_lists(lists, self.values, table, grow)
        self._tally.add(codes, train, len(self.values))
        return codes

    def finish(self) -> MultiValuedField:
        """What train held often enough."""
        kept = self._kept()
        texts, counts = self.texts(kept.tolist()), self._tally.counts[kept]
        vocabulary, self.local = vocabulary_of(texts, counts, kept, self.min_count, len(self.values))
        self.local[ABSENT] = PAD
        return MultiValuedField(
            name=self.name,
            source=self.source,
            separator=self.column.separator,
            slots=self.width,
            keep=self.column.keep,
            vocabulary=vocabulary,
        )
