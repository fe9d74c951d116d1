"""Normalisation of hidden units, each expert with a scale of its own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.models.config import Norm

EPS = 1e-5  # added to the variance, or the mean square


class BatchedNorm(nn.Module):
    """Normalises the units of each sample and expert: `layer` or `rms`, see `bench.models.config.Norm`.

    Attributes:
        scale: (E, H), from one on.
        shift: (E, H), from zero on; None under `rms`.
    """

    def __init__(self, experts: int, width: int, norm: Norm) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(experts, width))
        self.shift = nn.Parameter(torch.zeros(experts, width)) if norm == "layer" else None

    def forward(self, h: Tensor) -> Tensor:
        """h (E, B, H) -> the same, in its precision; statistics are taken in at least float32."""
        wide = h.to(torch.promote_types(h.dtype, torch.float32))
        scale = self.scale.unsqueeze(1)
        if self.shift is None:
            y = wide * (wide.square().mean(2, keepdim=True) + EPS).rsqrt() * scale
        else:
            y = F.layer_norm(wide, wide.shape[2:], eps=EPS) * scale + self.shift.unsqueeze(1)
        return y.to(h.dtype)
