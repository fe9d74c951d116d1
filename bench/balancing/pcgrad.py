"""Projecting conflicting gradients (PCGrad)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torchjd.aggregation import PCGradWeighting

from bench.balancing.base import GradientAggregation
from bench.registry import NoOptions


class PCGrad(GradientAggregation):
    """Each gradient is projected off those it conflicts with, in random order; the results are summed.

    Yu et al., NeurIPS 2020, algorithm 1. With two tasks the step conflicts with neither; with more it may.
    """

    def __init__(self, tasks: Sequence[str], config: NoOptions) -> None:
        super().__init__(tasks)
        self.weighting = PCGradWeighting()

    def forward(self, gramian: Tensor) -> Tensor:
        """gramian (T, T) -> weights (T,)."""
        # The square of a short gradient can be 0 where its products with others are not: a division by zero.
        silent = gramian.diagonal() == 0
        weights: Tensor = self.weighting(gramian.masked_fill(silent | silent[:, None], 0.0))
        return weights
