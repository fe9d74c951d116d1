"""Aggregations that change each gradient by the others, one after the other in random order:
projecting conflicting gradients (PCGrad), and gradient vaccine (GradVac).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from bench.core.arrays import Floats
from bench.core.registry import Config
from bench.models.balancing.base import GradientAggregation
from bench.models.balancing.gramian import Gradients, GramianAggregation

_LEAST_SINE = 1e-3  # bounds the weights when two tasks that always agreed conflict


class PCGrad(GradientAggregation):
    """Projects each gradient off those it conflicts with, in random order, and sums the results.

    Yu et al., NeurIPS 2020, algorithm 1. With two tasks the step conflicts with neither; with more
    it may.

    Example:
        >>> import torch
        >>> gradients = torch.tensor([[1.0, 0.0], [-1.0, 1.0]])
        >>> weights = PCGrad(["click", "buy"])(gradients @ gradients.T)
        >>> weights
        tensor([2.0000, 1.5000])
    """

    claims = frozenset({"random"})

    def forward(self, gramian: Tensor) -> Tensor:
        """gramian (T, T) -> weights (T,)."""
        products = gramian.detach().cpu()
        # Row i has gradient i as a combination of all.
        projected = torch.eye(len(products), dtype=products.dtype)
        for i, weights in enumerate(projected):
            for j in torch.randperm(len(products)).tolist():
                square = products[j, j]
                # The square of a short gradient can be 0 where its products with others are not.
                if j == i or not square > 0:
                    continue
                product = products[j] @ weights
                if product < 0:
                    weights[j] -= product / square
        return projected.sum(0).to(gramian.device)


class GradVacConfig(Config):
    """Options of GradVac."""

    beta: float = Field(0.5, ge=0, le=1)
    """Step of a target cosine towards the present one; with 0 targets stay at 0, which is
    `pcgrad`.
    """


class GradVac(GramianAggregation):
    """Turns each gradient towards those whose cosine with it is below its target, in random order,
    then sums them.

    Wang et al., ICLR 2021, with one group for all shared parameters. Targets are moving averages of
    cosines, 0 at first. A task without samples leaves its averages unchanged.
    """

    claims = frozenset({"random", "stateful"})

    def __init__(self, tasks: Sequence[str], config: GradVacConfig) -> None:
        super().__init__(tasks, config)
        pairs = len(self.tasks), len(self.tasks)
        self.target = nn.Buffer(torch.zeros(pairs, dtype=torch.float64))

    def weigh(self, gradients: Gradients, tasks: NDArray[np.intp]) -> Floats:
        """Weights (K,)."""
        cosines, k = gradients.cosines, len(gradients)
        targets = self.target.cpu().numpy().copy()
        total = np.zeros(k)
        for i in range(k):
            turned = np.eye(k)[i]  # in unit gradients
            for place in torch.randperm(k - 1).tolist():
                j = place + 1 if place >= i else place  # leaves out i
                norm = np.sqrt(max(turned @ cosines @ turned, 0.0))
                cosine = 0.0
                if norm > 0:
                    cosine = float(np.clip(turned @ cosines[j] / norm, -1, 1))
                target = targets[tasks[i], tasks[j]]
                if cosine < target:
                    sine = np.sqrt(1 - target**2)
                    lacking = target * np.sqrt(1 - cosine**2) - cosine * sine
                    turned[j] += norm * lacking / max(sine, _LEAST_SINE)
                targets[tasks[i], tasks[j]] += self.config.beta * (cosine - target)
            total += gradients.norms[i] * turned
        self.target.copy_(torch.from_numpy(targets))
        return total / gradients.norms
