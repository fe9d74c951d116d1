"""Geometric loss strategy (GLS)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torchjd.scalarization import GeometricMean

from bench.balancing.base import LossWeighting
from bench.registry import NoOptions


class GLS(LossWeighting):
    """T (prod_i L_i)^(1/T) (Chennupati et al., CVPR Workshops 2019), T times the paper's loss: equal losses weigh 1.

    The mean is over the tasks with samples in the batch, whose number then stands for T: a task without samples has
    loss 0, which would erase the others. A batch without any gives 0.
    """

    def __init__(self, tasks: Sequence[str], config: NoOptions) -> None:
        super().__init__(tasks)
        self.mean = GeometricMean()

    def forward(self, losses: Tensor) -> Tensor:
        """losses (T,), none negative -> scalar."""
        present = losses[losses != 0]
        if len(present) == 0:
            return losses.sum()
        mean: Tensor = self.mean(present)
        return len(present) * mean
