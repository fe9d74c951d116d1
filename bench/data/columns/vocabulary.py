"""Values frequent enough in train: how they are counted, and looked up later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench.core.arrays import Mask
from bench.core.registry import Config
from bench.data.codes import ABSENT, Codes, ColumnCodes, TextCodes, count_codes
from bench.data.columns.base import Fitter, Source
from bench.data.values import texts_of


class Vocabulary(Config):
    """Categories frequent enough in train. `None` stands for missing, a category like others."""

    values: tuple[str | None, ...]

    @property
    def cardinality(self) -> int:
        """Number of local ids, unknown included."""
        return len(self.values) + 1

    @property
    def local_ids(self) -> NDArray[np.int32]:
        """Of the values."""
        return np.arange(1, self.cardinality, dtype=np.int32)


_BOOLEANS = (("1", "True", "true", "TRUE"), ("0", "False", "false", "FALSE"))
"""Spellings of true and of false: those of JSON and parquet (1 and 0), and of CSV files."""


def _other_booleans(values: Sequence[str | None]) -> dict[str, str]:
    """Maps other spellings of booleans to those among the values; empty unless all values are
    booleans.
    """
    texts = set(values) - {None}
    if len(texts) != 2:
        return {}
    spelling_in_use = {}
    for spellings in _BOOLEANS:
        in_use = [text for text in spellings if text in texts]
        if not in_use:
            return {}
        for text in spellings:
            if text != in_use[0]:
                spelling_in_use[text] = in_use[0]
    return spelling_in_use


class Lookup:
    """Looks up texts of a fitted vocabulary. If they are true and false, every spelling of these is
    known.

    Args:
        values: distinct; None for missing.
        meaning: (V, ..) of each.
        missing: meaning of a missing text, where `values` has none.
        unknown: meaning of any other text.
    """

    def __init__(
        self, values: Sequence[str | None], meaning: NDArray[Any], missing: Any, unknown: Any
    ) -> None:
        self.codes = TextCodes()
        place_of_text = {value: place for place, value in enumerate(values) if value is not None}
        for spelling, value in _other_booleans(values).items():
            place_of_text[spelling] = place_of_text[value]
        self.codes.code(pa.array(list(place_of_text), pa.string()))
        if None in values:
            missing = meaning[values.index(None)]
        # Codes -2 (unknown) and -1 (missing) index the ends.
        self.meaning = np.empty((len(place_of_text) + 2, *meaning.shape[1:]), meaning.dtype)
        self.meaning[:-2] = meaning[list(place_of_text.values())]
        self.meaning[-2] = unknown
        self.meaning[-1] = missing

    def meanings(self, source: Source, table: pa.Table) -> NDArray[Any]:
        """(N, ..) meanings of a column's values."""
        codes = self.codes.code_column(
            source.values(table), source.markers, grow=False, spelled=source.spelled
        )
        return self.meaning[codes]


class ValueFitter(Fitter):
    """Codes values by their spelling until all are known.

    Attributes:
        local: (V + 2,) local id of each code, the last two for UNKNOWN and ABSENT; final after
            `finish`.
        before: values of an earlier encoder, which keep their ids; new ones follow them.
    """

    def __init__(self, name: str, source: Source, column: Any, min_count: int = 1) -> None:
        super().__init__(name, source, column, min_count)
        self.values, self.local = ColumnCodes(), np.zeros(2, np.int32)
        self.before: tuple[str | None, ...] = ()
        self._spellings: tuple[str, str] | None = None
        self._counts = np.zeros(1024, np.int64)  # rows of train for each code

    def texts(self, codes: Sequence[int]) -> list[str]:
        """The values that codes stand for."""
        texts = self.values.texts(codes)
        if self.source.spelled or self.values.whole:
            return texts
        spelled = pa.array(texts, pa.string())
        return list(pc.coalesce(texts_of(spelled), spelled).to_pylist())

    def notes(self) -> Iterator[str]:
        """Warns of one number in two spellings."""
        if self._spellings is not None:
            spellings = " and as ".join(map(repr, self._spellings))
            yield (
                f"'{self.name}' has one number as {spellings}: they are two categories; where they "
                "mean the same, write all numbers in one way"
            )

    def _count(self, codes: Codes, train: Mask) -> None:
        size = len(self.values)
        if size > len(self._counts):
            capacity = max(size, len(self._counts) * 3 // 2)
            self._counts.resize(capacity, refcheck=False)  # the new end is zero
        count_codes(codes, train, self._counts)

    def _vocabulary(self, missing: int = 0) -> Vocabulary:
        """Values frequent enough in train, by falling count, then text; `missing` rows count as one
        without a text.
        """
        self._spellings = self.values.two_spellings()
        self.source = self.source.model_copy(update={"spelled": self._spellings is not None})
        counts = self._counts[: len(self.values)]
        codes = np.flatnonzero(counts >= self.min_count)
        texts: list[str | None] = [*self.texts(codes.tolist())]
        counts = counts[codes]
        if missing >= self.min_count:
            texts.append(None)
            codes = np.append(codes, ABSENT)
            counts = np.append(counts, missing)
        counted = pa.table({"rows": counts, "text": pa.array(texts, pa.string())})
        order = pc.sort_indices(counted, [("rows", "descending"), ("text", "ascending")])
        values = tuple(counted["text"].take(order).to_pylist())
        self.local = np.zeros(len(self.values) + 2, np.int32)
        if not self.before:
            self.local[codes[order.to_numpy()]] = np.arange(1, len(order) + 1)
            return Vocabulary(values=values)

        values = tuple(dict.fromkeys((*self.before, *values)))
        id_of_value = {value: number for number, value in enumerate(values, 1)}
        all_texts = self.texts(range(len(self.values)))
        self.local[:-2] = [id_of_value.get(text, 0) for text in all_texts]
        self.local[ABSENT] = id_of_value.get(None, 0)
        return Vocabulary(values=values)
