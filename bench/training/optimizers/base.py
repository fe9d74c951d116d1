"""The contract of touched-row optimizers: they update only the embedding rows that a batch touches.

A batch touches a few thousand rows of a table of millions. Other libraries spend most of their time on dense gradients
of the table or dense steps over it; neither exists here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.core.schema import Schema
from bench.models.compiling import array
from bench.training.optimizers.kernels import Part, share


class RowOptimizer(ABC):
    """A rule, applied to the summed gradient of each distinct row of a batch.

    Row 0, the padding, never changes. On the CPU compiled kernels do the work: tables have disjoint rows, so threads
    take tables, without locks, and the result does not depend on their number. On a GPU torch operations do it. They
    have fixed shapes and do not synchronise, so a CUDA graph can capture `step`; it reads `lr` on the device, so set
    that outside the captured region.

    Args:
        weight: (R, W) float32, contiguous; changed in place.
        schema: names which columns of `ids` belong to one field.
        lr: learning rate.
        l2: decoupled decay (Loshchilov & Hutter, ICLR 2019): a touched row shrinks by the factor 1 - `lr * l2` before
            its step.
        threads: number of tables processed in parallel.
        compiled: False uses torch operations on every device.
    """

    def __init__(
        self, weight: Tensor, schema: Schema, lr: float, l2: float = 0.0, threads: int = 1, compiled: bool = True
    ) -> None:
        self.weight, self.l2 = weight.detach(), l2
        self._state = self._new_state()
        self._rate = torch.zeros((), dtype=torch.float64, device=weight.device)
        self.lr = lr
        self._parts = share(schema, threads) if compiled and weight.is_cpu else []
        self._pool = ThreadPoolExecutor(len(self._parts) - 1) if len(self._parts) > 1 else None

    @abstractmethod
    def _new_state(self) -> dict[str, Tensor]:
        """State of each row, as tensors of R rows on the weight's device."""

    @abstractmethod
    def _run_kernel(self, rows: NDArray[np.uint32], sums: NDArray[np.float32], count: int) -> None:
        """Updates weight and state of `rows[1 : count + 1]` by their gradients `sums[1 : count + 1]`; compiled."""

    @abstractmethod
    def _torch_rule(self, old: Mapping[str, Tensor], gradient: Tensor, rate: Tensor) -> dict[str, Tensor]:
        """The same rule in torch: `weight` and every state tensor at N rows -> their new values.

        Args:
            old: each (N, ..).
            gradient: (N, W).
            rate: the learning rate, () float64 on the device.
        """

    @property
    def lr(self) -> float:
        """Learning rate of the next step."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._lr = value
        self._rate.fill_(value)

    def step(self, ids: Tensor, gradient: Tensor) -> None:
        """Updates the table from ids (B, S) int32 and the gradient (B, S, W) of their embeddings; sums are float32."""
        if not ids.shape[1]:  # data without a categorical field
            return
        gradient = gradient.detach().contiguous()
        if not self._parts:
            self._step_by_torch(ids, gradient.float())
            return
        arrays = ids.int().contiguous().numpy().view(np.uint32), array(gradient)
        mine, *others = self._parts
        futures = [self._pool.submit(self._step_part, part, *arrays) for part in others] if self._pool else []
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

    def _step_part(self, part: Part, ids: NDArray[np.uint32], gradient: NDArray[Any]) -> None:
        self._run_kernel(*part.sums(ids, gradient))

    @torch.no_grad()
    def _step_by_torch(self, ids: Tensor, gradient: Tensor) -> None:
        rows, sums, live = sum_by_row(ids, gradient)
        tensors = {"weight": self.weight, **self._state}
        old = {name: tensor[rows] for name, tensor in tensors.items()}
        new = self._torch_rule(old, sums, self._rate)
        for name, tensor in tensors.items():
            mask = live if tensor.dim() > 1 else live.squeeze(1)
            tensor.index_copy_(0, rows, torch.where(mask, new[name], old[name]))  # row 0 stays unchanged


class RowGradients(NamedTuple):
    """A batch's distinct rows and their gradients, padded to N = B * S.

    `rows` (N,) int64 has each row of the batch once, then 0, where `live` (N, 1) is false; `sums` is (N, W) float32.
    """

    rows: Tensor
    sums: Tensor
    live: Tensor


def sum_by_row(ids: Tensor, gradient: Tensor) -> RowGradients:
    """ids (B, S) and the gradient of their embeddings (B, S, W) -> one gradient for each distinct row, by torch.

    Shapes do not depend on the ids: nothing is read back from a device, and a CUDA graph can capture a step. On CUDA
    the order of additions, and so the last bits of the sums, vary from call to call unless
    `torch.use_deterministic_algorithms` is on.
    """
    flat = ids.reshape(-1)
    ordered, order = torch.sort(flat)
    segment = torch.zeros_like(order)  # (N,) for each sorted id: index of its row among the distinct ones
    torch.cumsum(ordered[1:] != ordered[:-1], dim=0, out=segment[1:])
    place = torch.empty_like(order).scatter_(0, order, segment)
    rows = torch.zeros_like(order).scatter_(0, place, flat.long())  # equal ids write the same value
    each = gradient.reshape(len(flat), gradient.shape[-1])
    sums = torch.zeros_like(each).index_add_(0, place, each)
    return RowGradients(rows, sums, (rows != 0).unsqueeze(1))
