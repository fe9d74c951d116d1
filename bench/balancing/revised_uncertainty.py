"""Revised uncertainty weighting."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from bench.balancing.base import LossWeighting
from bench.registry import NoOptions


class RevisedUncertainty(LossWeighting):
    """sum_i exp(-s_i) L_i + 2 log(1 + exp(s_i)), with s_i the learned log-variance of task i, 0 at first.

    Liebel & Körner, "Auxiliary Tasks in Multi-task Learning", 2018, whose regulariser, unlike Kendall's, is never
    negative. Twice the paper's loss, so that the weights start at 1; the paper learns the variance itself. A task
    without samples in the batch (its loss is 0) is left out, as in `uncertainty`.
    """

    def __init__(self, tasks: Sequence[str], config: NoOptions) -> None:
        super().__init__(tasks)
        self.log_variance = nn.Parameter(torch.zeros(len(self.tasks)))

    def forward(self, losses: Tensor) -> Tensor:
        """losses (T,) -> scalar."""
        terms = torch.exp(-self.log_variance) * losses + 2 * softplus(self.log_variance)
        return torch.where(losses == 0, 0.0, terms).sum()
