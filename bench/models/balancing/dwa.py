"""Dynamic weight average (DWA)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.core.registry import Config
from bench.models.balancing.base import ByEpochs, LossWeighting


class DWAConfig(Config):
    """Options of DWA."""

    temperature: float = Field(2.0, gt=0, allow_inf_nan=False)
    """Larger makes the weights more equal."""
    virtual_epoch: int = Field(50, ge=1)
    """Steps over which losses are averaged and after which the weights change."""


class DWA(ByEpochs, LossWeighting):
    """w = T softmax(r / temperature), r_i = L_i(e - 1) / L_i(e - 2) over epochs e (Liu et al., CVPR
    2019).

    An epoch is `virtual_epoch` steps, so the rule also works in a training of one pass; in the
    first two epochs all weights are 1. L_i(e) is task i's mean loss over the steps of e in which it
    had samples (its loss is not 0); r_i = 1 where there were none.
    """

    claims = frozenset({"stateful"})

    def __init__(self, tasks: Sequence[str], config: DWAConfig) -> None:
        super().__init__(tasks, config)
        # Means of the epoch before last, and of the last.
        self.history = nn.Buffer(torch.zeros(2, len(self.tasks)))

    def forward(self, losses: Tensor) -> Tensor:
        """losses (T,) -> scalar."""
        weight = self.weights()
        with torch.no_grad():
            self.add(losses)
            self.steps += 1
            if int(self.steps) % self.config.virtual_epoch == 0:
                self.history.copy_(torch.stack([self.history[1], self.mean(0.0)]))
                self.total.zero_()
                self.count.zero_()
        return (weight * losses).sum()

    def weights(self) -> Tensor:
        """Returns the weights (T,) of the next step; they sum to T."""
        older, newer = self.history
        rate = torch.where((older == 0) | (newer == 0), 1.0, newer / older)
        return len(self.tasks) * torch.softmax(rate / self.config.temperature, dim=0)
