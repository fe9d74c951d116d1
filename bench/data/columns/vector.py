"""A vector a row, as an embedding that was computed elsewhere."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from bench.core import schema
from bench.core.arrays import Mask, Singles
from bench.data.columns.base import EXAMPLES, Finding, Fitter, Kind, Quantity, Reads, Source
from bench.data.columns.moments import RunningMoments
from bench.data.columns.numeric import NumericColumn
from bench.data.values import distinct, taken_apart, whole_column

if TYPE_CHECKING:
    from bench.data.checks import Sieve
    from bench.data.inspection.column import Counted


def vectors_of(source: Source, table: pa.Table, length: int) -> NDArray[np.float64]:
    """(N, length) of a column of lists, rounded to float32; NaN where missing or not finite."""
    column = whole_column(source.raw(table))
    numbers = np.full((len(column), length), np.nan)
    present = column.is_valid().to_numpy(zero_copy_only=False)
    if present.any():
        _, values = taken_apart(column)
        singles = values.cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False)
        numbers[present] = singles.reshape(-1, length)
    numbers[~np.isfinite(numbers)] = np.nan
    return numbers


def _check_lengths(name: str, column: Any, length: int, sieve: Sieve) -> None:
    if pa.types.is_null(column.type):
        return
    codes, lists = distinct(column)
    starts, _ = taken_apart(lists)
    lengths = np.append(np.diff(starts), length)[codes]
    wrong = (lengths != length) & ~sieve.bad
    if wrong.any():
        fault = f"expected a vector of {length:,} numbers, found {lengths[np.argmax(wrong)]:,}"
        sieve.refuse(wrong, "length", f"'{name}': {fault}")


class VectorColumns(Quantity):
    """A vector of D numbers, each standardised, without ranges; zeros where it is missing."""

    kind: Literal["vector"] = "vector"
    name: str
    source: Source
    parts: tuple[NumericColumn, ...] = Field(min_length=1)
    """(D,) without flags."""
    flag: bool
    """Whether one more column is 1 where the vector is missing."""
    reads: ClassVar[Reads] = "vector"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its dense columns."""
        names = [part.name for part in self.parts]
        if self.flag:
            names.append(f"{self.name}_missing")
        return tuple(names)

    @property
    def needed(self) -> bool:
        """Whether train lacked no vector."""
        return not self.flag

    def check(self, name: str, column: Any, missing: Collection[str], sieve: Sieve) -> None:
        """The sieve takes rows whose vector has another length."""
        _check_lengths(name, column, len(self.parts), sieve)

    def encode(self, table: pa.Table) -> Singles:
        """(N, D), or (N, D + 1) with the flag."""
        return self.encode_numbers(vectors_of(self.source, table, len(self.parts)))

    def encode_numbers(self, numbers: NDArray[np.float64]) -> Singles:
        """`encode` of numbers (N, D)."""
        bounds = [(part.low, part.high, part.mean, part.scale) for part in self.parts]
        low, high, mean, scale = np.array(bounds).T
        columns = [np.nan_to_num((np.clip(numbers, low, high) - mean) / scale)]
        if self.flag:
            columns.append(np.isnan(numbers).all(axis=1, keepdims=True))
        return np.concatenate(columns, axis=1).astype(np.float32)

    def _examples(self) -> list[Any]:
        return [[float(f"{part.mean:.4g}") for part in self.parts]] * EXAMPLES


class VectorFitter(Fitter):
    """Fits each number of a vector as a quantity."""

    def __init__(self, name: str, source: Source, column: Any, min_count: int = 1) -> None:
        super().__init__(name, source, column)
        self.width, self._lacking = column.length, False
        self._moments = [RunningMoments() for _ in range(column.length)]

    def take(self, table: pa.Table, train: Mask, grow: bool = True) -> NDArray[np.float64]:
        """Numbers (n, D), NaN where missing."""
        numbers = vectors_of(self.source, table, self.width)
        for moments, column in zip(self._moments, numbers[train].T, strict=True):
            moments.add(column)
        self._lacking |= bool(np.isnan(numbers[train]).all(axis=1).any())
        return numbers

    def finish(self) -> tuple[VectorColumns]:
        """The standardised columns."""
        parts = []
        for number, moments in enumerate(self._moments):
            part = NumericColumn.of_moments(f"{self.name}_{number}", self.source, False, moments)
            parts.append(part.model_copy(update={"flag": False}))
        flag = self.column.missing_flag or self._lacking
        return (VectorColumns(name=self.name, source=self.source, parts=tuple(parts), flag=flag),)


class Vector(Kind):
    """A list of numbers of one length, as an embedding that was computed elsewhere: that many dense
    columns.
    """

    kind: Literal["vector"] = "vector"
    length: int = Field(ge=1, le=4096)
    missing_flag: bool = False
    """Keep the 0/1 column `<name>_missing` even where train lacks no vector."""
    derive: None = None
    reads: ClassVar[Reads] = "vector"
    fits: ClassVar = VectorFitter
    parts: ClassVar = (VectorColumns,)

    def shape_in(self, shape: schema.Schema, name: str) -> schema.Schema:
        """Adds a vector."""
        vector = schema.DenseVector(name, len(shape.dense), self.length)
        columns = tuple(f"{name}_{number}" for number in range(self.length))
        return replace(shape, vectors=(*shape.vectors, vector), dense=shape.dense + columns)

    def check(self, name: str, column: Any, missing: Collection[str], sieve: Sieve) -> None:
        """The sieve takes rows whose vector has another length."""
        _check_lengths(name, column, self.length, sieve)

    @classmethod
    def draft(cls, column: Counted, labels: Any) -> Finding | None:
        """Lists of numbers with fractions, all of one length."""
        if not column.vector:
            return None
        option = {"kind": "vector", "length": column.vector}
        return Finding(option, "lists of numbers, all of one length")
