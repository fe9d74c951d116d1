"""Uncertainty weighting (UW), and its revised form."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from bench.core.registry import NoOptions
from bench.models.balancing.base import LossWeighting


class Uncertainty(LossWeighting):
    """sum_i exp(-s_i) L_i + s_i, with s_i the learned log-variance of task i, 0 at first (Kendall
    et al., CVPR 2018).

    Twice the paper's loss, so that weights start at 1. A task without samples in the batch (its
    loss is 0) is left out of the sum; otherwise such batches would lower s_i and so raise its
    weight.
    """

    claims = frozenset({"stateful"})

    def __init__(self, tasks: Sequence[str], config: NoOptions) -> None:
        super().__init__(tasks, config)
        self.log_variance = nn.Parameter(torch.zeros(len(self.tasks)))

    def forward(self, losses: Tensor) -> Tensor:
        """losses (T,) -> scalar."""
        terms = torch.exp(-self.log_variance) * losses + self.regulariser()
        return torch.where(losses == 0, 0.0, terms).sum()

    def regulariser(self) -> Tensor:
        """The term (T,) that keeps the weights from going to 0."""
        return self.log_variance


class RevisedUncertainty(Uncertainty):
    """sum_i exp(-s_i) L_i + 2 log(1 + exp(s_i)), with s_i the learned log-variance of task i, 0 at
    first.

    Liebel & Körner, "Auxiliary Tasks in Multi-task Learning", 2018, whose regulariser, unlike
    Kendall's, is never negative. Twice the paper's loss, so that weights start at 1; the paper
    learns the variance. A task without samples in the batch (its loss is 0) is left out, as in
    `uncertainty`.
    """

    def regulariser(self) -> Tensor:
        """See `Uncertainty.regulariser`."""
        return 2 * softplus(self.log_variance)
