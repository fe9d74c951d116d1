"""Stochastic gradient descent on touched rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bench.system.intrinsics import AHEAD, LINE, jit, prefetch
from bench.training.optimizers.base import RowOptimizer


class RowSGD(RowOptimizer):
    """With a row's gradient g: w = (1 - lr l2) w - lr g. It has no state."""

    fused = "sgd"

    def _new_state(self) -> dict[str, Tensor]:
        return {}

    def _run_kernel(self, rows: NDArray[np.uint32], sums: NDArray[np.float32], count: int) -> None:
        _kernel(self.weight.numpy(), rows, sums, count, np.float32(1.0 - self.lr * self.l2), np.float32(self.lr))

    def _torch_rule(self, old: Mapping[str, Tensor], gradient: Tensor, rate: Tensor) -> dict[str, Tensor]:
        decay = (1.0 - rate * self.l2).float()
        return {"weight": decay * old["weight"] - rate.float() * gradient}


@jit("contract")
def _kernel(weight, rows, sums, count, decay, rate):  # type: ignore[no-untyped-def]
    width = weight.shape[1]
    last = np.uint64(count)
    for i in range(count):
        at = np.uint64(i + 1)
        coming = rows[min(at + AHEAD, last)]
        for k in range(0, width, LINE):
            prefetch(weight, coming, k)
        row = rows[at]
        for k in range(width):
            weight[row, k] = decay * weight[row, k] - rate * sums[at, k]
