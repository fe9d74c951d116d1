"""Row-wise Adagrad on touched rows: one learning rate a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.system.intrinsics import AHEAD, LINE, jit, prefetch
from bench.training.optimizers.base import RowOptimizer

EPS = 1e-10


class RowAdagrad(RowOptimizer):
    """Adagrad (Duchi et al., JMLR 2011) with one accumulator s a row, as row-wise Adagrad in DLRM and FBGEMM.

    With a row's gradient g of width W:

        s = s + (1 / W) sum_k g_k^2
        w = (1 - lr l2) w - lr g / (sqrt(s) + eps)

    State: 4 bytes a row.
    """

    fused = "adagrad"
    constants: ClassVar = {"EPS": EPS}

    def _new_state(self) -> dict[str, Tensor]:
        return {"square": torch.zeros(len(self.weight), device=self.weight.device)}

    def _run_kernel(self, rows: NDArray[np.uint32], sums: NDArray[np.float32], count: int) -> None:
        arrays = self.weight.numpy(), self._state["square"].numpy()
        _kernel(*arrays, rows, sums, count, np.float32(1.0 - self.lr * self.l2), np.float32(self.lr))

    def _torch_rule(self, old: Mapping[str, Tensor], gradient: Tensor, rate: Tensor) -> dict[str, Tensor]:
        square = old["square"] + gradient.square().mean(1)
        scale = rate.float() / (square.sqrt() + EPS)
        decay = (1.0 - rate * self.l2).float()
        return {"weight": decay * old["weight"] - scale.unsqueeze(1) * gradient, "square": square}


@jit("contract", "reassoc")
def _kernel(weight, square, rows, sums, count, decay, rate):  # type: ignore[no-untyped-def]
    width = weight.shape[1]
    share, small = np.float32(1.0 / width), np.float32(EPS)
    last = np.uint64(count)
    for i in range(count):
        at = np.uint64(i + 1)
        coming = rows[min(at + AHEAD, last)]
        prefetch(square, coming, 0)
        for k in range(0, width, LINE):
            prefetch(weight, coming, k)
        row = rows[at]
        total = np.float32(0.0)
        for k in range(width):
            total += sums[at, k] * sums[at, k]
        square[row] += share * total
        scale = rate / (np.sqrt(square[row]) + small)
        for k in range(width):
            weight[row, k] = decay * weight[row, k] - scale * sums[at, k]
