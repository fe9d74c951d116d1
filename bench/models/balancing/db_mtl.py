"""DB-MTL: balances losses by their logarithm and gradients by their norm."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.core.registry import Config
from bench.models.balancing.base import RememberingCombination, TaskGradients


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
        self.losses = nn.Buffer(
            torch.ones(len(self.tasks)), persistent=False
        )  # between `observe` and `forward` only

    def observe(self, losses: Tensor) -> None:
        """losses (T,) > 0."""
        self.losses.copy_(losses)

    def share(self, count: Tensor) -> Tensor:
        """1 - beta / k^decay for the k-th gradient."""
        return 1 - self.config.beta / count**self.config.decay

    def forward(self, gradients: TaskGradients) -> list[Tensor]:
        """See `GradientCombination.forward`."""
        scales = 1 / torch.where(self.losses > 0, self.losses, 1.0)
        y, heard = self.remember(gradients, scales)
        norms = y.diagonal().clamp(min=0).sqrt() * heard
        longest = norms.amax()
        balanced = torch.where(norms > 0, longest / torch.where(norms > 0, norms, 1.0), 0.0)
        mean = (self.losses * heard).double().sum() / heard.sum().clamp(min=1)
        return self.combine(gradients, scales, mean * balanced)
