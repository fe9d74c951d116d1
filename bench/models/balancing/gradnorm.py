"""GradNorm: gradients of equal norm, larger for tasks that are behind."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.core.registry import Config
from bench.models.balancing.base import ByEpochs, GradientAggregation

_MIN_WEIGHT = 0.01
"""Lower bound of a weight before scaling: a negative one would raise the task's loss."""


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
        # Between `observe` and `forward` only.
        self.losses = nn.Buffer(torch.zeros(len(self.tasks)), persistent=False)

    def observe(self, losses: Tensor) -> None:
        """losses (T,)."""
        self.losses.copy_(losses)

    def forward(self, gramian: Tensor) -> Tensor:
        """gramian (T, T) -> weights (T,) > 0."""
        norms = gramian.diagonal().sqrt()
        present = (norms > 0) & (self.losses > 0)
        weights = torch.where(present, self.weight, 1.0).to(gramian)
        self.steps += 1
        if int(self.steps) <= self.config.virtual_epoch:
            self.add(self.losses)
        elif bool(present.any()):
            self._learn(norms[present].to(self.weight), present)
        return weights

    def _learn(self, norms: Tensor, present: Tensor) -> None:
        """Moves the weights of the tasks that are present (T,), whose norms (K,) are given."""
        weight = self.weight[present]
        rates = (self.losses / self.mean(self.losses))[present]
        norms = norms / norms.max()  # a product of weight and norm must fit into float32
        relative = norms / (weight * norms).mean()
        target = (rates / rates.mean()) ** self.config.alpha
        slope = torch.sign(weight * relative - target) * relative
        moved = (weight - self.config.lr * slope).clamp(min=_MIN_WEIGHT)
        self.weight[present] = moved * (weight.sum() / moved.sum())
