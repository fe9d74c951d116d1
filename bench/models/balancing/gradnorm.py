"""GradNorm: gradients of equal norm, larger for tasks that are behind."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.core.registry import Config
from bench.models.balancing.base import ByEpochs, GradientAggregation

_LEAST = 0.01  # lower bound of a weight before scaling: a negative one would raise the task's loss


class GradNormConfig(Config):
    """Options of GradNorm."""

    alpha: float = Field(1.5, ge=0, le=10)
    """Strength of the pull towards tasks that learn slowly; 0 asks for equal norms."""
    lr: float = Field(0.025, ge=0, le=1)
    """Learning rate of the weights."""
    virtual_epoch: int = Field(50, ge=1)
    """Steps with equal weights at the start, whose mean losses serve as the losses at step 0."""


class GradNorm(ByEpochs, GradientAggregation):
    """Learns w by sum_i |w_i n_i / m - r_i^alpha|: n_i = |g_i|, m the mean of w n, r_i = (L_i /
    L_i(0)) over its mean.

    Chen et al., ICML 2018, algorithm 1: after each step w moves against that sum's gradient, m and
    r held fixed, and is scaled to sum to T. Dividing norms by m makes the learning rate independent
    of units. w also multiplies the towers' gradients. A task without samples in the batch keeps its
    weight and is left out of all means.
    """

    needs = frozenset({"losses"})
    weighs_own = True
    claims = frozenset({"stateful"})

    def __init__(self, tasks: Sequence[str], config: GradNormConfig) -> None:
        super().__init__(tasks, config)
        self.weight = nn.Buffer(torch.ones(len(self.tasks)))  # of the next step
        self.losses = nn.Buffer(
            torch.zeros(len(self.tasks)), persistent=False
        )  # between `observe` and `forward` only

    def observe(self, losses: Tensor) -> None:
        """losses (T,)."""
        self.losses.copy_(losses)

    def forward(self, gramian: Tensor) -> Tensor:
        """gramian (T, T) -> weights (T,) > 0."""
        norms = gramian.diagonal().sqrt()
        heard = (norms > 0) & (self.losses > 0)
        weights = torch.where(heard, self.weight, 1.0).to(gramian)
        self.steps += 1
        if int(self.steps) <= self.config.virtual_epoch:
            self.add(self.losses)
        elif bool(heard.any()):
            self._learn(norms[heard].to(self.weight), heard)
        return weights

    def _learn(self, norms: Tensor, heard: Tensor) -> None:
        weight, rates = self.weight[heard], (self.losses / self.mean(self.losses))[heard]
        norms = norms / norms.max()  # a product of weight and norm must fit into float32
        relative = norms / (weight * norms).mean()
        slope = (
            torch.sign(weight * relative - (rates / rates.mean()) ** self.config.alpha) * relative
        )
        moved = (weight - self.config.lr * slope).clamp(min=_LEAST)
        self.weight[heard] = moved * (weight.sum() / moved.sum())
