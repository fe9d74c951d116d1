"""Projecting conflicting gradients (PCGrad)."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.models.balancing.base import GradientAggregation


class PCGrad(GradientAggregation):
    """Projects each gradient off those it conflicts with, in random order, and sums the results.

    Yu et al., NeurIPS 2020, algorithm 1. With two tasks the step conflicts with neither; with more
    it may.
    """

    claims = frozenset({"random"})

    def forward(self, gramian: Tensor) -> Tensor:
        """gramian (T, T) -> weights (T,)."""
        products = gramian.detach().cpu()
        projected = torch.eye(
            len(products), dtype=products.dtype
        )  # row i: gradient i as a combination of all
        for own, weights in enumerate(projected):
            for other in torch.randperm(len(products)).tolist():
                square = products[other, other]
                # The square of a short gradient can be 0 where its products with others are not.
                if other != own and square > 0 and (product := products[other] @ weights) < 0:
                    weights[other] -= product / square
        return projected.sum(0).to(gramian.device)
