"""Geometric loss strategy (GLS)."""

from __future__ import annotations

from torch import Tensor

from bench.models.balancing.base import LossWeighting


class GLS(LossWeighting):
    """T (prod_i L_i)^(1/T) (Chennupati et al., CVPR Workshops 2019), T times the paper's loss:
    equal losses weigh 1.

    The mean and T cover the tasks with samples in the batch, as a loss of 0 would make the product
    0. A batch without any gives 0.
    """

    def forward(self, losses: Tensor) -> Tensor:
        """losses (T,), none negative -> scalar."""
        present = losses[losses != 0]
        if len(present) == 0:
            return losses.sum()
        return len(present) * present.log().mean().exp()
