"""Fast adaptive multitask optimization (FAMO)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.core.registry import Config
from bench.models.balancing.base import LossWeighting

_BETA1, _BETA2, _EPS = 0.9, 0.999, 1e-8  # of Adam


class FAMOConfig(Config):
    """Options of FAMO."""

    lr: float = Field(0.025, ge=0, allow_inf_nan=False)
    """Learning rate of the task logits; with 0, z stays at 1/T."""
    weight_decay: float = Field(1e-3, ge=0, allow_inf_nan=False)
    """Pulls the task logits towards 0, equal weights."""


class FAMO(LossWeighting):
    """T c sum_i z_i log L_i, with z = softmax(xi) and c = 1 / sum_i (z_i / L_i) held fixed: weights
    that sum to T.

    Liu et al., NeurIPS 2023, algorithm 2, T times its loss. After the update, Adam moves xi to
    equalise the losses' relative decreases on this batch: its gradient is the softmax's Jacobian
    times log L_before - log L_after, under the same dropout masks. A task without samples in the
    batch is left out of c and xi.
    """

    needs = frozenset({"second forward"})
    claims = frozenset({"stateful"})

    def __init__(self, tasks: Sequence[str], config: FAMOConfig) -> None:
        super().__init__(tasks, config)
        self.logits: Tensor = nn.Buffer(torch.zeros(len(self.tasks)))
        # Moments and updates of Adam.
        self.mean = nn.Buffer(torch.zeros(len(self.tasks)))
        self.square = nn.Buffer(torch.zeros(len(self.tasks)))
        self.steps: Tensor = nn.Buffer(torch.zeros(()))
        # Losses, between `forward` and `after` only.
        self.before = nn.Buffer(torch.ones(len(self.tasks)), persistent=False)

    def forward(self, losses: Tensor) -> Tensor:
        """losses (T,), none negative -> scalar."""
        self.before.copy_(losses.detach())
        present = losses.detach() != 0
        safe = torch.where(present, losses, 1.0)
        z = torch.where(losses.isnan(), torch.nan, self._softmax(present))
        total = (z / safe.detach()).sum()
        c = torch.where(present.any(), 1.0 / torch.where(present.any(), total, 1.0), 0.0)
        return present.sum() * c * (z * safe.log()).sum()

    def _softmax(self, present: Tensor) -> Tensor:
        """z (T,), 0 where a task is not present."""
        logits = self.logits.masked_fill(~present, -torch.inf)
        return torch.softmax(logits, 0).nan_to_num(nan=0.0)

    @torch.no_grad()
    def after(self, losses: Tensor) -> None:
        """losses (T,) of the same batch."""
        present = (self.before > 0) & (losses > 0)
        decrease = torch.where(present, torch.log(self.before / losses), 0.0)
        z = self._softmax(present)
        gradient = z * (decrease - (z * decrease).sum()) + self.config.weight_decay * self.logits
        self.steps += 1
        self.mean.lerp_(gradient, 1 - _BETA1)
        self.square.lerp_(gradient.square(), 1 - _BETA2)
        mean = self.mean / (1 - _BETA1**self.steps)
        square = self.square / (1 - _BETA2**self.steps)
        self.logits -= self.config.lr * mean / (square.sqrt() + _EPS)
