"""Fitters of fields: values become provisional codes while they are counted, and local ids once train has been seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.codes import ABSENT, Codes, count_codes
from bench.data.columns import MultiValued
from bench.data.encoding.base import Source
from bench.data.encoding.fields import PAD, CategoricalField, LocalIds, MultiValuedField
from bench.data.encoding.lists import Lists, list_codes
from bench.data.encoding.vocabulary import Vocabulary, ranked
from bench.data.spans import Spans, canonical_spans
from bench.data.text_codes import TextCodes
from bench.data.values import canonical

Mask = NDArray[np.bool_]


class Tally:
    """Rows of train for each code, 8 bytes each."""

    def __init__(self) -> None:
        self.counts = np.zeros(1024, np.int64)

    def add(self, codes: Codes, train: Mask, size: int) -> None:
        """Counts codes (n, L) of train rows; codes are below `size`."""
        if size > len(self.counts):
            self.counts.resize(max(size, len(self.counts) * 3 // 2), refcheck=False)  # the new end is zero
        count_codes(codes, train.astype(np.int64), self.counts)


def vocabulary_of(
    texts: Sequence[str | None], counts: NDArray[np.int64], codes: NDArray[np.int64], min_count: int, size: int
) -> tuple[Vocabulary, NDArray[np.int32]]:
    """The vocabulary, and (size + 1,) the local id of each code, the last for missing.

    Args:
        texts: candidates, None for missing.
        counts: of each candidate, rows of train.
        codes: of each candidate, -1 for missing.
    """
    order = ranked(texts, counts, min_count)
    local = np.zeros(size + 1, np.int32)
    local[codes[order]] = np.arange(1, len(order) + 1)
    return Vocabulary(values=tuple(texts[at] for at in order)), local


def two_spellings(values: TextCodes) -> tuple[str, str] | None:
    """Texts that are one number in two spellings, as 1 and 1.0 are; None where there are none."""
    short = canonical_spans(values.spans)
    at = np.flatnonzero(short.ends - short.starts != np.diff(values.spans.ends, prepend=0))
    longer = Spans(short.data, short.starts[at], short.ends[at])
    apart = TextCodes()
    shorter, same = values.code(longer, grow=False), apart.code(longer)
    if (found := np.flatnonzero(shorter >= 0)).size:
        return values.texts([int(shorter[found[0]])])[0], values.texts([int(at[found[0]])])[0]
    if len(apart) < len(at):
        again = int(np.argmax(np.bincount(same) > 1))
        first, second = np.flatnonzero(same == again)[:2]
        one, other = values.texts(at[[first, second]].tolist())
        return one, other
    return None


class _TextFitter:
    """What both have in common: values are coded as they are spelled, until all are known.

    Attributes:
        source: final after `finish`.
        spellings: one number in two spellings, where there is one.
    """

    def __init__(self, name: str, source: Source, min_count: int) -> None:
        self.name, self.source, self.min_count = name, source, min_count
        self.values, self._tally = TextCodes(), Tally()
        self._local = np.zeros(1, np.int32)
        self.spellings: tuple[str, str] | None = None

    def texts(self, codes: Sequence[int]) -> list[str]:
        """What codes stand for in the encoder."""
        texts = self.values.texts(codes)
        return texts if self.source.spelled else [canonical(text) or text for text in texts]

    def _kept(self) -> NDArray[np.int64]:
        """Codes of what train held often enough; from here on it is known what spellings mean."""
        self.spellings = two_spellings(self.values)
        self.source = self.source.model_copy(update={"spelled": self.spellings is not None})
        return np.flatnonzero(self._tally.counts[: len(self.values)] >= max(self.min_count, 1))


class CategoricalFitter(_TextFitter):
    """One value a row."""

    width = 1

    def __init__(self, name: str, source: Source, min_count: int) -> None:
        super().__init__(name, source, min_count)
        self._missing = 0

    def take(self, table: Any, train: Mask) -> Codes:
        """Codes (n, 1), ABSENT where missing."""
        rows, spans = self.source.spans(table, spelled=True)
        codes = np.append(self.values.code(spans), np.int32(ABSENT))[rows][:, None]
        self._tally.add(codes, train, len(self.values))
        self._missing += int((codes[train] == ABSENT).sum())
        return codes

    def finish(self) -> CategoricalField:
        """What train held often enough."""
        kept = self._kept()
        texts: list[str | None] = [*self.texts(kept.tolist()), None]
        counts = np.append(self._tally.counts[kept], self._missing)
        vocabulary, self._local = vocabulary_of(texts, counts, np.append(kept, -1), self.min_count, len(self.values))
        return CategoricalField(name=self.name, source=self.source, vocabulary=vocabulary)

    def local(self, codes: Codes) -> LocalIds:
        """Local ids of codes, both (n, 1)."""
        return self._local[codes]


class MultiValuedFitter(_TextFitter):
    """Several values a row."""

    def __init__(self, name: str, source: Source, column: MultiValued, min_count: int) -> None:
        super().__init__(name, source, min_count)
        self.column, self.width = column, column.max_length

    def take(self, table: Any, train: Mask) -> Codes:
        """Codes (n, slots), ABSENT after the last; values without a slot are neither coded nor counted."""
        lists = Lists(self.source, self.column.separator, self.width, self.column.keep)
        codes = list_codes(lists, self.values, table, fitting=True)
        self._tally.add(codes, train, len(self.values))
        return codes

    def finish(self) -> MultiValuedField:
        """What train held often enough."""
        kept = self._kept()
        texts, counts = self.texts(kept.tolist()), self._tally.counts[kept]
        vocabulary, self._local = vocabulary_of(texts, counts, kept, self.min_count, len(self.values))
        self._local[ABSENT] = PAD
        return MultiValuedField(
            name=self.name,
            source=self.source,
            separator=self.column.separator,
            slots=self.width,
            keep=self.column.keep,
            vocabulary=vocabulary,
        )

    def local(self, codes: Codes) -> LocalIds:
        """Local ids of codes, both (n, slots)."""
        return self._local[codes]
