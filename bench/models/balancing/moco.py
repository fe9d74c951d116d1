"""MoCo: multi-objective gradients, averaged with momentum."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.core.registry import Config
from bench.models.balancing.base import RememberingCombination, TaskGradients
from bench.models.balancing.gramian import mass_of, project


class MoCoConfig(Config):
    """Options of MoCo."""

    beta: float = Field(0.5, gt=0, le=1)
    """Share of the new gradient in a task's estimate; 1 keeps no past."""
    gamma: float = Field(0.1, gt=0, allow_inf_nan=False)
    """Step size of the weights, in units of the estimates' mean squared norm."""
    rho: float = Field(0.0, ge=0, allow_inf_nan=False)
    """Pull towards equal weights, in the same units."""
    decay: float = Field(0.5, ge=0, le=1)
    """Both step sizes at step k are divided by k^decay."""


class MoCo(RememberingCombination):
    """T sum_i w_i y_i: y_i the moving average of g_i, w on the simplex, moved by -gamma (Y w + rho
    w) at each step.

    Fernando et al., ICLR 2023, algorithm 1; Y is the Gramian of the y_i, which are less noisy than
    the g_i. Unlike in the paper Y is divided by the mean of its diagonal, so gamma is independent
    of the losses' scale.
    """

    needs = frozenset({"gradients", "gradient state"})
    claims = frozenset({"stateful"})
    config: MoCoConfig

    def __init__(self, tasks: Sequence[str], config: MoCoConfig) -> None:
        super().__init__(tasks, config)
        many = len(self.tasks)
        self.weight = nn.Buffer(
            torch.full((many,), 1.0 / many, dtype=torch.float64)
        )  # on the simplex
        self.steps: Tensor = nn.Buffer(torch.zeros((), dtype=torch.float64))

    def share(self, count: Tensor) -> Tensor:
        """beta / k^decay for the k-th gradient."""
        return self.config.beta / count**self.config.decay

    def forward(self, gradients: TaskGradients) -> list[Tensor]:
        """See `GradientCombination.forward`."""
        ones = torch.ones(len(self.tasks), device=self.weight.device)
        y, heard = self.remember(gradients, ones)
        self.steps += 1
        used = torch.zeros_like(self.weight)
        if bool(heard.any()):
            y, w = y[heard][:, heard], self.weight[heard]
            mass = mass_of(w, len(heard))
            mean = y.diagonal().mean()
            y = y / torch.where(mean > 0, mean, 1.0)
            w = project(
                w
                - self.config.gamma / self.steps**self.config.decay * (y @ w + self.config.rho * w),
                mass,
            )
            self.weight[heard] = w
            used[heard] = w * (len(w) / mass)
        return self.combine(gradients, ones, used)
