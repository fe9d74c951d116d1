"""Weights by the size of the losses."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor

from bench.core.registry import Config
from bench.models.balancing import LossWeighting


class LossPowerConfig(Config):
    """Options."""

    power: float = Field(0.5, ge=0, le=4)
    """0 weighs all tasks 1, as equal static weights do; the larger, the nearer to the worst task
    alone.
    """


class LossPower(LossWeighting):
    """sum_i w_i L_i with w_i = T L_i^power / sum_j L_j^power, over the T tasks that have samples in
    the batch.

    The weights carry no gradient. Where all losses are equal, all weights are 1.
    """

    def __init__(self, tasks: Sequence[str], config: LossPowerConfig) -> None:
        super().__init__(tasks)
        self.power = config.power

    def forward(self, losses: Tensor) -> Tensor:
        """losses (T,), none negative; 0 where a task has no sample -> scalar."""
        now = losses.detach()
        present = now != 0
        shares = (self.power * now.where(present, torch.ones_like(now)).log()).masked_fill(
            ~present, -torch.inf
        )
        weights = shares.softmax(0).nan_to_num() * present.sum()
        return (weights * losses).sum()
