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
    def numbers(self) -> NDArray[np.int32]:
        """Local ids of the values."""
        return np.arange(1, self.cardinality, dtype=np.int32)


_BOOLEANS = (("1", "True", "true", "TRUE"), ("0", "False", "false", "FALSE"))
"""Spellings of true and of false: those of JSON and parquet (1 and 0), and of CSV files."""


def _other_booleans(values: Sequence[str | None]) -> dict[str, str]:
    """Maps other spellings of booleans to those among the values; empty unless all values are
    booleans.
    """
    known = set(values) - {None}
    own = [[text for text in spellings if text in known] for spellings in _BOOLEANS]
    if len(known) != 2 or not all(own):
        return {}
    return {
        text: one
        for (one, *_), spellings in zip(own, _BOOLEANS, strict=True)
        for text in spellings
        if text != one
    }


class Known:
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
        other = _other_booleans(values)
        places = [at for at, value in enumerate(values) if value is not None]
        places += [values.index(value) for value in other.values()]
        self.codes.code(
            pa.array([*(value for value in values if value is not None), *other], pa.string())
        )
        absent = meaning[values.index(None)] if None in values else missing
        ends = np.stack(
            [np.broadcast_to(each, meaning.shape[1:]) for each in (unknown, absent)]
        ).astype(meaning.dtype)
        self.meaning = np.concatenate(
            [meaning[places], ends]
        )  # codes -2 (unknown) and -1 (missing) index the ends

    def of(self, source: Source, table: pa.Table) -> NDArray[Any]:
        """(N, ..) meanings of a column's values."""
        codes = self.codes.code_column(
            source.values(table), source.markers, grow=False, spelled=source.spelled
        )
        meanings: NDArray[Any] = self.meaning[codes]
        return meanings


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
        normalised: list[str] = pc.coalesce(texts_of(spelled), spelled).to_pylist()
        return normalised

    def notes(self) -> Iterator[str]:
        """Warns of one number in two spellings."""
        if self._spellings is not None:
            both = " and as ".join(map(repr, self._spellings))
            yield (
                f"'{self.name}' has one number as {both}: they are two categories; where they mean "
                "the same, write all numbers in one way"
            )

    def _count(self, codes: Codes, train: Mask) -> None:
        if (size := len(self.values)) > len(self._counts):
            self._counts.resize(
                max(size, len(self._counts) * 3 // 2), refcheck=False
            )  # the new end is zero
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
            texts, codes, counts = (
                [*texts, None],
                np.append(codes, ABSENT),
                np.append(counts, missing),
            )
        counted = pa.table({"rows": counts, "text": pa.array(texts, pa.string())})
        order = pc.sort_indices(counted, [("rows", "descending"), ("text", "ascending")]).to_numpy()
        self.local = np.zeros(len(self.values) + 2, np.int32)
        values = tuple(counted["text"].take(pa.array(order)).to_pylist())
        if self.before:
            values = tuple(dict.fromkeys((*self.before, *values)))
            place = {value: at for at, value in enumerate(values, 1)}
            self.local[:-2] = [place.get(text, 0) for text in self.texts(range(len(self.values)))]
            self.local[ABSENT] = place.get(None, 0)
        else:
            self.local[codes[order]] = np.arange(1, len(order) + 1)
        return Vocabulary(values=values)
