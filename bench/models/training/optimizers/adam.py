"""Adam (Kingma & Ba, ICLR 2015) on the embedding rows that a batch touches, each of which counts
its own steps.

A batch touches a few thousand rows of a table of millions. Other libraries spend most of their time
on dense gradients of the table or dense steps over it; neither exists here.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.core.schema import Schema
from bench.core.system.intrinsics import AHEAD, LINE, jit, prefetch
from bench.models.compiling import array
from bench.models.embedding import new_table
from bench.models.training.optimizers.kernels import TableGroup, share

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


class RowAdam:
    """With a row's gradient g at its t-th step, element by element:

        m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2
        w = (1 - lr l2) w - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

    g is the summed gradient of a distinct row of a batch; t counts the steps in which the row was
    touched, so a rare id's first step has the size `lr` like any other row's. State: 8 W + 4 bytes
    a row. Row 0, the padding, never changes.

    On the CPU compiled kernels do the work: tables have disjoint rows, so threads take tables,
    without locks, and the result does not depend on their number. On a GPU torch operations do it.
    They have fixed shapes and do not synchronise, so a CUDA graph can capture `step`; it reads
    `rate` on the device, so set that outside the captured region.

    Args:
        weight: (R, W) float32, contiguous; changed in place.
        schema: names which columns of `ids` belong to one field.
        lr: learning rate.
        l2: decoupled decay (Loshchilov & Hutter, ICLR 2019): a touched row shrinks by the factor 1
            - `lr * l2` before its step.
        threads: number of tables processed in parallel.
        compiled: False uses torch operations on every device.

    Attributes:
        rate: learning rate of the next step, at first `lr`.
    """

    def __init__(
        self,
        weight: Tensor,
        schema: Schema,
        lr: float,
        l2: float = 0.0,
        threads: int = 1,
        compiled: bool = True,
    ) -> None:
        self.weight, self.l2 = weight.detach(), l2
        rows, device = len(weight), weight.device
        self._state = {
            name: new_table(rows, weight.shape[1], device) for name in ("mean", "square")
        }
        self._state["steps"] = torch.zeros(rows, dtype=torch.int32, device=device)
        # Copied to the device here, because a CUDA graph may be capturing the first step.
        self._first, self._second = (torch.from_numpy(table).to(device) for table in _bias())
        self.lr, self.rate = lr, torch.tensor(lr, dtype=torch.float64, device=device)
        self._parts = share(schema, threads) if compiled and weight.is_cpu else []
        self._pool = ThreadPoolExecutor(len(self._parts) - 1) if len(self._parts) > 1 else None

    def step(self, ids: Tensor, gradient: Tensor) -> None:
        """Updates the table from ids (B, S) int32 and the gradient (B, S, W) of their embeddings;
        sums are float32.
        """
        if not ids.shape[1]:  # data without a categorical field
            return
        gradient = gradient.detach().contiguous()
        if not self._parts:
            self._step_by_torch(ids, gradient.float())
            return
        arrays = ids.int().contiguous().numpy().view(np.uint32), array(gradient)
        mine, *others = self._parts
        futures = (
            [self._pool.submit(self._step_part, part, *arrays) for part in others]
            if self._pool
            else []
        )
        self._step_part(mine, *arrays)
        for future in futures:
            future.result()

    def state_dict(self) -> dict[str, Tensor]:
        """State of every row; the optimizer's own tensors."""
        return dict(self._state)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Copies a state of the same table."""
        for name, tensor in self._state.items():
            tensor.copy_(state[name])

    def _step_part(self, part: TableGroup, ids: NDArray[np.uint32], gradient: NDArray[Any]) -> None:
        rows, sums, count = part.sums(ids, gradient)
        arrays = [tensor.numpy() for tensor in (self.weight, *self._state.values())]
        (first, second), lr = _bias(), self.rate.item()
        rates = (lr / first).astype(np.float32)
        _kernel(*arrays, rows, sums, count, np.float32(1.0 - lr * self.l2), rates, second)

    @torch.no_grad()
    def _step_by_torch(self, ids: Tensor, gradient: Tensor) -> None:
        rows, sums, live = sum_by_row(ids, gradient)
        tensors = (self.weight, *self._state.values())
        old = [tensor[rows] for tensor in tensors]
        weight, mean, square, steps = old
        steps = steps + 1
        mean = BETA1 * mean + (1 - BETA1) * sums
        square = BETA2 * square + (1 - BETA2) * sums * sums
        rates = (
            (self.rate / self._first[steps.clamp(max=len(self._first) - 1)]).float().unsqueeze(1)
        )
        roots = self._second[steps.clamp(max=len(self._second) - 1)].unsqueeze(1)
        decay = (1.0 - self.rate * self.l2).float()
        weight = decay * weight - rates * mean / (square.sqrt() * roots + EPS)
        for tensor, before, after in zip(tensors, old, (weight, mean, square, steps), strict=True):
            mask = live if tensor.dim() > 1 else live.squeeze(1)
            tensor.index_copy_(0, rows, torch.where(mask, after, before))  # row 0 stays unchanged


class RowGradients(NamedTuple):
    """A batch's distinct rows and their gradients, padded to N = B * S.

    `rows` (N,) int64 has each row of the batch once, then 0, where `live` (N, 1) is false; `sums`
    is (N, W) float32.
    """

    rows: Tensor
    sums: Tensor
    live: Tensor


def sum_by_row(ids: Tensor, gradient: Tensor) -> RowGradients:
    """ids (B, S) and the gradient of their embeddings (B, S, W) -> one gradient for each distinct
    row, by torch.

    Shapes do not depend on the ids: nothing is read back from a device, and a CUDA graph can
    capture a step. On CUDA the order of additions, and so the last bits of the sums, vary from call
    to call unless `torch.use_deterministic_algorithms` is on.
    """
    flat = ids.reshape(-1)
    ordered, order = torch.sort(flat)
    segment = torch.zeros_like(
        order
    )  # (N,) for each sorted id: index of its row among the distinct ones
    torch.cumsum(ordered[1:] != ordered[:-1], dim=0, out=segment[1:])
    place = torch.empty_like(order).scatter_(0, order, segment)
    rows = torch.zeros_like(order).scatter_(0, place, flat.long())  # equal ids write the same value
    each = gradient.reshape(len(flat), gradient.shape[-1])
    sums = torch.zeros_like(each).index_add_(0, place, each)
    return RowGradients(rows, sums, (rows != 0).unsqueeze(1))


@lru_cache(maxsize=1)
def _bias() -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """1 - beta1^t and 1 / sqrt(1 - beta2^t) by t, up to where they become 1 in double precision;
    entry 0 is unused.
    """
    ends = (np.ceil(-54 * np.log(2) / np.log(beta)) for beta in (BETA1, BETA2))
    first, second = (
        1.0 - beta ** np.arange(end + 1) for beta, end in zip((BETA1, BETA2), ends, strict=True)
    )
    first[0] = second[0] = 1.0
    return first, (1.0 / np.sqrt(second)).astype(np.float32)


@jit("contract")
def _kernel(weight, mean, square, steps, rows, sums, count, decay, rates, roots):  # type: ignore[no-untyped-def]
    width = weight.shape[1]
    b1, b2, c1, c2 = (
        np.float32(BETA1),
        np.float32(BETA2),
        np.float32(1.0 - BETA1),
        np.float32(1.0 - BETA2),
    )
    small = np.float32(EPS)
    last, last_rate, last_root = (
        np.uint64(count),
        np.uint64(len(rates) - 1),
        np.uint64(len(roots) - 1),
    )
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
