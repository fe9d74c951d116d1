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

from bench.core.schema import begins
from bench.data.inspection.names import QUANTITIES, TIMES, has_word
from bench.data.tasks import SKEWED, skewness
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

CLEAR = (r"\N", "NULL", "null", "Null", "NaN", "nan", "<NA>", "N/A", "n/a", "#N/A", "?")
"""They mean missing and nothing else."""
DOUBTFUL = ("NA", "na", "None", "none", "-", "--", ".")
"""They mean missing among numbers; among names, NA may be a country and none an answer."""

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
    distinct: Any
    """Arrow array (V,)."""
    numbers: NDArray[np.float64] | None = None
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
    def counts(self) -> NDArray[np.int64]:
        """(V,) rows of each."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.distinct))

    @cached_property
    def known(self) -> int:
        """Rows that are not missing."""
        return int(self.counts.sum())

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
    def epochs(self) -> dict[str, NDArray[np.bool_]]:
        """`seconds`, `milliseconds` and so on -> (V,) which numbers are times since 1970 of the
        years 2000 to 2050.
        """
        numbers = np.empty(0) if self.numbers is None else self.numbers
        return {
            unit: (numbers >= 9.4e8 * each) & (numbers <= 2.55e9 * each)
            for unit, each in _EPOCHS.items()
        }

    @cached_property
    def long_tail(self) -> bool:
        """Whether numbers are skewed, and far less so after a logarithm, as amounts and counts
        are.
        """
        assert self.numbers is not None
        logged = np.sign(self.numbers) * np.log1p(np.abs(self.numbers))
        skew = abs(skewness(self.numbers, self.counts))
        return skew > SKEWED and abs(skewness(logged, self.counts)) < skew / 2

    def cells(self, ranges: int = 0, exact: int = 0) -> NDArray[np.int64]:
        """(N,) index into the distinct values, V where missing.

        Args:
            ranges: of numbers, that many ranges of about equal rows instead; missing is the last.
            exact: distinct numbers up to which no ranges are made.
        """
        if not ranges or self.numbers is None or len(self.counts) <= exact:
            return np.where(self.codes < 0, len(self.counts), self.codes)
        order = np.argsort(self.numbers)
        edges = self.numbers[order][1:][begins(self.counts[order], ranges)]
        return np.append(np.searchsorted(edges, self.numbers, side="right"), len(edges) + 1)[
            self.codes
        ]

    @cached_property
    def of_rows(self) -> NDArray[np.float64]:
        """(N,) numbers, NaN where missing."""
        assert self.numbers is not None
        return np.append(self.numbers, np.nan)[self.codes]

    def matching(self, pattern: str) -> NDArray[np.bool_]:
        """(V,) which of the distinct texts match a pattern."""
        found: NDArray[np.bool_] = pc.match_substring_regex(self.distinct, pattern).to_numpy(
            zero_copy_only=False
        )
        return found

    def texts(self, most: int | None = None) -> list[str]:
        """Distinct values in their canonical form; `most` gives only that many, the most frequent
        first.
        """
        values = self.distinct
        if most is not None:
            values = values.take(pa.array(np.argsort(-self.counts, kind="stable")[:most]))
        return [text for text in map(canonical, plain(values)) if text is not None]


def count_column(name: str, column: Any, missing: Collection[str] = ()) -> Counted:
    """Counts an Arrow column (N,); the empty text and those in `missing` are missing."""
    array = whole_column(column)
    kind = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    if why := _unreadable(array, kind):
        return _undivided(name, why, array, "?", readable=False)
    if is_list(kind):
        sizes = pc.unique(pc.list_value_length(array.drop_null())).to_pylist()
        if pa.types.is_floating(kind.value_type) and len(sizes) == 1 and sizes[0] > 1:
            return _undivided(name, str(kind), array, f"{sizes[0]} numbers", vector=sizes[0])
        found = count_column(name, pc.binary_join(array.cast(pa.list_(pa.string())), "|"), missing)
        return replace(found, type=str(kind), numbers=None, lists=True)
    if is_any(kind, TEXTS) or pa.types.is_null(kind):
        codes, values = coded(array, missing)
    else:
        array = array.cast(kind)  # not in a dictionary
        codes, values = distinct(
            pc.if_else(pc.is_nan(array), None, array) if pa.types.is_floating(kind) else array
        )
    numbers = _numbers(values)
    if is_any(kind, TEXTS) and numbers is not None and not has_word(name, QUANTITIES | TIMES):
        numbers = None if pc.any(pc.match_substring_regex(values, r"^0\d+$")).as_py() else numbers
    if numbers is not None and np.isinf(numbers).any():  # missing, as in preparing
        finite = np.isfinite(numbers)
        codes = np.append(np.where(finite, np.cumsum(finite) - 1, -1), -1).astype(np.int32)[codes]
        values, numbers = values.filter(pa.array(finite)), numbers[finite] if finite.any() else None
    return Counted(name, "text" if is_any(kind, TEXTS) else str(kind), codes, values, numbers)


def _unreadable(array: Any, kind: Any) -> str | None:
    """What a card cannot use of a column: the type, or what its values are."""
    if not is_any(kind.value_type if is_list(kind) else kind, (*NUMBERS, *TEXTS, *DATES)):
        return str(array.type)
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return "bytes that are no text"  # those of a parquet file need not be UTF-8
    return (
        "date beyond the years 1 to 9999"
        if is_any(kind, DATES) and undated(array.cast(kind)).any()
        else None
    )


def _undivided(name: str, kind: str, array: Any, shown: str, **options: Any) -> Counted:
    """A column whose values are not told apart."""
    codes = array.is_valid().to_numpy(zero_copy_only=False).astype(np.int32) - 1
    return Counted(name, kind, codes, pa.array([shown]), **options)


def _numbers(values: Any) -> NDArray[np.float64] | None:
    if len(values) == 0 or is_any(values.type, DATES):
        return None
    try:
        numbers: NDArray[np.float64] = values.cast(pa.float64(), safe=False).to_numpy(
            zero_copy_only=False
        )
    except pa.ArrowInvalid:
        return None
    return None if np.isnan(numbers).any() else numbers


def markers_in(column: Counted) -> list[str]:
    """Texts that mean missing in a column that was counted without any."""
    if column.type != "text":
        return []
    # Arrow casts "NaN" to a number, so a column of numbers may hold it too.
    markers = pa.array([*CLEAR, *DOUBTFUL], column.distinct.type)
    held = markers.filter(pc.is_in(markers, column.distinct))
    among_numbers = (
        _numbers(column.distinct.filter(pc.invert(pc.is_in(column.distinct, held)))) is not None
    )
    return [marker for marker in held.to_pylist() if among_numbers or marker in CLEAR]
