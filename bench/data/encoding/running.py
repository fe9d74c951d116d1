"""Mean and deviation of numbers that come in parts: the same to the last bit, however they are parted.

Sums are kept in double-double arithmetic (Dekker 1971; Knuth, TAOCP 2, 4.2.2), about the first number, so that what is
rounded off lies far below the last bit of the result.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray


def logged(numbers: NDArray[np.float64], log1p: bool) -> NDArray[np.float64]:
    """sign(x) log(1 + |x|) where asked for."""
    return np.sign(numbers) * np.log1p(np.abs(numbers)) if log1p else numbers


class RunningMoments:
    """Mean and deviation, NaN left out.

    Attributes:
        rows: numbers seen, `known` of them not NaN.
    """

    def __init__(self, log1p: bool = False) -> None:
        self.log1p, self.rows, self.known = log1p, 0, 0
        self._first = np.nan
        self._sums = np.zeros(4)  # of differences and of their squares, each as high and low part

    def add(self, numbers: NDArray[np.float64], weights: NDArray[np.int64] | None = None) -> None:
        """Takes in numbers (N,), each as often as its weight (N,) says."""
        there = ~np.isnan(numbers)
        self.rows += len(numbers) if weights is None else int(weights.sum())
        values = logged(numbers[there], self.log1p)
        times = np.ones(len(values)) if weights is None else weights[there].astype(np.float64)
        self.known += int(times.sum())
        if np.isnan(self._first) and times.any():
            self._first = float(values[np.argmax(times > 0)])
        _add(values, times, self._first, self._sums)

    @property
    def moments(self) -> tuple[float, float]:
        """Mean and deviation; a constant has deviation 1, so that it standardises to 0; none has 0 and 1."""
        if self.known == 0:
            return 0.0, 1.0
        mean, squares = _finished(self._first, self._sums, float(self.known))
        scale = float(np.sqrt(max(squares, 0.0) / self.known)) if np.isfinite(squares) else np.inf
        return mean, scale if scale > 1e-12 * max(1.0, abs(mean)) else 1.0


@numba.njit(nogil=True, cache=True)
def _two_sum(a: float, b: float) -> tuple[float, float]:
    """a + b and what rounding took from it."""
    total = a + b
    back = total - a
    return total, (a - (total - back)) + (b - back)


@numba.njit(nogil=True, cache=True)
def _two_product(a: float, b: float) -> tuple[float, float]:
    """a * b and what rounding took from it."""
    product = a * b
    split_a, split_b = 134217729.0 * a, 134217729.0 * b
    high_a, high_b = split_a - (split_a - a), split_b - (split_b - b)
    low_a, low_b = a - high_a, b - high_b
    return product, ((high_a * high_b - product) + high_a * low_b + low_a * high_b) + low_a * low_b


@numba.njit(nogil=True, cache=True)
def _into(sums: Any, at: int, value: float, rest: float) -> None:
    total, lost = _two_sum(sums[at], value)
    sums[at], sums[at + 1] = _two_sum(total, lost + (sums[at + 1] + rest))


@numba.njit(nogil=True, cache=True)
def _add(values: Any, times: Any, first: float, sums: Any) -> None:
    for row in range(len(values)):
        weight = times[row]
        if weight == 0.0:
            continue
        apart, rest = _two_sum(values[row], -first)
        product, lost = _two_product(weight, apart)
        _into(sums, 0, product, lost + weight * rest)
        square, lost = _two_product(apart, apart)
        product, gone = _two_product(weight, square)
        _into(sums, 2, product, gone + weight * (lost + 2.0 * apart * rest))


@numba.njit(nogil=True, cache=True)
def _finished(first: float, sums: Any, count: float) -> tuple[float, float]:
    """Mean, and sum of squared deviations from it."""
    high, low, square_high, square_low = sums
    apart = high / count
    product, lost = _two_product(apart, count)
    rest = ((high - product) - lost + low) / count  # apart + rest is the mean, less the first number
    mean, gone = _two_sum(first, apart)
    # The sum of squares less (high + low) (apart + rest), where the great parts may cancel.
    product, lost = _two_product(high, apart)
    total, cut = _two_sum(square_high, -product)
    return mean + (gone + rest), total + (cut + square_low - lost - high * rest - low * apart)
