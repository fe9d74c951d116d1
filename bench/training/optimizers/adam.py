"""Adam (Kingma & Ba, ICLR 2015) on touched rows, each of which counts its own steps."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.models.embedding import new_table
from bench.system.intrinsics import AHEAD, LINE, jit, prefetch
from bench.training.optimizers.base import RowOptimizer

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


def last_step(beta: float) -> int:
    """The first t at which 1 - beta^t is 1 in double precision."""
    return int(np.ceil(-54 * np.log(2) / np.log(beta)))


class RowAdam(RowOptimizer):
    """With a row's gradient g at its t-th step, element by element:

        m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2
        w = (1 - lr l2) w - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

    t counts the steps in which the row was touched, so a rare id's first step has the size `lr` like any other row's.
    State: 8 W + 4 bytes a row.
    """

    def _new_state(self) -> dict[str, Tensor]:
        # Copied to the device here, because a CUDA graph may be capturing the first step.
        self._first, self._second = (torch.from_numpy(table).to(self.weight.device) for table in _bias())
        rows, columns = self.weight.shape
        return {
            "mean": new_table(rows, columns, self.weight.device),
            "square": new_table(rows, columns, self.weight.device),
            "steps": torch.zeros(len(self.weight), dtype=torch.int32, device=self.weight.device),
        }

    def _run_kernel(self, rows: NDArray[np.uint32], sums: NDArray[np.float32], count: int) -> None:
        arrays = [tensor.numpy() for tensor in (self.weight, *self._state.values())]
        first, second = _bias()
        rates = (self.lr / first).astype(np.float32)
        _kernel(*arrays, rows, sums, count, np.float32(1.0 - self.lr * self.l2), rates, second)

    def _torch_rule(self, old: Mapping[str, Tensor], gradient: Tensor, rate: Tensor) -> dict[str, Tensor]:
        first, second = self._first, self._second
        steps = old["steps"] + 1
        mean = BETA1 * old["mean"] + (1 - BETA1) * gradient
        square = BETA2 * old["square"] + (1 - BETA2) * gradient * gradient
        rates = (rate / first[steps.clamp(max=len(first) - 1)]).float().unsqueeze(1)
        roots = second[steps.clamp(max=len(second) - 1)].unsqueeze(1)
        decay = (1.0 - rate * self.l2).float()
        weight = decay * old["weight"] - rates * mean / (square.sqrt() * roots + EPS)
        return {"weight": weight, "mean": mean, "square": square, "steps": steps}


@lru_cache(maxsize=1)
def _bias() -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """1 - beta1^t and 1 / sqrt(1 - beta2^t) by t, up to where they become 1; entry 0 is unused."""
    first, second = (1.0 - beta ** np.arange(last_step(beta) + 1, dtype=np.float64) for beta in (BETA1, BETA2))
    first[0] = second[0] = 1.0
    return first, (1.0 / np.sqrt(second)).astype(np.float32)


@jit("contract")
def _kernel(weight, mean, square, steps, rows, sums, count, decay, rates, roots):  # type: ignore[no-untyped-def]
    width = weight.shape[1]
    b1, b2, c1, c2 = np.float32(BETA1), np.float32(BETA2), np.float32(1.0 - BETA1), np.float32(1.0 - BETA2)
    small = np.float32(EPS)
    last, last_rate, last_root = np.uint64(count), np.uint64(len(rates) - 1), np.uint64(len(roots) - 1)
    for i in range(count):
        at = np.uint64(i + 1)
        coming = rows[min(at + AHEAD, last)]
        prefetch(steps, coming, 0)
        for k in range(0, width, LINE):
            prefetch(weight, coming, k)
            prefetch(mean, coming, k)
            prefetch(square, coming, k)
        row = rows[at]
        t = np.uint64(steps[row] + 1)
        steps[row] = t
        rate = rates[min(t, last_rate)]
        root = roots[min(t, last_root)]
        for k in range(width):
            g = sums[at, k]
            m = b1 * mean[row, k] + c1 * g
            v = b2 * square[row, k] + c2 * g * g
            mean[row, k] = m
            square[row, k] = v
            weight[row, k] = decay * weight[row, k] - rate * m / (np.sqrt(v) * root + small)
