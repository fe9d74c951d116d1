"""Objectives on a scale on which the good ones are apart: the logarithm of what each is behind the best."""

from __future__ import annotations

import numpy as np

from bench.search.encoding import Floats


class Warp:
    """Made from values (N, M), larger is better; onto a mean of 0 and a standard deviation of 1, and back.

    Random configurations have a long tail of poor ones, whose differences would hide those among the good. Above the
    best the scale goes on in a straight line.
    """

    def __init__(self, values: Floats) -> None:
        self._best = values.max(axis=0)
        self._scale = np.maximum(np.median(self._best - values, axis=0), 1e-9)
        logs = self._log(values)
        self._mean, self._spread = logs.mean(axis=0), np.maximum(logs.std(axis=0), 1e-9)

    def to(self, values: Floats) -> Floats:
        """Values on the new scale."""
        return np.asarray((self._log(values) - self._mean) / self._spread)

    def back(self, warped: Floats) -> Floats:
        """What has such values on the new scale."""
        logs = warped * self._spread + self._mean
        behind = np.where(logs < 0, np.expm1(np.clip(-logs, 0, 50)), -logs)
        return np.asarray(self._best - behind * self._scale)

    def _log(self, values: Floats) -> Floats:
        behind = (self._best - values) / self._scale
        return np.asarray(np.where(behind > 0, -np.log1p(np.maximum(behind, 0)), -behind))
