"""The mean of a history."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.core.registry import NoOptions
from bench.models.contracts import Sequence


class Mean(Sequence):
    """The mean of a history without padding; ignores the row's own value."""

    def __init__(self, dim: int, length: int, sets: int, config: NoOptions) -> None:
        super().__init__(dim, length, sets)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        """See `Sequence.forward`."""
        return torch.einsum("bl,ibld->ibd", shares(there, x.dtype), x[:, :, 1:])


def shares(there: Tensor, dtype: torch.dtype) -> Tensor:
    """there (B, L) -> weight of each value in the mean (B, L); zeros for an empty history."""
    return there.to(dtype) / there.sum(1, keepdim=True).clamp(min=1)
