"""Geometric loss strategy (GLS)."""

from __future__ import annotations

from torch import Tensor

from bench.balancing.base import LossWeighting


class GLS(LossWeighting):
    """T (prod_i L_i)^(1/T) (Chennupati et al., CVPR Workshops 2019), T times the paper's loss: equal losses weigh 1.

    The mean is over the tasks with samples in the batch, whose number then stands for T: a task without samples has
    loss 0, which would erase the others. A batch without any gives 0.
    """

    def forward(self, losses: Tensor) -> Tensor:
        """losses (T,), none negative -> scalar."""
        present = losses[losses != 0]
        if len(present) == 0:
            return losses.sum()
        return len(present) * present.log().mean().exp()
