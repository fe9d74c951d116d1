"""Smooth Tchebycheff scalarisation (STCH)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.core.registry import Config
from bench.models.balancing.base import ByEpochs, LossWeighting


class STCHConfig(Config):
    """Options of STCH."""

    mu: float = Field(0.1, ge=1e-3, allow_inf_nan=False)
    """Smoothness: near 0 only the worst task counts, larger values count all. The paper uses 0.01
    to 1.
    """
    weight: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(
        default_factory=dict
    )
    """Preference for each task by name, 1 where missing; only their ratios count."""
    virtual_epoch: int = Field(50, ge=0)
    """Warm-up steps with equal weights, whose mean losses become the units of the losses; 0 leaves
    losses unscaled.
    """


class STCH(ByEpochs, LossWeighting):
    """T^2 m mu log sum_i exp(l_i L_i / m_i / mu): a smooth form of the worst task's loss.

    Lin et al., ICML 2024, with an ideal point of 0; l is the preference (it sums to 1), m_i the
    task's mean loss during warm-up and m their mean (1 without warm-up). T^2 m times the paper's
    loss: where all terms are equal, weights are near 1. Sums and T cover the tasks with samples in
    the batch; a batch without any gives 0. Raises UserError if a preference is given for a task
    that is not trained.
    """

    claims = frozenset({"stateful"})
    config: STCHConfig

    def __init__(self, tasks: Sequence[str], config: STCHConfig) -> None:
        super().__init__(tasks, config)
        self.preferred = nn.Buffer(self.preference(config.weight, "stch.weight"))

    def forward(self, losses: Tensor) -> Tensor:
        """losses (T,) -> scalar."""
        self.steps += 1
        if int(self.steps) <= self.config.virtual_epoch:
            self.add(losses.detach())
            return losses.sum()
        present = losses != 0
        tasks = int(present.sum())
        if tasks == 0:
            return losses.sum()
        mu = self.config.mu
        units, preferred = self.mean(1.0)[present], self.preferred[present]
        terms = preferred / preferred.sum() * losses[present] / units
        return tasks**2 * units.mean() * mu * torch.logsumexp(terms / mu, 0)
