"""Random loss weighting (RLW)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torchjd.scalarization import Random

from bench.balancing.base import LossWeighting
from bench.registry import NoOptions


class RLW(LossWeighting):
    """T softmax(z) . L with z ~ N(0, 1) anew each step (Lin et al., TMLR 2022), T times the paper's loss."""

    def __init__(self, tasks: Sequence[str], config: NoOptions) -> None:
        super().__init__(tasks)
        self.random = Random()

    def forward(self, losses: Tensor) -> Tensor:
        """losses (T,) -> scalar."""
        loss: Tensor = self.random(losses)
        return len(self.tasks) * loss
