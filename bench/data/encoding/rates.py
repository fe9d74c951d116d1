"""Target rates: how often train rows of the same user, item or author had each label.

The strongest inputs there are for known ids, and the easiest way to leak. Rows outside train get the rate over all of
train. A train row must never see its own label, so it gets the rate over the other folds (Micci-Barreca, SIGKDD
Explorations 2001, for the smoothing; out-of-fold as in stacking, Wolpert 1992).
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from bench.data.encoding.base import Source
from bench.data.encoding.known import Known
from bench.data.encoding.numeric import Dense
from bench.registry import Config

Values = NDArray[np.float64]


class TargetRates(Config):
    """For one column: a rate for each task, and the log of the number of rows behind them; all standardised.

    A rate is (sum of labels + smoothing * mean) / (labels + smoothing), for a binary task as its logit.
    """

    kind: Literal["target_rates"] = "target_rates"
    name: str
    source: Source
    tasks: tuple[str, ...]
    binary: tuple[bool, ...]
    smoothing: float
    folds: int
    seed: int
    values: tuple[str | None, ...]
    """Values of the column in train, as they first appear, missing last."""
    table: tuple[tuple[float, ...], ...]
    """For each value, and last for an unknown one: T rates and a log count, not yet standardised."""
    mean: tuple[float, ...]
    scale: tuple[float, ...]

    @model_validator(mode="after")
    def _of_one_shape(self) -> TargetRates:
        wide = len(self.tasks) + 1
        rows = (*self.table, self.mean, self.scale)
        if len(self.binary) != len(self.tasks) or any(len(row) != wide for row in rows):
            raise ValueError(f"expected {wide} numbers for {len(self.tasks)} tasks everywhere, found another number")
        if len(self.table) != len(self.values) + 1:
            raise ValueError(
                f"expected a row for each of {len(self.values)} values and one more, found {len(self.table)}"
            )
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Of its dense columns."""
        return (*(f"{self.name}_{task}_rate" for task in self.tasks), f"{self.name}_count")

    def encode(self, table: Any) -> Dense:
        """(N, T + 1), for rows outside train."""
        return self._known.of(self.source, table)

    @cached_property
    def _known(self) -> Known:
        """The last row of the table is for values that train did not hold, missing among them unless it did."""
        rows = self.standardised(np.array(self.table))
        return Known(self.values, rows[:-1], rows[-1], rows[-1])

    def standardised(self, values: Values) -> Dense:
        """Raw rates and log count (N, T + 1) as they are stored."""
        dense: Dense = ((values - np.array(self.mean)) / np.array(self.scale)).astype(np.float32)
        return dense


def rates(
    sums: Values, counts: Values, rows: Values, prior: Values, smoothing: float, binary: tuple[bool, ...]
) -> Values:
    """(n, T + 1), rates and log count, not yet standardised.

    Args:
        sums: (n, T) of the labels behind each.
        counts: (n, T) of those that are observed.
        rows: (n, 1) behind each.
        prior: (T,) or (n, T), what a rate is drawn to.
    """
    rate = (sums + smoothing * prior) / (counts + smoothing)
    inside = np.clip(rate, 1e-6, 1 - 1e-6)
    rate = np.where(np.array(binary), np.log(inside / (1 - inside)), rate)
    return np.concatenate([rate, np.log1p(rows)], axis=1)
