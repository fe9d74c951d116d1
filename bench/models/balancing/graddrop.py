"""GradDrop: gradient sign dropout."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor

from bench.core.registry import Config
from bench.models.balancing.base import GradientCombination, TaskGradients


class GradDropConfig(Config):
    """Options of GradDrop."""

    leak: float = Field(0.0, ge=0, le=1)
    """Share of each gradient that always passes; 1 gives the sum of gradients."""


class GradDrop(GradientCombination):
    """Draws one sign for every coordinate and sums only the gradients of that sign.

    Chen et al., NeurIPS 2020, algorithm 1: positive with probability (1 + sum_i g_i / sum_i |g_i|)
    / 2.
    """

    needs = frozenset({"gradients"})
    claims = frozenset({"random"})

    config: GradDropConfig

    def forward(self, gradients: TaskGradients) -> list[Tensor]:
        """See `GradientCombination.forward`."""
        return [self._combine(part) for part in zip(*gradients, strict=True)]

    def _combine(self, gradients: Sequence[Tensor]) -> Tensor:
        positive = gradients[0].detach().clamp(min=0)
        negative = gradients[0].detach().clamp(max=0)
        for gradient in gradients[1:]:
            positive = positive + gradient.detach().clamp(min=0)
            negative = negative + gradient.detach().clamp(max=0)
        # Without positive gradients the share is 0 and no draw is below it; without negative ones
        # it is 1.
        share = positive / (positive - negative)
        drawn = torch.where(torch.rand_like(share) < share, positive, negative)
        # 0 / 0 is NaN, which compares as false: both sums are then 0, unless the gradients are NaN.
        return torch.lerp(drawn, positive + negative, self.config.leak)
