"""Huber's loss."""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from bench.core.registry import Config
from bench.models.losses.base import Context, RegressionLoss


class HuberConfig(Config):
    """Options of `huber`."""

    delta: float = Field(1.0, gt=0, le=100)
    """Error beyond which the loss is linear, in standard deviations of the target."""


class Huber(RegressionLoss):
    """Half the squared error up to `delta`, linear beyond: outliers pull no harder than errors of
    `delta`.
    """

    def forward(self, outputs: Tensor, targets: Tensor, context: Context) -> Tensor:
        """See `RegressionLoss.forward`."""
        return F.huber_loss(outputs, targets, reduction="none", delta=self.config.delta)
