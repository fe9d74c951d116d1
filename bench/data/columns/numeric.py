"""A quantity a row: standardised, and as the range that it is in.

A number is standardised with the mean and deviation of train, NaN -> 0 beside a missing flag.
Extreme outliers count for neither and are clipped, in training and in serving.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field as Limits
from pydantic import FiniteFloat, NonNegativeInt, model_validator

from bench.core import schema
from bench.core.arrays import Floats, Mask, Singles
from bench.core.schema import begins
from bench.core.system.intrinsics import jit
from bench.data.codes import IntegerCodes
from bench.data.columns.base import (
    EXAMPLES,
    FieldPart,
    Finding,
    Fitter,
    Kind,
    LocalIds,
    Quantity,
    Reads,
    Source,
)
from bench.data.columns.moments import RunningMoments, logged
from bench.data.inspection.names import is_count

if TYPE_CHECKING:
    from bench.data.inspection.column import Counted


class NumericColumn(Quantity):
    """A standardised quantity."""

    kind: Literal["numeric"] = "numeric"
    name: str
    source: Source
    log1p: bool
    mean: FiniteFloat
    scale: float = Limits(gt=0)
    low: FiniteFloat
    high: FiniteFloat
    """Bounds to which numbers are clipped, after the logarithm."""
    flag: bool
    """Whether a second column is 1 where the quantity is missing."""
    reads: ClassVar[Reads] = "number"

    @classmethod
    def of_moments(
        cls, name: str, source: Source, flag: bool, moments: RunningMoments
    ) -> NumericColumn:
        """Builds it from moments of train, with a flag if asked for or if train lacks a value."""
        robust = moments.robust()
        flag = flag or moments.present < moments.rows
        return cls(
            name=name,
            source=source,
            log1p=moments.log1p,
            mean=robust.mean,
            scale=robust.scale,
            low=robust.low,
            high=robust.high,
            flag=flag,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its dense columns."""
        if self.flag:
            return self.name, f"{self.name}_missing"
        return (self.name,)

    @property
    def needed(self) -> bool:
        """Whether train lacked no value."""
        return not self.flag

    def encode_numbers(self, numbers: NDArray[np.float64]) -> Singles:
        """(N, 1), or (N, 2) with the flag, of numbers (N,) or (N, 1)."""
        numbers = np.clip(logged(numbers.reshape(-1), self.log1p), self.low, self.high)
        missing = np.isnan(numbers)
        columns = [np.where(missing, 0.0, (numbers - self.mean) / self.scale)]
        if self.flag:
            columns.append(missing)
        return np.stack(columns, axis=1).astype(np.float32)

    def number(self, column: int, ranges: BucketField) -> schema.Number:
        """Describes the quantity to models; `column` is its first dense column."""
        edges = self.encode_numbers(np.array([ranges.low, *ranges.edges, ranges.high]))[:, 0]
        flag = column + 1 if self.flag else None
        return schema.Number(self.name, column, flag, tuple(edges.tolist()), ranges.counts)

    def _examples(self) -> list[Any]:
        middle = self.mean
        if self.log1p:
            middle = math.copysign(math.expm1(abs(self.mean)), self.mean)
        return [float(f"{middle:.4g}")] * EXAMPLES


class BucketField(FieldPart):
    """A number as one of V ranges of about equal count in train, and one more for missing."""

    kind: Literal["bucket"] = "bucket"
    number: str
    """Name of the numeric input."""
    source: Source
    edges: tuple[FiniteFloat, ...]
    """(V - 1,); x is in range 1 + (number of edges <= x)."""
    low: FiniteFloat
    high: FiniteFloat
    """Least and greatest number of train."""
    counts: tuple[NonNegativeInt, ...]
    """(V,) rows of train in each range."""
    reads: ClassVar[Reads] = "number"

    @model_validator(mode="after")
    def _consistent(self) -> BucketField:
        if any(after < before for before, after in pairwise((self.low, *self.edges, self.high))):
            raise ValueError("expected low, edges and high in ascending order")
        if len(self.counts) != len(self.edges) + 1:
            raise ValueError(
                f"expected {len(self.edges) + 1} counts of ranges, found {len(self.counts)}"
            )
        return self

    @property
    def name(self) -> str:
        """Name of the field."""
        return f"{self.number}_bucket"

    @property
    def field(self) -> schema.Field:
        """The field in the schema."""
        return schema.Field(self.name, len(self.edges) + 3)  # unknown, the ranges, missing

    def encode(self, table: pa.Table) -> LocalIds:
        """Local ids (N, 1)."""
        return self.encode_numbers(self.source.numbers(table))

    def encode_numbers(self, numbers: NDArray[np.float64]) -> LocalIds:
        """`encode` of numbers (N,) or (N, 1)."""
        local = np.empty(len(numbers), np.int32)
        place_in_ranges(self._cuts, numbers.reshape(-1), local)
        return local[:, None]

    @cached_property
    def _cuts(self) -> NDArray[np.float64]:
        return np.array(self.edges)


EXACT = 1 << 17
"""Number of distinct numbers up to which cut points are exact. Beyond it, numbers are rounded until
this few are left."""
KEPT_BITS = range(52, 0, -2)
"""Significant bits of numbers after each rounding."""
MOST_RANGES = 1000
ROWS_OF_RANGE = 20
"""Minimum mean number of train rows in a range."""


class Ranges(NamedTuple):
    """V ranges of numbers: the least of each but the first, the least and greatest of all (0 if
    none), row counts.
    """

    edges: tuple[float, ...]
    low: float
    high: float
    counts: tuple[int, ...]


class DistinctNumbers:
    """Counts distinct numbers, without NaN; rounds them once there are more than `EXACT`.

    The result does not depend on how the numbers are split into parts.
    """

    def __init__(self) -> None:
        self._codes, self._counts = IntegerCodes(), np.zeros(0, np.int64)
        self._next_bits = iter(KEPT_BITS)
        self._bits: int | None = None

    def add(self, numbers: Floats) -> None:
        """Adds numbers (N,)."""
        numbers = numbers[~np.isnan(numbers)] + 0.0  # no -0.0
        if self._bits is not None:
            numbers = shortened(numbers, self._bits)
        self._count(numbers)
        while len(self._codes) > EXACT:
            self._bits = next(self._next_bits)
            values, counts = shortened(self._values, self._bits), self._counts
            self._codes, self._counts = IntegerCodes(), np.zeros(0, np.int64)
            self._count(values, counts)

    def _count(self, numbers: Floats, times: NDArray[np.int64] | None = None) -> None:
        codes = self._codes.code(numbers.view(np.int64))
        counts = np.bincount(codes, times, len(self._codes)).astype(np.int64)
        counts[: len(self._counts)] += self._counts
        self._counts = counts

    @property
    def _values(self) -> Floats:
        return self._codes.values.view(np.float64)

    def ranges(self) -> Ranges:
        """Ranges of about equal count, as many as `ranges_for` says."""
        order = np.argsort(self._values)
        values, counts = self._values[order], self._counts[order]
        if not len(values):
            return Ranges((), 0.0, 0.0, (0,))
        n_ranges = ranges_for(int(counts.sum()))
        first = np.flatnonzero(np.append(True, begins(counts, n_ranges)))
        edges = tuple(values[first[1:]].tolist())
        rows = tuple(np.add.reduceat(counts, first).tolist())
        return Ranges(edges, float(values[0]), float(values[-1]), rows)


def ranges_for(rows: int) -> int:
    """Number of ranges for `rows` rows of train."""
    return max(2, min(MOST_RANGES, rows // ROWS_OF_RANGE))


def shortened(numbers: Floats, bits: int) -> Floats:
    """Rounds numbers to `bits` significant bits, towards zero."""
    mantissa, exponent = np.frexp(numbers)
    return np.asarray(np.ldexp(np.trunc(np.ldexp(mantissa, bits)), exponent - bits))


@jit()
def place_in_ranges(cuts: Any, numbers: Any, local: Any) -> None:
    """Puts each number's range, from 1 on, or the id of missing into `local`; bisections advance
    together, vectorised.

    Each range but the first begins at one of `cuts` (V - 1,).
    """
    for start in range(0, len(numbers), 512):
        block, first = numbers[start : start + 512], local[start : start + 512]
        first[:] = 0
        size = np.int32(len(cuts))  # of the stretch of cuts that each number is in
        while size > 1:
            half = size // np.int32(2)
            for row in range(len(block)):
                first[row] += half * np.int32(cuts[first[row] + half - 1] <= block[row])
            size -= half
        for row in range(len(block)):
            beyond = size == 1 and cuts[first[row]] <= block[row]
            if np.isnan(block[row]):
                first[row] = len(cuts) + 2
            else:
                first[row] += 1 + np.int32(beyond)


class NumericFitter(Fitter):
    """Fits a quantity and its ranges."""

    def __init__(self, name: str, source: Source, column: Any, min_count: int = 1) -> None:
        super().__init__(name, source, column)
        self._moments, self._distinct = RunningMoments(column.log1p), DistinctNumbers()

    def take(self, table: pa.Table, train: Mask, grow: bool = True) -> NDArray[np.float64]:
        """Numbers (n, 1), NaN where missing."""
        numbers = self.source.numbers(table)
        self.add(numbers[train])
        return numbers[:, None]

    def add(self, numbers: NDArray[np.float64]) -> None:
        """Fits on numbers (n,) of train."""
        self._moments.add(numbers)
        self._distinct.add(numbers)

    def finish(self) -> tuple[NumericColumn, BucketField]:
        """The standardised column, and the ranges at train's quantiles."""
        column = NumericColumn.of_moments(
            self.name, self.source, self.column.missing_flag, self._moments
        )
        ranges = self._distinct.ranges()
        return column, BucketField(number=self.name, source=self.source, **ranges._asdict())

    def notes(self) -> Iterator[str]:
        """Warns of numbers that count for nothing."""
        robust = self._moments.robust()
        if robust.left_out:
            scale = ", after the logarithm" if self.column.log1p else ""
            yield (
                f"'{self.name}' has {robust.left_out:,} values in train that are far from all "
                "others: its mean and deviation are without them, and it is cut at "
                f"{robust.low:.4g} and {robust.high:.4g}{scale}"
            )


class Numeric(Kind):
    """A quantity: standardised with the mean and deviation of train, and as a range between
    quantiles of train.
    """

    kind: Literal["numeric"] = "numeric"
    log1p: bool = False
    """Take sign(x) log(1 + |x|) first, for heavy tails."""
    missing_flag: bool = False
    """Keep the 0/1 column `<name>_missing` even where train lacks no value."""
    reads: ClassVar[Reads] = "number"
    fits: ClassVar = NumericFitter
    parts: ClassVar = (NumericColumn, BucketField)
    by_form: ClassVar[bool] = False

    def shape_in(self, shape: schema.Schema, name: str) -> schema.Schema:
        """Adds a number."""
        number = schema.Number(name, len(shape.dense), None, (0.0, 1.0), (1,))
        return replace(shape, numbers=(*shape.numbers, number), dense=(*shape.dense, name))

    @classmethod
    def draft(cls, column: Counted, labels: Any) -> Finding | None:
        """Numbers that are no codes."""
        if column.numbers is None:
            return None
        why = "numbers with fractions"
        if column.whole:
            why = "a count, by its name" if is_count(column.name) else "many distinct whole numbers"
        if column.long_tail:
            why += "; a long tail, as amounts and counts have"
            return Finding({"kind": "numeric", "log1p": True}, why)
        return Finding({"kind": "numeric"}, why)
