"""One raw column, counted: its distinct values, how often each occurs, and which of them mean missing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench.data.checks import NUMBERS, TEXTS
from bench.data.values import canonical, distinct, filled, is_list

_TIMES = (pa.types.is_date, pa.types.is_timestamp)


@dataclass(frozen=True)
class Counted:
    """A column of N rows with V distinct values, missing ones left out."""

    name: str
    type: str
    """`text`, or the type a parquet file gives it."""
    codes: NDArray[np.int32]
    """(N,) index into the distinct values; -1 where missing."""
    distinct: Any
    """Arrow array (V,)."""
    counts: NDArray[np.int64]
    """(V,) rows of each."""
    numbers: NDArray[np.float64] | None
    """(V,) where every value is a finite number, else None."""
    lengths: NDArray[np.int64] | None = None
    """(V,) how many values each has, where a parquet file holds lists; these are texts with `|` between."""
    vector: int = 0
    """How many numbers each has, where it holds lists of numbers with fractions, all of one length; else 0."""
    readable: bool = True
    """Whether a card can use a column of that type."""

    @property
    def rows(self) -> int:
        """N."""
        return len(self.codes)

    @property
    def known(self) -> int:
        """Rows that are not missing."""
        return int(self.counts.sum())

    @property
    def single(self) -> bool:
        """Whether it has one value a row that a card can use."""
        return self.readable and self.lengths is None and not self.vector

    @property
    def missing_rate(self) -> float:
        """Share of rows that are missing."""
        return 1 - self.known / self.rows

    @property
    def temporal(self) -> bool:
        """Whether parquet calls it a date or a timestamp."""
        return self.type.startswith(("date", "timestamp"))

    @cached_property
    def whole(self) -> bool:
        """Whether its values are whole numbers."""
        return self.numbers is not None and bool((self.numbers == np.floor(self.numbers)).all())

    def texts(self, most: int | None = None) -> list[str]:
        """Distinct values in their canonical form; `most` gives only that many, the most frequent first."""
        values = self.distinct
        if most is not None:
            values = values.take(pa.array(np.argsort(-self.counts, kind="stable")[:most]))
        return [text for text in (canonical(value) for value in values.to_pylist()) if text is not None]

    @cached_property
    def of_rows(self) -> NDArray[np.float64]:
        """(N,) numbers, NaN where missing."""
        assert self.numbers is not None
        return np.append(self.numbers, np.nan)[self.codes]


def count_column(name: str, column: Any, missing: Collection[str] = ()) -> Counted:
    """Counts an Arrow column (N,); texts are stripped, the empty text and those in `missing` are missing."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    kind = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    lists = is_list(kind)
    if not any(fits(kind.value_type if lists else kind) for fits in (*NUMBERS, *TEXTS, *_TIMES)):
        known = pc.is_valid(array).to_numpy(zero_copy_only=False)
        codes = np.where(known, 0, -1).astype(np.int32)
        return Counted(name, str(kind), codes, pa.nulls(1), np.array([known.sum()], np.int64), None, readable=False)
    if lists:
        return _lists(name, array, missing)
    raw, values = distinct(array)
    text = any(fits(kind) for fits in TEXTS)
    if text:
        values = pc.utf8_trim_whitespace(values)
    merged = pc.dictionary_encode(values)  # stripping makes some values equal
    there = ~_absent(merged.dictionary, text, missing)
    place = np.append(np.where(there, np.cumsum(there) - 1, -1), -1).astype(np.int32)
    codes = place[np.append(filled(merged.indices, -1), -1)[raw]]
    known = merged.dictionary.filter(pa.array(there))
    counts = np.bincount(codes[codes >= 0], minlength=len(known))
    return Counted(name, "text" if text else str(kind), codes, known, counts, _numbers(known, kind))


def _lists(name: str, array: Any, missing: Collection[str]) -> Counted:
    sizes = pc.unique(pc.list_value_length(array.drop_null())).to_pylist()
    if pa.types.is_floating(array.type.value_type) and len(sizes) == 1 and sizes[0] > 1:
        known = array.is_valid().to_numpy(zero_copy_only=False)
        codes, shown = np.where(known, 0, -1).astype(np.int32), pa.array([f"{sizes[0]} numbers"])
        return Counted(name, str(array.type), codes, shown, np.array([known.sum()]), None, vector=sizes[0])
    texts = array.cast(pa.list_(pa.string()))
    joined = pc.binary_join(texts, "|")
    found = count_column(name, joined, missing)
    _, first = np.unique(found.codes[found.codes >= 0], return_index=True)
    first = np.flatnonzero(found.codes >= 0)[first]
    lengths = pc.list_value_length(texts.take(pa.array(first)))
    return replace(found, type=str(array.type), numbers=None, lengths=lengths.to_numpy(zero_copy_only=False))


def _absent(distinct: Any, text: bool, missing: Collection[str]) -> NDArray[np.bool_]:
    if text:
        found = pc.is_in(distinct, pa.array(["", *missing], distinct.type))
    elif pa.types.is_floating(distinct.type):
        found = pc.is_nan(distinct)
    else:
        found = distinct.is_null()
    absent: NDArray[np.bool_] = found.to_numpy(zero_copy_only=False)
    return absent


def _numbers(distinct: Any, kind: Any) -> NDArray[np.float64] | None:
    if len(distinct) == 0 or any(fits(kind) for fits in _TIMES) or pa.types.is_null(kind):
        return None
    if pa.types.is_boolean(kind):
        distinct = distinct.cast(pa.int8())
    try:
        numbers = np.array(distinct.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
    except pa.ArrowInvalid:
        return None
    return numbers if np.isfinite(numbers).all() else None


CLEAR = (r"\N", "NULL", "null", "Null", "NaN", "nan", "<NA>", "N/A", "n/a", "#N/A", "?")
"""They mean nothing else."""
DOUBTFUL = ("NA", "na", "None", "none", "-", "--", ".")
"""They mean missing among numbers; among names, NA may be a country and none an answer."""


@dataclass(frozen=True)
class Markers:
    """Texts that mean missing."""

    sure: tuple[str, ...]
    """For the card's reader."""
    doubtful: Mapping[str, tuple[str, ...]]
    """Marker, sure or not -> columns where it may be a value like any other."""


def find_markers(columns: Iterable[Counted]) -> Markers:
    """The markers among the texts of columns that were counted without any."""
    sure: dict[str, None] = {}
    doubtful: dict[str, list[str]] = {}
    for column in columns:
        if column.type != "text":
            continue
        # Arrow casts "NaN" to a number, so a column of numbers may hold it too.
        held = {marker for marker in (*CLEAR, *DOUBTFUL) if pc.index(column.distinct, pa.scalar(marker)).as_py() >= 0}
        if not held:
            continue
        sure |= dict.fromkeys(marker for marker in CLEAR if marker in held)
        unsure = [marker for marker in DOUBTFUL if marker in held]
        if unsure and _numbers_otherwise(column, held):
            sure |= dict.fromkeys(unsure)
        else:
            for marker in unsure:
                doubtful.setdefault(marker, []).append(column.name)
    return Markers(tuple(sure), {marker: tuple(names) for marker, names in doubtful.items()})


def _numbers_otherwise(column: Counted, held: set[str]) -> bool:
    rest = column.distinct.filter(pc.invert(pc.is_in(column.distinct, pa.array(sorted(held), column.distinct.type))))
    try:
        return len(rest) > 0 and bool(np.isfinite(rest.cast(pa.float64()).to_numpy(zero_copy_only=False)).all())
    except pa.ArrowInvalid:
        return False
