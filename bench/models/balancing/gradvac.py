"""Gradient vaccine (GradVac)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from bench.core.arrays import Floats
from bench.core.registry import Config
from bench.models.balancing.gramian import Gradients, GramianAggregation

_LEAST_SINE = 1e-3  # bounds the weights when two tasks that always agreed conflict


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
        self.target = nn.Buffer(torch.zeros(len(self.tasks), len(self.tasks), dtype=torch.float64))

    def weigh(self, gradients: Gradients, tasks: NDArray[np.intp]) -> Floats:
        """Weights (K,)."""
        cosines, many = gradients.cosines, len(gradients)
        target = self.target.cpu().numpy().copy()
        total = np.zeros(many)
        for i in range(many):
            turned = np.eye(many)[i]  # in unit gradients
            others = [j for j in range(many) if j != i]
            for at in torch.randperm(many - 1).tolist():
                j = others[at]
                norm = np.sqrt(max(turned @ cosines @ turned, 0.0))
                cosine = float(np.clip(turned @ cosines[j] / norm, -1, 1)) if norm > 0 else 0.0
                usual = target[tasks[i], tasks[j]]
                if cosine < usual:
                    sine = np.sqrt(1 - usual**2)
                    needed = usual * np.sqrt(1 - cosine**2) - cosine * sine
                    turned[j] += norm * needed / max(sine, _LEAST_SINE)
                target[tasks[i], tasks[j]] += self.config.beta * (cosine - usual)
            total += gradients.norms[i] * turned
        self.target.copy_(torch.from_numpy(target))
        return total / gradients.norms
