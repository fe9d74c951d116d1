"""Cut points between ranges of about equal count, from numbers that come in parts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
EXACT = 1 << 20
"""Distinct numbers up to which cut points are exact."""
BITS = 12
"""Significant bits that are kept of each number beyond that: a cut is off by at most one part in 4096."""


class DistinctNumbers:
    """The distinct numbers seen, and how often; rounded once there are more than `EXACT`. NaN is left out."""

    def __init__(self) -> None:
        self._values, self._counts = np.empty(0), np.empty(0, np.int64)
        self._waiting: list[Numbers] = []
        self._rows = 0
        self._rounded = False

    def add(self, numbers: Numbers) -> None:
        """Takes in numbers (N,)."""
        self._waiting.append(numbers[~np.isnan(numbers)])
        self._rows += len(self._waiting[-1])
        if self._rows >= EXACT:
            self._merge()

    def cut_points(self, buckets: int) -> list[float]:
        """Edges between about `buckets` ranges."""
        self._merge()
        return cut_points(self._values, self._counts, buckets)

    def _merge(self) -> None:
        values, counts = np.unique(np.concatenate(self._waiting or [np.empty(0)]), return_counts=True)
        self._waiting, self._rows = [], 0
        if self._rounded:
            values = rounded(values)
        self._values, self._counts = _united(
            np.concatenate([self._values, values]), np.concatenate([self._counts, counts])
        )
        if not self._rounded and len(self._values) > EXACT:
            self._rounded = True
            self._values, self._counts = _united(rounded(self._values), self._counts)


def _united(values: Numbers, counts: NDArray[np.int64]) -> tuple[Numbers, NDArray[np.int64]]:
    distinct, at = np.unique(values, return_inverse=True)
    total = np.zeros(len(distinct), np.int64)
    np.add.at(total, at, counts)
    return distinct, total


def rounded(numbers: Numbers) -> Numbers:
    """To `BITS` significant bits."""
    mantissa, exponent = np.frexp(numbers)
    shorter: Numbers = np.ldexp(np.rint(np.ldexp(mantissa, BITS)), exponent - BITS)
    return shorter


def cut_points(values: Numbers, counts: NDArray[np.int64], buckets: int) -> list[float]:
    """Edges between about `buckets` ranges of about equal count; no more ranges than distinct values.

    A value that alone holds 1 / buckets of the rows gets a range for itself, so that a spike (nine in ten people have
    no capital gains) does not swallow the quantiles of the rest. Such values part the ranges beside them, so there may
    be more than `buckets`.

    Args:
        values: (V,) distinct, rising.
        counts: (V,) rows of each.
    """
    if len(values) <= 1:
        return []
    spike = counts * buckets >= counts.sum()
    rest = np.where(spike, 0, counts)
    share = max(rest.sum() / max(buckets - spike.sum(), 1), 1)
    position = np.floor((np.cumsum(rest) - rest / 2) / share)
    new = (np.diff(position) > 0) | spike[1:] | spike[:-1]
    return [float(edge) for edge in values[1:][new]]
