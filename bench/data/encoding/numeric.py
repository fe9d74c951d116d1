"""Numbers as they are: standardised with the mean and deviation of train, NaN -> 0 beside a missing flag.

What is far from all others counts for neither, and is cut, in training as in serving.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat

from bench.data.encoding.base import Source
from bench.data.encoding.running import RunningMoments, logged
from bench.registry import Config

Dense = NDArray[np.float32]


class NumericColumn(Config):
    """One quantity."""

    kind: Literal["numeric"] = "numeric"
    name: str
    source: Source
    log1p: bool
    mean: FiniteFloat
    scale: float = Field(gt=0)
    low: FiniteFloat
    high: FiniteFloat
    """Numbers beyond, after the logarithm, are taken for these ends."""
    flag: bool
    """Whether a second column says 1 where the quantity is missing."""

    @classmethod
    def of_moments(cls, name: str, source: Source, flag: bool, moments: RunningMoments) -> NumericColumn:
        """Standardised by moments of train; the flag is kept where asked for, or where train lacks a value."""
        mean, scale, low, high, _ = moments.robust()
        flag = flag or moments.known < moments.rows
        return cls(name=name, source=source, log1p=moments.log1p, mean=mean, scale=scale, low=low, high=high, flag=flag)

    @property
    def names(self) -> tuple[str, ...]:
        """Of its dense columns."""
        return (self.name, f"{self.name}_missing") if self.flag else (self.name,)

    def encode(self, table: Any) -> Dense:
        """(N, 1), or (N, 2) with the flag."""
        return self.encode_numbers(self.source.numbers(table))

    def encode_numbers(self, numbers: NDArray[np.float64]) -> Dense:
        """As `encode`, for numbers (N,) at hand."""
        numbers = np.clip(logged(numbers, self.log1p), self.low, self.high)
        missing = np.isnan(numbers)
        columns = [np.where(missing, 0.0, (numbers - self.mean) / self.scale)]
        if self.flag:
            columns.append(missing)
        return np.stack(columns, axis=1).astype(np.float32)


class VectorColumns(Config):
    """A vector of D numbers, each standardised as a quantity is, without ranges; a row without one has zeros."""

    kind: Literal["vector"] = "vector"
    name: str
    source: Source
    parts: tuple[NumericColumn, ...] = Field(min_length=1)
    """(D,) without flags."""
    flag: bool
    """Whether one more column says 1 where the vector is missing."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of its dense columns."""
        return (*(part.name for part in self.parts), *([f"{self.name}_missing"] if self.flag else []))

    def encode(self, table: Any) -> Dense:
        """(N, D), or (N, D + 1) with the flag."""
        return self.encode_numbers(self.source.vectors(table, len(self.parts)))

    def encode_numbers(self, numbers: NDArray[np.float64]) -> Dense:
        """As `encode`, for numbers (N, D) at hand."""
        mean, scale, low, high = (
            np.array([getattr(part, name) for part in self.parts]) for name in ("mean", "scale", "low", "high")
        )
        standard = np.nan_to_num((np.clip(numbers, low, high) - mean) / scale)
        missing = np.asarray(np.isnan(numbers).all(axis=1))[:, None]
        return np.concatenate([standard, missing[:, : int(self.flag)]], axis=1).astype(np.float32)
