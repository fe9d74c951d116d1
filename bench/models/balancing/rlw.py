"""Random loss weighting (RLW)."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.models.balancing.base import LossWeighting


class RLW(LossWeighting):
    """T softmax(z) . L with z ~ N(0, 1) in each step (Lin et al., TMLR 2022), T times the paper's
    loss.
    """

    claims = frozenset({"random"})

    def forward(self, losses: Tensor) -> Tensor:
        """losses (T,) -> scalar."""
        weights = torch.randn_like(losses).softmax(dim=0)
        return len(self.tasks) * (weights * losses).sum()
