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

from bench.data.values import (
    DATES,
    NUMBERS,
    TEXTS,
    canonical,
    coded,
    distinct,
    is_any,
    is_list,
    plain,
    undated,
    whole_column,
)

SENTINELS = (-1, -9, -99, -999, -9999)
"""Numbers often written for a missing value."""


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

    @property
    def one_each(self) -> bool:
        """Whether (almost) every row has another value."""
        return self.known >= 20 and len(self.counts) > 0.95 * self.known

    @property
    def in_blocks(self) -> bool:
        """Whether the rows of each value stand together; of texts, those alone that have digits, as codes do."""
        if self.numbers is None and not self.matching(r"\d").all():
            return False
        codes = self.codes[self.codes >= 0]
        return 1 + int((np.diff(codes) != 0).sum()) <= 1.02 * len(self.counts)

    @property
    def cells(self) -> NDArray[np.int64]:
        """(N,) index into the distinct values, V where missing."""
        return np.where(self.codes < 0, len(self.counts), self.codes)

    def matching(self, pattern: str) -> NDArray[np.bool_]:
        """(V,) which of the distinct texts match a pattern."""
        found: NDArray[np.bool_] = pc.match_substring_regex(self.distinct, pattern).to_numpy(zero_copy_only=False)
        return found

    def texts(self, most: int | None = None) -> list[str]:
        """Distinct values in their canonical form; `most` gives only that many, the most frequent first."""
        values = self.distinct
        if most is not None:
            values = values.take(pa.array(np.argsort(-self.counts, kind="stable")[:most]))
        return [text for text in map(canonical, plain(values)) if text is not None]

    @cached_property
    def of_rows(self) -> NDArray[np.float64]:
        """(N,) numbers, NaN where missing."""
        assert self.numbers is not None
        return np.append(self.numbers, np.nan)[self.codes]


def count_column(name: str, column: Any, missing: Collection[str] = ()) -> Counted:
    """Counts an Arrow column (N,); the empty text and those in `missing` are missing."""
    array = whole_column(column)
    kind = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    lists = is_list(kind)
    if not is_any(kind.value_type if lists else kind, (*NUMBERS, *TEXTS, *DATES)):
        return replace(_one_value(name, array, "?"), readable=False)
    if not _is_text(array):
        return replace(_one_value(name, array, "?"), type="bytes that are no text", readable=False)
    if lists:
        return _lists(name, array, missing)
    of_type = "text" if is_any(kind, TEXTS) else str(kind)
    if of_type in ("text", "null"):
        codes, values = coded(array, missing)
    else:
        array = array.cast(kind)  # not in a dictionary
        if is_any(kind, DATES) and undated(array).any():
            return replace(_one_value(name, array, "?"), type="date beyond the years 1 to 9999", readable=False)
        codes, values = distinct(pc.if_else(pc.is_nan(array), None, array) if pa.types.is_floating(kind) else array)
    counts = np.bincount(codes[codes >= 0], minlength=len(values))
    return Counted(name, of_type, codes, values, counts, _numbers(values))


def _is_text(array: Any) -> bool:
    """Whether its texts are UTF-8, which those of a parquet file need not be."""
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _one_value(name: str, array: Any, shown: str) -> Counted:
    """A column whose values are not told apart."""
    known = array.is_valid().to_numpy(zero_copy_only=False)
    codes = np.where(known, 0, -1).astype(np.int32)
    return Counted(name, str(array.type), codes, pa.array([shown]), np.array([known.sum()], np.int64), None)


def _lists(name: str, array: Any, missing: Collection[str]) -> Counted:
    sizes = pc.unique(pc.list_value_length(array.drop_null())).to_pylist()
    if pa.types.is_floating(array.type.value_type) and len(sizes) == 1 and sizes[0] > 1:
        return replace(_one_value(name, array, f"{sizes[0]} numbers"), vector=sizes[0])
    texts = array.cast(pa.list_(pa.string()))
    found = count_column(name, pc.binary_join(texts, "|"), missing)
    _, first = np.unique(found.codes[found.codes >= 0], return_index=True)
    lengths = pc.list_value_length(texts.take(pa.array(np.flatnonzero(found.codes >= 0)[first])))
    return replace(found, type=str(array.type), numbers=None, lengths=lengths.to_numpy(zero_copy_only=False))


def _numbers(values: Any) -> NDArray[np.float64] | None:
    if len(values) == 0 or is_any(values.type, DATES):
        return None
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    try:
        numbers: NDArray[np.float64] = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
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
        markers = pa.array([*CLEAR, *DOUBTFUL], column.distinct.type)
        held = markers.filter(pc.is_in(markers, column.distinct))
        sure |= dict.fromkeys(marker for marker in CLEAR if marker in held.to_pylist())
        unsure = [marker for marker in DOUBTFUL if marker in held.to_pylist()]
        if unsure and _numbers(column.distinct.filter(pc.invert(pc.is_in(column.distinct, held)))) is not None:
            sure |= dict.fromkeys(unsure)
        else:
            for marker in unsure:
                doubtful.setdefault(marker, []).append(column.name)
    return Markers(tuple(sure), {marker: tuple(names) for marker, names in doubtful.items()})
