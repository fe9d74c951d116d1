"""One raw column, counted: its distinct values, how often each occurs, and which of them mean
missing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench.core.arrays import Floats, Ints, Mask
from bench.core.schema import begins
from bench.data.inspection.names import QUANTITIES, TIMES, has_word
from bench.data.tasks import SKEWED, skewness
from bench.data.values import (
    DATES,
    NUMBERS,
    TEXTS,
    by_code,
    canonical,
    coded,
    distinct,
    is_any,
    is_list,
    plain,
    undated,
    whole_column,
)

CLEAR = (r"\N", "NULL", "null", "Null", "NaN", "nan", "<NA>", "N/A", "n/a", "#N/A", "?")
"""They mean missing and nothing else."""
DOUBTFUL = ("NA", "na", "None", "none", "-", "--", ".", "inf", "-inf", "Inf", "-Inf", "Infinity")
"""They mean missing among numbers; among names, NA may be a country and none an answer. Preparing
takes an infinite number for missing, too.
"""

_TIME = (
    r"^(\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|[A-Z][a-z]{2} \d{1,2}[, ].*\d{4}.*)"
    r"([T ,]+\d{1,2}:\d{2}.*)?$"
)
_EPOCHS = {"seconds": 1.0, "milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}


@dataclass(frozen=True)
class Counted:
    """A column of N rows with V distinct values, missing ones left out."""

    name: str
    type: str
    """`text`, the type a parquet file gives it, or why it cannot be read."""
    codes: NDArray[np.int32]
    """(N,) index into the distinct values; -1 where missing."""
    distinct: pa.Array
    """(V,) in order of first appearance."""
    numbers: Floats | None = None
    """(V,) where every value is a number and none has leading zeros, as codes do; else None."""
    lists: bool = False
    """Whether a parquet file holds lists; these are texts with `|` between."""
    vector: int = 0
    """How many numbers each has, where it holds lists of numbers with fractions, all of one length;
    else 0.
    """
    readable: bool = True
    """Whether a card can use a column of that type."""

    @cached_property
    def counts(self) -> Ints:
        """(V,) rows that have the value."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.distinct))

    @cached_property
    def n_present(self) -> int:
        """Rows that are not missing."""
        return int(self.counts.sum())

    @property
    def everywhere(self) -> bool:
        """Whether no row lacks a value."""
        return self.n_present == len(self.codes)

    @property
    def single(self) -> bool:
        """Whether it has one value a row that a card can use."""
        return self.readable and not self.lists and not self.vector

    @cached_property
    def whole(self) -> bool:
        """Whether its values are whole numbers."""
        return self.numbers is not None and bool((self.numbers == np.floor(self.numbers)).all())

    @property
    def is_time(self) -> bool:
        """Whether every value is a date or a point in time, in whatever form of text."""
        if self.type != "text":
            return self.type.startswith(("date", "timestamp"))
        return self.numbers is None and bool(self.matching(_TIME).all())

    @property
    def epochs(self) -> dict[str, Mask]:
        """`seconds`, `milliseconds` and so on -> (V,) which numbers are times since 1970 of the
        years 2000 to 2050.
        """
        numbers = self.numbers
        if numbers is None:
            return {}
        return {
            unit: (numbers >= 9.4e8 * per_second) & (numbers <= 2.55e9 * per_second)
            for unit, per_second in _EPOCHS.items()
        }

    @cached_property
    def long_tail(self) -> bool:
        """Whether numbers are skewed, and far less so after a logarithm, as amounts and counts
        are.
        """
        assert self.numbers is not None
        logarithms = np.sign(self.numbers) * np.log1p(np.abs(self.numbers))
        skew = abs(skewness(self.numbers, self.counts))
        return skew > SKEWED and abs(skewness(logarithms, self.counts)) < skew / 2

    def cells(self, ranges: int = 0, exact: int = 0) -> Ints:
        """(N,) index into the distinct values, V where missing.

        Args:
            ranges: of numbers, that many ranges of about equal rows instead; missing is the last.
            exact: distinct numbers up to which no ranges are made.
        """
        if not ranges or self.numbers is None or len(self.counts) <= exact:
            return np.where(self.codes < 0, len(self.counts), self.codes)
        order = np.argsort(self.numbers)
        edges = self.numbers[order][1:][begins(self.counts[order], ranges)]
        range_of_value = np.searchsorted(edges, self.numbers, side="right")
        return by_code(range_of_value, self.codes, len(edges) + 1)

    @cached_property
    def row_numbers(self) -> Floats:
        """(N,) numbers, NaN where missing."""
        assert self.numbers is not None
        return by_code(self.numbers, self.codes, np.nan)

    def matching(self, pattern: str) -> Mask:
        """(V,) which of the distinct texts match a pattern."""
        matches = pc.match_substring_regex(self.distinct, pattern)
        return np.asarray(matches.to_numpy(zero_copy_only=False))

    def texts(self, limit: int | None = None) -> list[str]:
        """Distinct values in their canonical form; with a limit only that many, the most frequent
        first.
        """
        values = self.distinct
        if limit is not None:
            most_frequent_first = np.argsort(-self.counts, kind="stable")
            values = values.take(pa.array(most_frequent_first[:limit]))
        return [text for text in map(canonical, plain(values)) if text is not None]


def count_column(name: str, column: pa.ChunkedArray, missing: Collection[str] = ()) -> Counted:
    """Counts an Arrow column (N,); the empty text and those in `missing` are missing."""
    array = whole_column(column)
    value_type = array.type
    if pa.types.is_dictionary(value_type):
        value_type = value_type.value_type
    fault = _unreadable(array, value_type)
    if fault is not None:
        return _present_or_missing(name, fault, array, "?", readable=False)
    if is_list(value_type):
        return _count_lists(name, array, value_type, missing)

    is_text = is_any(value_type, TEXTS)
    if is_text or pa.types.is_null(value_type):
        codes, values = coded(array, missing)
    else:
        array = array.cast(value_type)  # not in a dictionary
        if pa.types.is_floating(value_type):
            array = pc.if_else(pc.is_finite(array), array, None)
        codes, values = distinct(array)

    numbers = _numbers(values)
    if is_text and _has_leading_zeros(name, values):
        numbers = None
    return Counted(name, "text" if is_text else str(value_type), codes, values, numbers)


def _count_lists(
    name: str, array: pa.Array, list_type: pa.DataType, missing: Collection[str]
) -> Counted:
    lengths = pc.unique(pc.list_value_length(array.drop_null())).to_pylist()
    if pa.types.is_floating(list_type.value_type) and len(lengths) == 1 and lengths[0] > 1:
        length = lengths[0]
        return _present_or_missing(name, str(list_type), array, f"{length} numbers", vector=length)
    joined = pc.binary_join(array.cast(pa.list_(pa.string())), "|")
    return replace(
        count_column(name, joined, missing), type=str(list_type), numbers=None, lists=True
    )


def _has_leading_zeros(name: str, texts: pa.Array) -> bool:
    """Whether numbers are codes such as 007; a quantity or a time may be padded."""
    if has_word(name, QUANTITIES | TIMES):
        return False
    return bool(pc.any(pc.match_substring_regex(texts, r"^0\d+$")).as_py())


def _unreadable(array: pa.Array, value_type: pa.DataType) -> str | None:
    """What a card cannot use of a column: the type, or what its values are."""
    single_type = value_type.value_type if is_list(value_type) else value_type
    if not is_any(single_type, (*NUMBERS, *TEXTS, *DATES)):
        return str(array.type)
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return "bytes that are no text"  # those of a parquet file need not be UTF-8
    if is_any(value_type, DATES) and undated(array.cast(value_type)).any():
        return "date beyond the years 1 to 9999"
    return None


def _present_or_missing(
    name: str, type_name: str, array: pa.Array, value: str, **options: Any
) -> Counted:
    """A column whose values all count as one."""
    codes = array.is_valid().to_numpy(zero_copy_only=False).astype(np.int32) - 1
    return Counted(name, type_name, codes, pa.array([value]), **options)


def _numbers(values: pa.Array) -> Floats | None:
    if len(values) == 0 or is_any(values.type, DATES):
        return None
    try:
        numbers = np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    except pa.ArrowInvalid:
        return None
    return numbers if np.isfinite(numbers).all() else None


def markers_in(column: Counted) -> list[str]:
    """Texts that mean missing in a column that was counted without any."""
    if column.type != "text":
        return []
    # Arrow casts "NaN" to a number, so a column of numbers may hold it too.
    markers = pa.array([*CLEAR, *DOUBTFUL], column.distinct.type)
    present = markers.filter(pc.is_in(markers, column.distinct))
    other_values = column.distinct.filter(pc.invert(pc.is_in(column.distinct, present)))
    among_numbers = _numbers(other_values) is not None
    return [marker for marker in present.to_pylist() if among_numbers or marker in CLEAR]
