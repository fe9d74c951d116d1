"""One gradient for each distinct row of a batch, in torch operations whose shapes do not depend on the ids.

Fixed shapes mean that nothing is read back from a device, and that a CUDA graph can capture a step.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class RowGradients(NamedTuple):
    """A batch's distinct rows and their gradients, filled up with padding to N = B * S.

    Attributes:
        rows: (N,) int64; each row of the batch once, and 0 in the places left over.
        sums: (N, W) float32.
        live: (N, 1) bool; False where `rows` is 0.
    """

    rows: Tensor
    sums: Tensor
    live: Tensor


def sum_by_row(ids: Tensor, gradient: Tensor) -> RowGradients:
    """ids (B, S) and the gradient of their embeddings (B, S, W) -> one gradient for each distinct row.

    On CUDA the order of additions, and so the last bits of the sums, vary from call to call unless
    `torch.use_deterministic_algorithms` is on.
    """
    flat = ids.reshape(-1)
    ordered, order = torch.sort(flat)
    segment = torch.zeros_like(order)  # (N,) of each sorted id: the place of its row among the distinct ones
    torch.cumsum(ordered[1:] != ordered[:-1], dim=0, out=segment[1:])
    place = torch.empty_like(order).scatter_(0, order, segment)
    rows = torch.zeros_like(order).scatter_(0, place, flat.long())  # equal ids write the same value
    each = gradient.reshape(len(flat), gradient.shape[-1])
    sums = torch.zeros_like(each).index_add_(0, place, each)
    return RowGradients(rows, sums, (rows != 0).unsqueeze(1))
