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
        numbers = _logged(self.source.numbers(table), self.log1p)
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
    mean, scale = float(np.mean(known)), float(np.std(known))
    return mean, scale if scale > 1e-12 * max(1.0, abs(mean)) else 1.0
