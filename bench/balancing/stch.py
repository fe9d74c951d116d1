"""Smooth Tchebycheff scalarisation (STCH)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from bench.balancing.base import Claim, LossWeighting
from bench.core.registry import Config


class STCHConfig(Config):
    """Options of STCH."""

    mu: float = Field(0.1, ge=1e-3, allow_inf_nan=False)
    """Smoothness: near 0 only the worst task counts, larger values count all. The paper uses 0.01 to 1."""
    weight: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(default_factory=dict)
    """Preference for each task by name, 1 where missing; only their ratios count."""
    virtual_epoch: int = Field(50, ge=0)
    """Warm-up steps with equal weights, whose mean losses become the units of the losses; 0 leaves losses unscaled."""


class STCH(LossWeighting):
    """T^2 m mu log sum_i exp(l_i L_i / m_i / mu): a smooth form of the worst task's loss.

    Lin et al., ICML 2024, with an ideal point of 0; l is the preference (it sums to 1), m_i the task's mean loss during
    warm-up and m their mean (1 without warm-up). T^2 m times the paper's loss: where all terms are equal, weights are
    near 1. Sums and T cover the tasks with samples in the batch; a batch without any gives 0. Raises UserError if a
    preference is given for a task that is not trained.
    """

    claims: ClassVar[frozenset[Claim]] = frozenset({"stateful"})

    preferred: Tensor  # (T,)
    total: Tensor  # (T,): sum of losses during warm-up
    count: Tensor  # (T,): steps of it with samples
    steps: Tensor  # (): steps taken in all

    def __init__(self, tasks: Sequence[str], config: STCHConfig) -> None:
        super().__init__(tasks)
        self.mu, self.virtual_epoch = config.mu, config.virtual_epoch
        self.register_buffer("preferred", self.preference(config.weight, "stch.weight"))
        self.register_buffer("total", torch.zeros(len(self.tasks)))
        self.register_buffer("count", torch.zeros(len(self.tasks)))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, losses: Tensor) -> Tensor:
        """losses (T,) -> scalar."""
        self.steps += 1
        if int(self.steps) <= self.virtual_epoch:
            self.total += losses.detach()
            self.count += losses.detach() != 0
            return losses.sum()
        present = losses != 0
        many = int(present.sum())
        if many == 0:
            return losses.sum()
        units = torch.where(self.count > 0, self.total / self.count.clamp(min=1), 1.0)[present]
        preferred = self.preferred[present]
        terms = preferred / preferred.sum() * losses[present] / units
        return many**2 * units.mean() * self.mu * torch.logsumexp(terms / self.mu, 0)
