"""Combinations of remembered gradients, which are moving averages: MoCo and DB-MTL."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.core.registry import Config
from bench.models.balancing.base import (
    GradientCombination,
    TaskGradients,
    dense,
    gramian,
    split,
    weighted,
    zeros,
)


class RememberingCombination(GradientCombination):
    """Keeps moving averages of the gradients of shared dense parameters; the embedding output uses
    this step's gradients.

    An average starts at a task's first gradient, where the papers start at 0 and so with small
    steps. A task without samples in the batch keeps its average and takes no part in the step.
    """

    def prepare(self, parameters: Sequence[Tensor]) -> None:
        """Allocates the averages (T, N), and how many gradients each has seen (T,)."""
        self.average: Tensor = nn.Buffer(zeros(len(self.tasks), parameters))
        self.count: Tensor = nn.Buffer(torch.zeros(len(self.tasks), device=self.average.device))

    @abstractmethod
    def share(self, count: Tensor) -> Tensor:
        """Weight of a task's new gradient in its average; count (T,) is how many it has had, this
        one included.
        """

    def remember(self, gradients: TaskGradients, scales: Tensor) -> tuple[Tensor, Tensor]:
        """Updates the averages with this step's gradients, task i's times scales_i.

        Returns:
            The Gramian (T, T) float64 of the gradients to combine, and which tasks have samples,
            (T,).
        """
        output = torch.stack([parts[0].detach().reshape(-1).float() for parts in gradients])
        new = dense(gradients) * scales[:, None]
        present = (output != 0).any(1) | (new != 0).any(1)
        self.count += present
        share = torch.where(self.count == 1, 1.0, self.share(self.count.clamp(min=1))) * present
        self.average += share[:, None] * (new - self.average)
        scales = scales.double()
        products = gramian(output) * torch.outer(scales, scales) + gramian(self.average)
        return products, present

    def combine(self, gradients: TaskGradients, scales: Tensor, weights: Tensor) -> list[Tensor]:
        """sum_i w_i (scales_i g_i at the embedding output, the average elsewhere); weights (T,)
        float64.
        """
        output = weighted([parts[:1] for parts in gradients], weights * scales)
        average = weights.to(self.average) @ self.average
        return [*output, *split(average, gradients[0][1:])]


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
        equal = torch.full((len(self.tasks),), 1.0 / len(self.tasks), dtype=torch.float64)
        self.weight = nn.Buffer(equal)  # on the simplex
        self.steps: Tensor = nn.Buffer(torch.zeros((), dtype=torch.float64))

    def share(self, count: Tensor) -> Tensor:
        """beta / k^decay for the k-th gradient."""
        return self.config.beta / count**self.config.decay

    def forward(self, gradients: TaskGradients) -> list[Tensor]:
        """See `GradientCombination.forward`."""
        ones = torch.ones(len(self.tasks), device=self.weight.device)
        y, present = self.remember(gradients, ones)
        self.steps += 1
        weights = torch.zeros_like(self.weight)
        if bool(present.any()):
            y, w = y[present][:, present], self.weight[present]
            mean = y.diagonal().mean()
            y = y / torch.where(mean > 0, mean, 1.0)
            step_size = self.config.gamma / self.steps**self.config.decay
            mass = _mass(w, len(self.tasks))
            w = _on_simplex(w - step_size * (y @ w + self.config.rho * w), mass)
            self.weight[present] = w
            weights[present] = w * (len(w) / mass)
        return self.combine(gradients, ones, weights)


class DBMTLConfig(Config):
    """Options of DB-MTL."""

    beta: float = Field(0.9, ge=0, lt=1)
    """Decay of the moving average of a task's gradient; 0 keeps no past."""
    decay: float = Field(0.5, ge=0, le=1)
    """At step k, beta is divided by k^decay."""


class DBMTL(RememberingCombination):
    """m max_i |y_i| sum_i y_i / |y_i|: y_i the moving average of g_i / L_i, the gradient of log
    L_i; m the mean loss.

    Lin et al., "Dual-Balancing for Multi-Task Learning", 2023; m times its step, so weights are
    near 1 where the tasks agree. A task's own parameters follow its loss, not the logarithm.
    """

    needs = frozenset({"losses", "gradients", "gradient state"})
    claims = frozenset({"stateful"})
    config: DBMTLConfig

    def __init__(self, tasks: Sequence[str], config: DBMTLConfig) -> None:
        super().__init__(tasks, config)
        # Between `observe` and `forward` only.
        self.losses = nn.Buffer(torch.ones(len(self.tasks)), persistent=False)

    def observe(self, losses: Tensor) -> None:
        """losses (T,) > 0."""
        self.losses.copy_(losses)

    def share(self, count: Tensor) -> Tensor:
        """1 - beta / k^decay for the k-th gradient."""
        return 1 - self.config.beta / count**self.config.decay

    def forward(self, gradients: TaskGradients) -> list[Tensor]:
        """See `GradientCombination.forward`."""
        scales = 1 / torch.where(self.losses > 0, self.losses, 1.0)
        y, present = self.remember(gradients, scales)
        norms = y.diagonal().clamp(min=0).sqrt() * present
        longest = norms.amax()
        balanced = torch.where(norms > 0, longest / torch.where(norms > 0, norms, 1.0), 0.0)
        mean_loss = (self.losses * present).double().sum() / present.sum().clamp(min=1)
        return self.combine(gradients, scales, mean_loss * balanced)


def _on_simplex(point: Tensor, mass: float) -> Tensor:
    """Projects a point (K,) onto the simplex w >= 0, sum_i w_i = mass; Held, Wolfe & Crowder
    1974.
    """
    ordered = point.sort(descending=True).values
    excess = (ordered.cumsum(0) - mass) / torch.arange(1, len(point) + 1, device=point.device)
    positive = int((ordered > excess).sum())
    return (point - excess[positive - 1]).clamp(min=0.0)


def _mass(weights: Tensor, tasks: int) -> float:
    """Sum of the weights (K,) of K of T tasks; K / T if it is 0."""
    mass = float(weights.sum())
    if mass > 1e-9:
        return mass
    return len(weights) / tasks
