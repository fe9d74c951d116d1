"""Adam on the embedding rows that a batch touches, and on no others.

A batch touches a few thousand rows of a table of millions; a dense gradient or a dense Adam step over the whole table
is where other libraries spend most of their time. Here a compiled kernel adds up the gradient of each distinct row
and updates that row at once. The fields' rows are disjoint, so threads take fields, without locks, and the result
does not depend on their number.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.schema import Schema


class RowAdam:
    """Adam (Kingma & Ba, ICLR 2015) with decoupled decay (Loshchilov & Hutter, ICLR 2019) on touched rows.

    Each row counts its own steps for the bias correction: a rare id's first step has the size `lr`, as every other
    row's first step had. Row 0, the padding, never moves.

    Args:
        weight: (R, W) float32, contiguous, on the CPU; changed in place.
        schema: names which columns of `ids` belong to one field.
        l2: decay: a touched row shrinks by `lr * l2` of itself before its step.
        threads: how many fields are worked on at once.
    """

    def __init__(
        self,
        weight: Tensor,
        schema: Schema,
        lr: float,
        l2: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        threads: int = 1,
    ) -> None:
        self.weight, self.lr, self.l2, self.betas, self.eps = weight, lr, l2, betas, eps
        self.mean = torch.zeros_like(weight)
        self.square = torch.zeros_like(weight)
        self.steps = torch.zeros(len(weight), dtype=torch.int32)
        self._place = np.full(len(weight), -1, dtype=np.int32)  # row -> its sum within the current step, or -1
        self._parts = _share_columns(schema, threads)
        self._pool = ThreadPoolExecutor(len(self._parts)) if len(self._parts) > 1 else None

    def step(self, ids: Tensor, gradient: Tensor) -> None:
        """One update from ids (B, S) int32 and the gradient of their embeddings (B, S, W)."""
        arrays = [tensor.detach().numpy() for tensor in (self.weight, self.mean, self.square, self.steps)]
        batch = (ids.numpy(), gradient.detach().contiguous().numpy())
        numbers = (self.lr, self.l2, *self.betas, self.eps)

        def run(columns: NDArray[np.int64]) -> None:
            _update(*arrays, self._place, *batch, columns, *numbers)  # type: ignore[call-arg]

        if self._pool is None:
            for columns in self._parts:
                run(columns)
        else:
            list(self._pool.map(run, self._parts))

    def state_dict(self) -> dict[str, Tensor]:
        """Moments and step counts, of every row."""
        return {"mean": self.mean, "square": self.square, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Takes over a state of the same table."""
        for name, tensor in self.state_dict().items():
            tensor.copy_(state[name])


def _share_columns(schema: Schema, threads: int) -> list[NDArray[np.int64]]:
    """Columns of `ids` for each thread: whole fields, dealt to the thread with the fewest columns so far."""
    parts: list[list[int]] = [[] for _ in range(max(1, min(threads, len(schema.fields))))]
    at = 0
    for field in schema.fields:
        min(parts, key=len).extend(range(at, at + field.slots))
        at += field.slots
    return [np.array(part, dtype=np.int64) for part in parts]


@numba.njit(nogil=True, cache=True, fastmath={"contract"}, error_model="numpy")
def _update(  # type: ignore[no-untyped-def]
    weight, mean, square, steps, place, ids, gradient, columns, lr, l2, beta1, beta2, eps
):
    """Sums the gradient by distinct row over the given columns of `ids`, then updates those rows."""
    batch, width = ids.shape[0], weight.shape[1]
    sums = np.empty((batch * len(columns), width), dtype=np.float32)
    rows = np.empty(batch * len(columns), dtype=np.int32)
    count = 0
    for column in columns:
        for sample in range(batch):
            row = ids[sample, column]
            if row == 0:
                continue
            at = place[row]
            if at < 0:
                place[row] = count
                rows[count] = row
                for k in range(width):
                    sums[count, k] = gradient[sample, column, k]
                count += 1
            else:
                for k in range(width):
                    sums[at, k] += gradient[sample, column, k]
    decay = np.float32(1.0 - lr * l2)
    b1, b2 = np.float32(beta1), np.float32(beta2)
    c1, c2 = np.float32(1.0 - beta1), np.float32(1.0 - beta2)
    for at in range(count):
        row = rows[at]
        place[row] = -1
        steps[row] += 1
        step = np.float32(lr / (1.0 - beta1 ** steps[row]))
        root = np.float32(1.0 / np.sqrt(1.0 - beta2 ** steps[row]))
        small = np.float32(eps)
        for k in range(width):
            g = sums[at, k]
            m = b1 * mean[row, k] + c1 * g
            v = b2 * square[row, k] + c2 * g * g
            mean[row, k] = m
            square[row, k] = v
            weight[row, k] = decay * weight[row, k] - step * m / (np.sqrt(v) * root + small)
