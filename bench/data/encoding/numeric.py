"""Numbers as they are: standardised with the mean and deviation of train, NaN -> 0 beside a missing flag."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.encoding.base import Source
from bench.registry import Config

Dense = NDArray[np.float32]


class NumericColumn(Config):
    """One quantity."""

    kind: Literal["numeric"] = "numeric"
    name: str
    source: Source
    log1p: bool
    mean: float
    scale: float
    flag: bool
    """Whether a second column says 1 where the quantity is missing."""

    @classmethod
    def fit(cls, name: str, source: Source, log1p: bool, flag: bool, train: Any) -> NumericColumn:
        """Mean and deviation of train; the flag is kept where asked for, or where train lacks a value."""
        numbers = _logged(source.numbers(train), log1p)
        known = numbers[~np.isnan(numbers)]
        mean, scale = moments(known)
        return cls(
            name=name, source=source, log1p=log1p, mean=mean, scale=scale, flag=flag or len(known) < len(numbers)
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Of its dense columns."""
        return (self.name, f"{self.name}_missing") if self.flag else (self.name,)

    def encode(self, table: Any) -> Dense:
        """(N, 1), or (N, 2) with the flag."""
        return self.encode_numbers(self.source.numbers(table))

    def encode_numbers(self, numbers: NDArray[np.float64]) -> Dense:
        """As `encode`, for numbers (N,) at hand."""
        numbers = _logged(numbers, self.log1p)
        missing = np.isnan(numbers)
        columns = [np.where(missing, 0.0, (numbers - self.mean) / self.scale)]
        if self.flag:
            columns.append(missing)
        return np.stack(columns, axis=1).astype(np.float32)


def _logged(numbers: NDArray[np.float64], log1p: bool) -> NDArray[np.float64]:
    return np.sign(numbers) * np.log1p(np.abs(numbers)) if log1p else numbers


def moments(known: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and deviation; a constant has deviation 1, so that it standardises to 0."""
    if len(known) == 0:
        return 0.0, 1.0
    return _usable(float(np.mean(known)), float(np.std(known)))


def _usable(mean: float, scale: float) -> tuple[float, float]:
    return mean, scale if scale > 1e-12 * max(1.0, abs(mean)) else 1.0


class RunningMoments:
    """Mean and deviation of numbers that come in parts, NaN left out (Chan et al. 1983)."""

    def __init__(self, log1p: bool = False) -> None:
        self.log1p, self.rows, self.known, self._mean, self._squares = log1p, 0, 0, 0.0, 0.0

    def add(self, numbers: NDArray[np.float64], weights: NDArray[np.int64] | None = None) -> None:
        """Takes in numbers (N,), each as often as its weight (N,) says."""
        weights = np.ones(len(numbers), np.int64) if weights is None else weights
        self.rows += int(weights.sum())
        there = ~np.isnan(numbers) & (weights > 0)
        values, times = _logged(numbers[there], self.log1p), weights[there]
        count = int(times.sum())
        if count == 0:
            return
        mean = float((values * times).sum()) / count
        squares = float((times * (values - mean) ** 2).sum())
        apart = mean - self._mean
        self._squares += squares + apart**2 * self.known * count / (self.known + count)
        self._mean += apart * count / (self.known + count)
        self.known += count

    @property
    def moments(self) -> tuple[float, float]:
        """Mean and deviation, as `moments` gives them."""
        if self.known == 0:
            return 0.0, 1.0
        return _usable(self._mean, float(np.sqrt(self._squares / self.known)))
