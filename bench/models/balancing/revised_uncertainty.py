"""Revised uncertainty weighting."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

from bench.models.balancing.uncertainty import Uncertainty


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
